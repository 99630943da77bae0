"""Scorch beside torch.sparse, scipy, dense torch and other peers, interleaved in one process.

A *case* is an operation on one matrix. Each *peer* (a file in `peers`) offers *contenders* for an operation,
one a layout. Each *family* (a file in `families`) lists cases and says how they are measured. A new peer or a
new family is one new file.
"""

import torch  # noqa: F401  before Numba, so that both share one OpenMP pool
