"""What goes wrong in fair training, as errors and as warnings that tests and users can filter."""

from __future__ import annotations

from scorch.errors import ScorchError

__all__ = ["CollapseWarning", "DivergenceError", "FairnessError", "FairnessWarning"]


class FairnessError(ScorchError, ValueError):
    """Data, groups or options that fair training cannot work with; the message says what to do.

    >>> issubclass(FairnessError, ValueError)
    True
    """


class DivergenceError(FairnessError, ArithmeticError):
    """A loss or a weight became NaN or infinite."""


class FairnessWarning(UserWarning):
    """Something that training survives and that may spoil what the numbers mean."""


class CollapseWarning(FairnessWarning):
    """The network predicts one class only, or the weights sit on a handful of samples."""
