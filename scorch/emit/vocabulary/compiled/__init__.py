"""How Numba types and lowers the vocabulary. Importing this package imports Numba and installs it all."""

from scorch.emit.vocabulary.compiled import arithmetic, checked, exponential, halves, memory, reduce, scalar, vec

__all__ = ["arithmetic", "checked", "exponential", "halves", "memory", "reduce", "scalar", "vec"]
