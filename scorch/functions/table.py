"""Imports every file of implementations, each of which registers its functions."""

from scorch.functions import (
    casting,
    comparison,
    creation,
    elementwise,
    indexing,
    joining,
    products,
    queries,
    reductions,
    selection,
    shapes,
    softmax,
    sorting,
    triangles,
    unary,
)

__all__ = [
    "casting",
    "comparison",
    "creation",
    "elementwise",
    "indexing",
    "joining",
    "products",
    "queries",
    "reductions",
    "selection",
    "shapes",
    "softmax",
    "sorting",
    "triangles",
    "unary",
]
