"""Plan, compile, run. Knows nothing of gradients or of the classes that users see.

`evaluate` takes one statement over entries, `compute` several whole ones; programs are kept for operands like these.
"""

from scorch.engine.expression import AnyProgram, choices, copy, evaluate, prepare
from scorch.engine.kept import find, remember, settings
from scorch.engine.problem import problem_of, result_type
from scorch.engine.program import Program
from scorch.engine.statements import Filled, Observer, are_filled, compute, prepare_product

__all__ = [
    "AnyProgram",
    "Filled",
    "Observer",
    "Program",
    "are_filled",
    "choices",
    "compute",
    "copy",
    "evaluate",
    "find",
    "prepare",
    "prepare_product",
    "problem_of",
    "remember",
    "result_type",
    "settings",
]
