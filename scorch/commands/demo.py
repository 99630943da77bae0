"""Run SpMM, SpMV, SpMSpM and SDDMM through scorch, torch.sparse and scipy, check that they agree, and compare
times.

Without FILE it runs on scikit-learn's digits (generated ones without scikit-learn) and on a generated
power-law graph. With a tensor of order three or more it runs TTV, TTM and MTTKRP against torch and numpy.
Exit code 1 if any two disagree.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scorch.commands.console import Console, seconds, three_figures
from scorch.commands.options import positive

__all__ = ["HELP", "configure", "run"]

HELP = "run the sparse products side by side with torch.sparse and scipy"
_STEPS = {True: 4, False: 3}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("file", nargs="?", metavar="FILE", help=".mtx, .tns, .smtx (each also .gz) or scipy's .npz")
    parser.add_argument(
        "--k",
        type=positive,
        default=None,
        help="columns of the dense factors (default: 64, and 16 beside a tensor)",
    )
    parser.add_argument(
        "--rounds", type=positive, default=25, help="timed rounds at most, the median counts (default: 25)"
    )
    parser.add_argument(
        "--threads", type=positive, default=None, help="threads of scorch and torch (default: torch's choice)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the generated values (default: 0)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the demo; 0 when all results agree, 1 when some do not."""
    # Imported here, so that `scorch --help` need not wait for torch's and Numba's loading.
    from scorch.demo import Bystanders, built_in, from_file

    subjects = [from_file(args.file)] if args.file else built_in(args.seed)
    total = sum(_STEPS[subject.matrix is not None] for subject in subjects)
    with _threads(args.threads) as threads:
        console.say(f"float32, {threads} threads (scipy uses 1), medians of up to {args.rounds} interleaved rounds")
        watch = Bystanders.from_now()
        with console.progress(total) as advance:
            measured = [(subject, list(_measure(subject, args, advance))) for subject in subjects]
        warning = watch.warning()
        for subject, measurements in measured:
            _report(console, subject, measurements)
    if warning:
        console.say(f"\n{warning}")
    wrong = [(m.case.name, timing) for _, ms in measured for m in ms for timing in m.wrong]
    for name, timing in wrong:
        console.say(f"WRONG: {name}: {timing.label} is off by {timing.error:.1e}")
    console.say("\nResults DISAGREE." if wrong else "\nAll results agree.")
    return 1 if wrong else 0


@contextmanager
def _threads(wanted: int | None) -> Iterator[int]:
    """Set the threads of scorch and torch for a while."""
    import torch

    from scorch.config import config

    before = torch.get_num_threads()
    with config.using(threads=wanted or config.threads):
        torch.set_num_threads(wanted or config.threads or before)
        try:
            yield torch.get_num_threads()
        finally:
            torch.set_num_threads(before)


def _measure(subject: Any, args: argparse.Namespace, advance: Any) -> Iterator[Any]:
    from scorch.demo import matrix_cases, measure, tensor_cases

    if subject.matrix is not None:
        cases = matrix_cases(subject, args.k or 64, args.seed)
    else:
        cases = tensor_cases(subject, args.k or 16, args.seed)
    for case in cases:
        advance(f"{subject.name}: {case.name}")
        yield measure(case, args.rounds)


def _report(console: Console, subject: Any, measurements: list[Any]) -> None:
    """The table of times, what to know about it, the first plan in full and where the sources are."""
    import scorch

    others = ("torch", "scipy") if subject.matrix is not None else ("torch", "numpy")
    header = ["", "scorch", *others, *(f"{name} / scorch" for name in others), "first call", "max error"]
    console.say()
    console.table(str(subject), header, [_row(m, others) for m in measurements])
    layouts = "torch: its fastest layout, in brackets. " if subject.matrix is not None else ""
    console.say(f"  {layouts}A ratio above 1: scorch is faster.")
    console.say("  first call: planning and compiling, or loading from the cache; the first of all also loads Numba.")
    for line in _notes(measurements):
        console.say(f"  {line}")
    explained = [
        (m.case, scorch.explain(m.case.notation, *m.case.operands, **dict(m.case.options))) for m in measurements
    ]
    console.heading(f"The plan of {explained[0][0].name}, {subject.name}")
    console.say(str(explained[0][1]))
    console.heading("Generated sources")
    width = max(len(case.name) for case, _ in explained)
    for case, explanation in explained:
        console.say(f"  {case.name:<{width}}  {explanation.path or 'several kernels, or torch'}")


def _row(measurement: Any, others: tuple[str, ...]) -> list[str]:
    ours = measurement.best("scorch")
    times = [_time(measurement.best(name)) for name in others]
    ratios = [_ratio(measurement.ratio(name)) for name in others]
    return [
        measurement.case.name,
        seconds(ours.median),
        *times,
        *ratios,
        seconds(ours.first),
        f"{measurement.worst_error:.0e}" if measurement.worst_error else "0",
    ]


def _time(timing: Any) -> str:
    """A time and which of a library's variants it is."""
    if timing is None:
        return "-"
    _, _, variant = timing.label.partition(" ")
    return f"{seconds(timing.median)} ({variant})" if variant else seconds(timing.median)


def _ratio(value: float) -> str:
    """Three figures, but no more than two decimals unless the first two are zeros.

    >>> _ratio(165.55), _ratio(2.034), _ratio(0.0041), _ratio(float("nan"))
    ('166 x', '2.03 x', '0.004 x', '-')
    """
    if value != value:
        return "-"
    return f"{value:.3f} x" if value < 0.01 else f"{three_figures(value)} x"


def _notes(measurements: list[Any]) -> Iterator[str]:
    noted: dict[str, list[str]] = {}
    for m in measurements:
        if m.case.note:
            noted.setdefault(m.case.note, []).append(m.case.name.split(",")[0])
    yield from (f"{', '.join(names)}: {note}." for note, names in noted.items())
    failed = {
        t.label: t.failure
        for m in measurements
        for t in m.timings
        if t.failure and m.best(t.label.split(" ")[0]) is None
    }
    yield from (f"{label} could not run: {why}" for label, why in failed.items())
