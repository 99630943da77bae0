"""The report: machine, a table a family, a summary, failures; as text, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from . import roofline
from .families import FAMILIES
from .model import CaseResult
from .ratios import Summary, summarise
from .table import Rows, aligned, family_rows, markdown, summary_rows

if TYPE_CHECKING:
    from scorch.runtime.rates import Rates

__all__ = ["as_json", "as_markdown", "as_text", "failures", "summaries"]


def as_text(machine: dict[str, str], results: Sequence[CaseResult], rates: Rates | None = None) -> str:
    """The whole report in aligned text."""
    width = max(map(len, machine), default=0)
    head = "\n".join(f"{key:<{width}}  {value}" for key, value in machine.items())
    return "\n\n".join([head, *_sections(results, rates, aligned, "{}")]) + "\n"


def as_markdown(machine: dict[str, str], results: Sequence[CaseResult], rates: Rates | None = None) -> str:
    """The whole report in Markdown."""
    head = "\n".join(f"- {key}: {value}" for key, value in machine.items())
    return "\n\n".join([head, *_sections(results, rates, markdown, "## {}")]) + "\n"


def as_json(machine: dict[str, str], results: Sequence[CaseResult], rates: Rates | None = None) -> str:
    """Everything that was measured: values in nanoseconds (latencies, too) or bytes (memory)."""
    document = {
        "machine": machine,
        "rates": asdict(rates) if rates is not None else None,
        "results": [asdict(result) for result in results],
        "summary": [asdict(summary) for summary in summaries(results)],
    }
    return json.dumps(document, indent=1) + "\n"


def summaries(results: Sequence[CaseResult]) -> list[Summary]:
    """A summary a family, over all its cases and over the real ones; several variants have one each, too."""
    found = []
    for name, mine in _by_family(results).items():
        if not FAMILIES[name].averaged:
            continue
        found.append(summarise(name, mine))
        real = [result for result in mine if result.real]
        if real and len(real) < len(mine):
            found.append(summarise(f"{name}, real matrices", real))
        variants = list(dict.fromkeys(result.variant for result in mine))
        for variant in variants if len(variants) > 1 else ():
            alike = [result for result in mine if result.variant == variant]
            if len(alike) > 1:
                found.append(summarise(f"{name} {variant}", alike))
    return found


def failures(results: Sequence[CaseResult]) -> list[str]:
    """Contenders that did not run or were wrong, once each with the number of cases."""
    counts: dict[tuple[str, str, str], list[str]] = {}
    for result in results:
        for outcome in result.outcomes:
            why = f"WRONG: {outcome.wrong}" if outcome.wrong else outcome.error
            if why:
                counts.setdefault((result.family, outcome.label, why), []).append(result.case)
    return [
        f"{family}: {label}: {why} ({cases[0]}{f' and {len(cases) - 1} more' if len(cases) > 1 else ''})"
        for (family, label, why), cases in counts.items()
    ]


def _sections(
    results: Sequence[CaseResult], rates: Rates | None, render: Callable[[Rows], str], title: str
) -> list[str]:
    sections = []
    for name, mine in _by_family(results).items():
        family = FAMILIES[name]
        about = f"\n{family.about}" if family.about else ""
        sections.append(title.format(f"{family.title} ({family.unit})") + about)
        sections.append(render(family_rows(family, mine)))
        if family.closing is not None and (words := family.closing(mine)):
            sections.append(words)
    if rates is not None:
        sections += [title.format("Roofline: the machine") + "\n" + roofline.RATES, render(roofline.rate_rows(rates))]
        sections += [title.format("Roofline: scorch") + "\n" + roofline.BOUNDS]
        sections.append(render(roofline.roofline_rows(results, rates)) or "No case here has a bound.")
        if ahead := roofline.ahead_rows(results, rates):
            sections += [title.format("Roofline: how far ahead") + "\n" + roofline.AHEAD, render(ahead)]
    totals = summaries(results)
    if totals:
        sections.append(title.format("Summary: best counted rival / scorch") + "\n" + _legend())
        sections.append(render(summary_rows(totals)))
    failed = failures(results)
    if failed:
        sections.append(title.format("What did not run"))
        sections.append("\n".join(f"- {line}" for line in failed))
    return sections


def _legend() -> str:
    return (
        "Medians of interleaved calls. Ratios are to the best of torch.sparse and scipy; above 1, "
        "scorch is ahead. ~ marks unsorted rows, - what did not run. Peak MiB: what a call of scorch, and of the "
        "best rival, takes at most beyond its operands, the result included."
    )


def _by_family(results: Sequence[CaseResult]) -> dict[str, list[CaseResult]]:
    found: dict[str, list[CaseResult]] = {}
    for result in results:
        found.setdefault(result.family, []).append(result)
    return found
