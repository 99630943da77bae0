"""`python -m scorch.testing --cases 10000 --seed 0`: random cases against the dense oracle, and a summary.

Exit status 1 if a case is wrong. Each wrong case is shrunk and printed with the line that reproduces it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from scorch.testing.search import Search, run

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scorch.testing", description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1000, help="how many random cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first case; the others follow it")
    parser.add_argument(
        "--compiled-share",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the cases that are compiled, 0 to 1",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    given = parser.parse_args(arguments)
    search = Search(given.seed, given.cases, given.compiled_share)
    summary = run(search, given.jobs, progress=lambda text: print(text, flush=True))
    print(summary)
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
