"""Measure what the steps of a kernel cost on this machine, and keep it for plans made with SCORCH_CALIBRATE=1.

Takes a few seconds. On a machine that is busy with something else the measurement is repeated, then dropped.
"""

from __future__ import annotations

import argparse
from dataclasses import fields

from scorch.commands.console import Console, three_figures

__all__ = ["HELP", "configure", "run"]

HELP = "measure this machine for the cost model"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--dry-run", action="store_true", help="measure and print, but keep nothing")


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure, print the prices beside the built-in ones; 1 if the machine was too busy."""
    from scorch.runtime.calibrate import calibrate
    from scorch.schedule.prices import BUILT_IN, Prices, kept_at

    found = calibrate(keep=not args.dry_run)
    rows = [
        [field.name, *(three_figures(getattr(prices, field.name)) for prices in (BUILT_IN, found.prices))]
        for field in fields(Prices)
        if field.name != "origin"
    ]
    console.table("Prices in nanoseconds", ["step", "built in", "measured"], rows)
    if not found.sound:
        console.say(f"Not kept: {found.complaint}. Try again when it is quiet.")
        return 1
    if not args.dry_run:
        console.say(f"Kept in {kept_at()}. SCORCH_CALIBRATE=1 or scorch.config.calibrate = True uses them.")
    return 0
