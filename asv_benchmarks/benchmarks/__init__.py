"""Benchmarks for airspeed velocity: `asv run --python=same --quick`.

Set SCORCH_DATA to a folder of real data to have real matrices among the parameters.
`asv machine --yes` once before.
"""

import sys
from pathlib import Path

# Without an installation, this source tree is measured. Last, so that asv's own builds of other commits win.
sys.path.append(str(Path(__file__).resolve().parents[2]))
