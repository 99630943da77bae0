"""Print versions, CPU, threads, threading layer, cache and settings, what is wrong, and how to mend it.

Exit code 1 if something is wrong. Paste the output into a bug report.
"""

from __future__ import annotations

import argparse

from scorch.commands.console import Console

__all__ = ["HELP", "configure", "run"]

HELP = "say what is wrong with this installation, and how to mend it"


def configure(parser: argparse.ArgumentParser) -> None:
    """This command has no options."""


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the diagnosis; 1 if it found problems."""
    from scorch.runtime.diagnose import diagnose

    found = diagnose()
    console.say(str(found))
    return 1 if found.problems else 0
