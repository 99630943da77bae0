"""Plan, compile, run. Knows nothing of gradients or of the classes that users see.

`evaluate` takes one statement over entries, `compute` several whole ones; programs are kept for operands like these.
"""

from scorch.engine.copies import copy, copy_of, relevel
from scorch.engine.expression import AnyProgram, choices, evaluate, prepare
from scorch.engine.kept import find, remember, settings
from scorch.engine.problem import problem_of, result_type
from scorch.engine.program import Program
from scorch.engine.replay import Recorder, Replay, find_replay, replayed
from scorch.engine.statements import Filled, Observer, are_filled, compute, prepare_product

__all__ = [
    "AnyProgram",
    "Filled",
    "Observer",
    "Program",
    "Recorder",
    "Replay",
    "are_filled",
    "choices",
    "compute",
    "copy",
    "copy_of",
    "evaluate",
    "find",
    "find_replay",
    "prepare",
    "prepare_product",
    "problem_of",
    "relevel",
    "remember",
    "replayed",
    "result_type",
    "settings",
]
