"""Dense products of shapes that models have: graph features, autoencoders, a decoder block."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Case, Family, Options
from asv_benchmarks.compare.tasks.products import dense_product, turned_product

from .operands import dense

__all__ = ["FAMILY"]

# samples, features in, features out
_SHAPES = (
    (2048, 1024, 768),
    (48000, 128, 192),
    (18333, 6805, 64),
    (13752, 767, 64),
    (2708, 1433, 16),
    (18333, 64, 15),
    (256, 784, 2048),
    (256, 1024, 2048),
    (1000, 784, 256),
    (128, 576, 1536),
    (128, 576, 576),
    (8, 784, 2048),
)
_QUICK_SHAPES = ((200, 96, 50),)


def _operands(n: int, k: int, m: int, turned: bool) -> tuple[Any, ...]:
    return dense(n, k), dense(*((m, k) if turned else (k, m)), seed=2)


def _cases(options: Options) -> Iterator[Case]:
    for shape in _QUICK_SHAPES if options.quick else _SHAPES:
        for turned in (False, True):
            yield Case(
                family="products",
                matrix="x".join(map(str, shape)),
                variant="X W.T" if turned else "X W",
                operation="turned_product" if turned else "dense_product",
                load=partial(_operands, *shape, turned),
                reference=turned_product if turned else dense_product,
            )


FAMILY = Family(
    "products",
    "Dense products: samples x features in, features out",
    "ms",
    _cases,
    timing.measure,
    about="X W.T: the weight as torch.nn.Linear stores it. Where the schedule expects torch to be faster, torch it is.",
)
