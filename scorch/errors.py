"""The one family of errors that Scorch raises for a user's mistake or a limit of the library.

Inner code raises them with a terse message. The front doors add the expression, the operands and the way out
(see `ScorchError.explain_with`). Each also derives from the built-in that a user would catch.
"""

from __future__ import annotations

from typing import Self

__all__ = [
    "CacheError",
    "DtypeError",
    "FormatError",
    "NotationError",
    "ScheduleError",
    "ScorchError",
    "ShapeError",
    "UnsupportedError",
]


class ScorchError(Exception):
    """Base of every error that Scorch raises on purpose.

    >>> issubclass(ShapeError, ScorchError) and issubclass(ShapeError, ValueError)
    True
    """

    def explain_with(self, context: str) -> Self:
        """The same error with `context` (the expression and its operands) under its message, once."""
        if getattr(self, "_explained", False):
            return self
        enriched = type(self)(f"{self}\n{context}")
        enriched._explained = True  # type: ignore[attr-defined]
        return enriched


class NotationError(ScorchError, ValueError):
    """The index notation is ill-formed, or does not fit the operands' number or rank."""


class FormatError(ScorchError, ValueError):
    """A format is unknown or ill-formed, or level arrays don't have the structure that they claim."""


class ShapeError(ScorchError, ValueError):
    """Two extents of one index differ, or a size is out of what an index type can hold."""


class DtypeError(ScorchError, TypeError):
    """A number type that Scorch or the operation does not have."""


class ScheduleError(ScorchError, RuntimeError):
    """No legal schedule, or a schedule that contradicts the expression."""


class UnsupportedError(ScorchError, NotImplementedError):
    """Legal in principle, not available here; the message says what works instead."""


class CacheError(ScorchError, OSError):
    """The kernel cache can neither be read nor written, nor replaced by a temporary one."""
