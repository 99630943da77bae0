"""Random statements, formats and tensors against a dense oracle, so that formats of your own can be tested too.

>>> from random import Random
>>> import scorch
>>> from scorch.testing import random_case
>>> with scorch.config.using(jit=False):
...     refused = random_case(Random(5)).check()  # AssertionError if Scorch and the oracle differ
>>> refused is None
True
"""

from scorch.testing.cases import Case, random_case
from scorch.testing.oracle import Expected, reference
from scorch.testing.tensors import Operand, build, random_format

__all__ = ["Case", "Expected", "Operand", "build", "random_case", "random_format", "reference"]
