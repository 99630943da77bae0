"""The command line of `python -m asv_benchmarks.compare`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from asv_benchmarks.inputs import data_folder

from .families import FAMILIES, usual
from .model import Options

__all__ = ["DOCUMENT", "parse"]

DOCUMENT = Path("docs/performance.md")
# Families that have a flag of their own.
_ALONE = {
    "end-to-end": "whole models",
    "schedules": "chosen plans beside all others",
    "algebra": "whole expressions",
}
_QUICK_ROUNDS, _QUICK_BUDGET = 10, 0.2
_ALL_WITHIN = 40.0


def parse(words: Sequence[str] | None = None) -> Options:
    """The options that some words (the command line by default) ask for; leaves with status 2 on a mistake.

    >>> parse(["--family", "spmm,spmv", "--case", "bcs*", "--quick", "--data", "."]).families
    ('spmm', 'spmv')
    """
    parser = _parser()
    given = parser.parse_args(words)
    try:
        data = data_folder(given.data)
    except FileNotFoundError as error:
        parser.error(str(error))
    default = Options()
    rounds, budget = (_QUICK_ROUNDS, _QUICK_BUDGET) if given.quick else (default.rounds, default.budget)
    return Options(
        data=data.resolve() if data is not None else None,
        families=tuple(FAMILIES) if given.all else given.family,
        case=given.case,
        rounds=given.rounds or rounds,
        budget=budget if given.budget is None else given.budget,
        threads=given.threads,
        quick=given.quick,
        json=given.json,
        markdown=given.markdown or (DOCUMENT if given.all else None),
        list=given.list,
        roofline=given.roofline or given.all,
        deepsparse=given.deepsparse,
        within=given.within or (_ALL_WITHIN if given.all else None),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m asv_benchmarks.compare",
        description="Scorch beside torch.sparse (every layout), scipy, dense torch and further peers.",
    )
    add = parser.add_argument
    add("--data", metavar="DIR", help="folder with matrices/, graphs/, weights/ (default: $SCORCH_DATA)")
    add(
        "--family",
        type=_families,
        default=(),
        metavar="NAME[,NAME]",
        help=f"of {', '.join(FAMILIES)} (default: {', '.join(usual())})",
    )
    for name, about in _ALONE.items():
        add(
            f"--{name}",
            dest="family",
            action="store_const",
            const=(name,),
            help=f"{about}: the same as --family {name}",
        )
    add(
        "--roofline",
        action="store_true",
        help="measure the machine's rates, and print each kernel's share of its bound",
    )
    add(
        "--all",
        action="store_true",
        help=f"every family and the roofline; the tables go to {DOCUMENT} unless --markdown names another file",
    )
    add(
        "--case",
        default="*",
        metavar="GLOB",
        help="cases whose id or matrix matches, such as 'email*' or 'spmm/*/K=64'",
    )
    add(
        "--rounds",
        type=_count,
        metavar="N",
        help=f"rounds at most (default: 200; {_QUICK_ROUNDS} with --quick)",
    )
    add(
        "--budget",
        type=_seconds,
        metavar="SECONDS",
        help=f"time a case (default: 2; {_QUICK_BUDGET} with --quick)",
    )
    add(
        "--within",
        type=_minutes,
        metavar="MINUTES",
        help="the whole run: what is left is shared among the cases that are left, three rounds at least each "
        f"(default: no limit; {_ALL_WITHIN:.0f} with --all)",
    )
    add(
        "--threads",
        type=_count,
        metavar="N",
        help="threads of every peer that can be told (default: torch's choice)",
    )
    add(
        "--deepsparse",
        metavar="PYTHON",
        help="an interpreter that has deepsparse: its engine takes part in pruned networks (end-to-end)",
    )
    add("--quick", action="store_true", help="few small matrices and few rounds: does it run?")
    add("--json", type=Path, metavar="FILE", help="write everything that was measured")
    add(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the tables as Markdown; in a file with <!-- tables --> ... <!-- /tables --> only between those",
    )
    add("--list", action="store_true", help="list the cases and leave")
    return parser


def _families(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in FAMILIES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"no family {', '.join(unknown or [text])!r}; there are {', '.join(FAMILIES)}")
    return names


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _minutes(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of minutes")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return number
