"""Run the benchmarks, `python -m asv_benchmarks.compare`, which come with a checkout of the repository only.

All options go on to it; `scorch bench --help-compare` prints its own help.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from scorch.commands.console import Console

__all__ = ["HELP", "PASSES_ON", "configure", "run"]

HELP = "run the benchmarks of a checkout"
PASSES_ON = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--help-compare", action="store_true", help="print the options that go on to the benchmarks")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the comparison in a process of its own; its exit code, or 2 where there are no benchmarks."""
    root = checkout()
    if root is None:
        console.say(
            "The benchmarks are not part of the installed package. In a checkout of the repository, run\n"
            "    python -m asv_benchmarks.compare"
        )
        return 2
    rest = ["--help"] if args.help_compare else args.rest
    # Not by changing the directory: paths among the options are relative to the user's.
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "asv_benchmarks.compare", *rest]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode


def checkout() -> Path | None:
    """The root of the checkout that this package runs from, None if it is installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "asv_benchmarks" / "compare").is_dir() else None
