"""The benchmark `scorch fairness bench`: every method on every data set, tuned alike, tested once.

Nothing here prints; `scorch.commands.fairness` does.
"""

from scorch.fairness.bench.cost import step_costs
from scorch.fairness.bench.datasets import DATASETS
from scorch.fairness.bench.journal import Journal
from scorch.fairness.bench.runner import Plan, available, chosen, execute, rows, sparse_rows, total, tuned
from scorch.fairness.bench.summary import claims, lines

__all__ = [
    "DATASETS",
    "Journal",
    "Plan",
    "available",
    "chosen",
    "claims",
    "execute",
    "lines",
    "rows",
    "sparse_rows",
    "step_costs",
    "total",
    "tuned",
]
