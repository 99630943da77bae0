"""`python -m asv_benchmarks.compare`: run the cases, print the tables.

The exit status is 1 when a result of Scorch was wrong, 2 when no case was found, else 0: slow is no failure.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean
from time import monotonic
from typing import TYPE_CHECKING

from . import document, families, machine, peers, report
from .model import CaseResult, Options
from .options import parse
from .peers import deepsparse_engine
from .progress import progress
from .ratios import ratio

if TYPE_CHECKING:
    from scorch.runtime.rates import Rates

__all__ = ["main", "run"]

_KEEP = 30  # seconds from one writing of what is there to the next


def main(words: Sequence[str] | None = None) -> int:
    """The command: parse, measure, print, write. Returns the exit status."""
    options = parse(words)
    warnings.filterwarnings("ignore", message="Sparse .* tensor support is in beta state")
    if options.list:
        print("\n".join(case.id for _, case in families.select(options)))
        return 0
    before, others = machine.watch()
    _warn(machine.busy_warning(others))
    _warn("\n".join(f"{name} is passed over: {why}" for name, why in peers.passed_over().items()))
    if options.data is None:
        _warn("No real data: give --data DIR or set SCORCH_DATA. Only generated matrices are measured.")
    if options.threads:
        peers.set_threads(options.threads)
    if options.deepsparse:
        _warn(deepsparse_engine.start(options.deepsparse))
    rates = _rates(options)
    results = run(options)
    if not results:
        _warn("no case matches")
        return 2
    after = machine.Load.now()
    described = machine.describe()
    described["took"] = f"{(after.clock - before.clock) / 60:.1f} min"
    described["load"] = f"{before.average:.2f} before, {after.average:.2f} after (this run included)"
    described["others"] = f"other processes used {before.others(after):.2f} cores during the run"
    _write(options, described, results, rates)
    _warn(machine.busy_warning(before.others(after)))
    return int(any(outcome.wrong for result in results for outcome in result.outcomes if outcome.peer == "scorch"))


def run(options: Options) -> list[CaseResult]:
    """Measure every selected case; an interruption ends the run, and what is there is reported.

    A run of many minutes that a machine ends leaves what it measured in the file of `--json`.
    """
    selected = list(families.select(options))
    deadline = monotonic() + 60 * options.within if options.within else None
    results: list[CaseResult] = []
    kept = monotonic()
    beside: dict[str, list[float]] = defaultdict(list)  # seconds of each family's cases that were not their rounds'
    with progress(len(selected)) as show:
        try:
            for number, (family, case) in enumerate(selected):
                show(case.id, "")
                paced = _paced(options, deadline, [each.name for each, _ in selected[number:]], beside)
                start = monotonic()
                result = family.measure(case, paced)
                beside[family.name].append(max(0.0, monotonic() - start - paced.budget))
                results.append(result)
                if options.json is not None and monotonic() > kept + _KEEP:
                    options.json.write_text(
                        report.as_json({"ended": "before all cases"}, results, None), encoding="utf-8"
                    )
                    kept = monotonic()
                value = ratio(result)
                show(case.id, f"{value:.2f}" if value is not None else "no ratio")
        except KeyboardInterrupt:
            _warn("interrupted: the report covers what was measured before")
    return results


def _paced(
    options: Options, deadline: float | None, left: Sequence[str], beside: Mapping[str, Sequence[float]]
) -> Options:
    """The options with a budget that leaves time for the cases that are left, given by their families.

    What operands, compilations and checks take, which no budget stops, is expected to be what they took in the family's
    cases so far; half of the time where none is known.
    """
    if deadline is None:
        return options
    share = max(0.0, deadline - monotonic()) / len(left)
    known = [mean(beside[family]) if beside.get(family) else share / 2 for family in left]
    return replace(options, budget=min(options.budget, max(0.0, share - mean(known))))


def _rates(options: Options) -> Rates | None:
    """The rates of the machine, where they are asked for."""
    if not options.roofline:
        return None
    from scorch.runtime.rates import measure_rates

    return measure_rates(options.threads)


def _write(options: Options, described: dict[str, str], results: list[CaseResult], rates: Rates | None) -> None:
    print(report.as_text(described, results, rates))
    if options.markdown is not None:
        document.write(options.markdown, report.as_markdown(described, results, rates))
    if options.json is not None:
        options.json.write_text(report.as_json(described, results, rates), encoding="utf-8")


def _warn(text: str) -> None:
    if text:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
