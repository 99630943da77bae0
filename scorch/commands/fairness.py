"""Compare FORML with other ways of fair training: every method on every data set, each tuned alike on a
validation part, tested once on the same seeds. Prints a table for each data set with paired tests, fair pruning
and the cost of a step; writes them with a page of plots to the folder OUT.

    scorch fairness bench --quick --data DATA     a few minutes on two cores
    scorch fairness bench --data DATA             hours; goes on where it was interrupted

Data sets whose files are missing are left out with a word; scikit-learn's digits are always there.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from scorch.commands.console import Console, seconds
from scorch.commands.options import positive

__all__ = ["HELP", "configure", "run"]

HELP = "compare FORML with other methods of fair training"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("action", choices=("bench",), help="what to do")
    parser.add_argument("--quick", action="store_true", help="few seeds and settings, small data, short training")
    parser.add_argument("--data", type=Path, default=None, help="folder of data sets (default: SCORCH_DATA)")
    parser.add_argument("--celeba", type=Path, default=None, help="folder of CelebA, which is left out otherwise")
    parser.add_argument(
        "--out", type=Path, default=Path("fairness-bench"), help="results, kept for going on (default: %(default)s)"
    )
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="only these methods")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="only these data sets")
    parser.add_argument("--seeds", type=positive, default=None, help="test runs (default: 10, quick 3)")
    parser.add_argument("--budget", type=positive, default=None, help="settings tried (default: 6, quick 2)")
    parser.add_argument("--no-sparsity", action="store_true", help="leave out fair pruning")
    parser.add_argument("--workers", type=positive, default=2, help="processes of one thread each (default: 2)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the benchmark; 2 if a library of the extra is missing."""
    try:
        import fairlearn  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        console.say(f"The benchmark needs {error.name}: pip install 'scorch[fairness]'")
        return 2
    return _bench(args, console)


def _bench(args: argparse.Namespace, console: Console) -> int:
    from dataclasses import replace

    from scorch.fairness import bench

    plan = _plan(args)
    there, missing = bench.available(plan)
    for name, why in missing.items():
        console.say(f"left out: {name} ({why})")
    plan = replace(plan, datasets=there)
    journal = bench.Journal(args.out / ("quick.jsonl" if plan.quick else "full.jsonl"))
    done = len(journal.results)
    if done:
        console.say(f"{done} runs are in {journal.path} already and are not repeated")
    with console.progress(bench.total(plan)) as advance:
        bench.execute(plan, journal, advance)
    _report(plan, journal, args.out, console)
    return 0


def _plan(args: argparse.Namespace) -> Any:
    """The plan of the arguments; raises FairnessError for names that there are not."""
    from scorch.fairness import bench
    from scorch.fairness.errors import FairnessError
    from scorch.fairness.methods import METHODS

    data = args.data or (Path(os.environ["SCORCH_DATA"]) if os.environ.get("SCORCH_DATA") else None)
    for given, known, what in ((args.methods, METHODS, "method"), (args.datasets, bench.DATASETS, "data set")):
        for name in given or ():
            if name not in known:
                raise FairnessError(f"there is no {what} {name!r}; there are {', '.join(known)}")
    return bench.Plan(
        datasets=tuple(args.datasets or bench.DATASETS),
        methods=tuple(args.methods or METHODS),
        seeds=args.seeds or (3 if args.quick else 10),
        budget=args.budget or (2 if args.quick else 6),
        quick=args.quick,
        data=data,
        celeba=args.celeba,
        workers=args.workers,
        sparsity=not args.no_sparsity,
    )


def _report(plan: Any, journal: Any, out: Path, console: Console) -> None:
    """The tables, on the console and as a Markdown file, and the page of plots."""
    from scorch.fairness import bench
    from scorch.fairness.bench import tables

    rows = bench.rows(plan, journal)
    lines = bench.lines(rows)
    pieces: list[tuple[str, list[str], list[list[str]]]] = []
    for dataset in dict.fromkeys(line.dataset for line in lines):
        cells = [tables.line_cells(line) for line in lines if line.dataset == dataset]
        pieces.append((f"{dataset}, {plan.seeds} seeds", tables.HEADER, cells))
    sparse = bench.sparse_rows(plan, journal)
    if sparse:
        pieces.append(("fair pruning, digits_long_tail", tables.SPARSE_HEADER, tables.sparse_cells(sparse)))
    pieces.append(("the cost of a step", ["network", "method", "time", "x plain"], _costs()))
    for title, header, cells in pieces:
        console.say()
        console.table(title, header, cells)
    kinds = {name: dataset.comparison for name, dataset in bench.DATASETS.items()}
    claims = [tables.claim_text(claim) for claim in bench.claims(rows, kinds)]
    for text in claims:
        console.say(text)
    text = "\n\n".join(f"## {title}\n\n{tables.markdown(header, cells)}" for title, header, cells in pieces)
    notes = "\n".join(f"- {claim}" for claim in claims)
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(f"{text}\n\n{notes}\n\n{_settings(plan, journal)}\n", encoding="utf-8")
    console.say(f"\nwritten: {out / 'table.md'}{_draw(out / 'page.png', lines, sparse)}")


def _costs() -> list[list[str]]:
    from scorch.fairness import bench

    return [[c.network, c.method, seconds(c.seconds), f"{c.ratio:.2f}"] for c in bench.step_costs()]


def _settings(plan: Any, journal: Any) -> str:
    """What tuning chose, as Markdown."""
    from scorch.fairness import bench
    from scorch.fairness.bench.tables import markdown

    cells = [
        [dataset, method, ", ".join(f"{k}={v}" for k, v in bench.chosen(plan, journal, dataset, method).items())]
        for dataset, method in bench.tuned(plan, journal)
    ]
    return f"## chosen settings\n\n{markdown(['data set', 'method', 'setting'], cells)}"


def _draw(path: Path, lines: Any, sparse: Any) -> str:
    try:
        from scorch.fairness.bench.page import draw
    except ImportError:
        return ""
    try:
        draw(path, lines, sparse)
    except ImportError as error:
        return f" (no plots: {error.name} is missing)"
    return f", {path}"
