"""The functions of the Array API standard and their status: run on dense and sparse arrays against array-api-strict.

python -m asv_benchmarks.array_api            # print the list
python -m asv_benchmarks.array_api --write    # and write docs/array_api.md
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import array_api_strict as strict
import numpy as np
import torch

import scorch
from scorch import array_api

PAGE = Path(__file__).resolve().parent.parent / "docs" / "array_api.md"
DATA = np.array([[0.0, 1.5, 0.0, -2.0], [0.0, 0.0, 0.25, 0.0], [4.0, 0.0, -1.0, 0.0]])
OTHER = np.array([[2.0, 0.0, 0.0, 1.0], [0.0, 3.0, 0.5, 0.0], [4.0, -1.0, 0.0, 0.0]])

Call = Callable[[Any, Any, Any], Any]


def one(name: str) -> Call:
    return lambda xp, x, y: getattr(xp, name)(x)


def two(name: str) -> Call:
    return lambda xp, x, y: getattr(xp, name)(x, y)


def integers(name: str) -> Call:
    return lambda xp, x, y: getattr(xp, name)(xp.astype(x, xp.int64), xp.abs(xp.astype(y, xp.int64)))


def truths(name: str) -> Call:
    return lambda xp, x, y: getattr(xp, name)(x != 0, y != 0)


def along(name: str) -> Call:
    def call(xp: Any, x: Any, y: Any) -> Any:
        function = getattr(xp, name)
        return [function(x, axis=0), function(x, axis=-1, keepdims=True), function(x)]

    return call


CALLS: dict[str, Call] = {
    **{
        name: one(name)
        for name in (
            "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "exp", "expm1", "floor",
            "isfinite", "isinf", "isnan", "log", "log10", "log1p", "log2", "negative", "positive", "reciprocal",
            "round", "sign", "signbit", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "nonzero",
            "empty_like",
            "zeros_like", "ones_like", "matrix_transpose", "tril", "triu", "unstack", "unique_values",
        )
    },
    **{
        name: two(name)
        for name in (
            "add", "atan2", "copysign", "divide", "equal", "floor_divide", "greater", "greater_equal", "hypot", "less",
            "less_equal", "logaddexp", "maximum", "minimum", "multiply", "nextafter", "not_equal", "pow", "remainder",
            "subtract", "tensordot", "vecdot",
        )
    },
    **{
        name: integers(name)
        for name in ("bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor")
    },
    **{name: truths(name) for name in ("logical_and", "logical_or", "logical_xor")},
    **{
        name: along(name)
        for name in (
            "all", "any", "argmax", "argmin", "count_nonzero", "max", "mean", "min", "prod", "std", "sum", "var",
        )
    },
    "bitwise_invert": lambda xp, x, y: xp.bitwise_invert(xp.astype(x, xp.int32)),
    "logical_not": lambda xp, x, y: xp.logical_not(x != 0),
    "clip": lambda xp, x, y: xp.clip(x, -1.0, 1.0),
    "conj": lambda xp, x, y: xp.conj(xp.astype(x, xp.complex128)),
    "imag": lambda xp, x, y: xp.imag(xp.astype(x, xp.complex128)),
    "real": lambda xp, x, y: xp.real(xp.astype(x, xp.complex128)),
    "arange": lambda xp, x, y: xp.arange(2, 9, 3),
    "asarray": lambda xp, x, y: xp.asarray([[1.0, 2.0]], dtype=xp.float32),
    "empty": lambda xp, x, y: xp.empty((2, 0), dtype=xp.float64),
    "eye": lambda xp, x, y: xp.eye(2, 3, k=1, dtype=xp.float64),
    "from_dlpack": lambda xp, x, y: xp.from_dlpack(xp.ones(3, dtype=xp.float64)),
    "full": lambda xp, x, y: xp.full((2, 2), 3, dtype=xp.int64),
    "full_like": lambda xp, x, y: xp.full_like(x, 2.0),
    "linspace": lambda xp, x, y: xp.linspace(0.0, 1.0, 5, dtype=xp.float64),
    "meshgrid": lambda xp, x, y: xp.meshgrid(xp.arange(2), xp.arange(3)),
    "ones": lambda xp, x, y: xp.ones((2, 1), dtype=xp.float64),
    "zeros": lambda xp, x, y: xp.zeros(3, dtype=xp.int32),
    "astype": lambda xp, x, y: xp.astype(x, xp.float32),
    "broadcast_arrays": lambda xp, x, y: xp.broadcast_arrays(x, xp.reshape(y, (3, 1, 4))),
    "broadcast_to": lambda xp, x, y: xp.broadcast_to(x, (2, 3, 4)),
    "concat": lambda xp, x, y: [xp.concat((x, y), axis=1), xp.concat((x, y), axis=None)],
    "expand_dims": lambda xp, x, y: xp.expand_dims(x, axis=1),
    "flip": lambda xp, x, y: [xp.flip(x), xp.flip(x, axis=0)],
    "moveaxis": lambda xp, x, y: xp.moveaxis(x, 0, 1),
    "permute_dims": lambda xp, x, y: xp.permute_dims(x, (1, 0)),
    "repeat": lambda xp, x, y: xp.repeat(x, 2, axis=1),
    "reshape": lambda xp, x, y: xp.reshape(x, (2, 6)),
    "roll": lambda xp, x, y: [xp.roll(x, 2), xp.roll(x, 1, axis=1)],
    "squeeze": lambda xp, x, y: xp.squeeze(xp.expand_dims(x, axis=0), axis=0),
    "stack": lambda xp, x, y: xp.stack((x, y), axis=1),
    "tile": lambda xp, x, y: xp.tile(x, (2, 1)),
    "take": lambda xp, x, y: xp.take(x, xp.asarray([2, 0, 2]), axis=1),
    "take_along_axis": lambda xp, x, y: xp.take_along_axis(x, xp.asarray([[1], [0], [3]]), axis=1),
    "matmul": lambda xp, x, y: xp.matmul(x, xp.matrix_transpose(y)),
    "where": lambda xp, x, y: xp.where(x > 0, x, y),
    "isin": lambda xp, x, y: xp.isin(xp.astype(x, xp.int64), xp.asarray([0, 1])),
    "broadcast_shapes": lambda xp, x, y: xp.broadcast_shapes((2, 1), (3,)),
    "diff": lambda xp, x, y: xp.diff(x, axis=0),
    "sort": lambda xp, x, y: xp.sort(x, axis=0),
    "argsort": lambda xp, x, y: xp.argsort(x + 10 * y, axis=1),
    "searchsorted": lambda xp, x, y: xp.searchsorted(xp.asarray([0.0, 1.0]), xp.asarray([0.5, 2.0])),
    "cumulative_sum": lambda xp, x, y: xp.cumulative_sum(x, axis=1, include_initial=True),
    "cumulative_prod": lambda xp, x, y: xp.cumulative_prod(x, axis=0),
    "unique_all": lambda xp, x, y: tuple(xp.unique_all(x)),
    "unique_counts": lambda xp, x, y: tuple(xp.unique_counts(x)),
    "unique_inverse": lambda xp, x, y: tuple(xp.unique_inverse(x)),
    "isdtype": lambda xp, x, y: xp.isdtype(x.dtype, ("real floating", "bool")),
    "can_cast": lambda xp, x, y: xp.can_cast(x.dtype, xp.float32),
    "finfo": lambda xp, x, y: xp.finfo(x.dtype).bits,
    "iinfo": lambda xp, x, y: xp.iinfo(xp.int8).max,
    "result_type": lambda xp, x, y: xp.result_type(x, xp.float32) == xp.float64,
    "__array_namespace_info__": lambda xp, x, y: xp.__array_namespace_info__().default_device() is not None,
}  # fmt: skip
"""A call of each function of the standard, in the namespace xp, on two (3, 4) arrays of float64."""


ABSENT_QUOTIENT = ("divide", "floor_divide", "remainder")


def plain(result: Any) -> Any:
    """A result as numpy arrays."""
    if isinstance(result, tuple | list):
        return [plain(part) for part in result]
    if isinstance(result, scorch.Tensor):
        return result.validate().to_dense().numpy()
    return np.asarray(result)


def compare(name: str, format: str | None) -> None:
    """Raise unless the call gives what array-api-strict gives, in values, shape and number type."""
    arrays = [array_api.asarray(scorch.tensor(torch.from_numpy(part), format)) for part in (DATA, OTHER)]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = plain(CALLS[name](strict, strict.asarray(DATA), strict.asarray(OTHER)))
        found = plain(CALLS[name](array_api, *arrays))
    found, expected = (part if isinstance(part, list) else [part] for part in (found, expected))
    assert len(found) == len(expected), f"{len(found)} results, not {len(expected)}"
    for left, right in zip(found, expected, strict=True):
        assert left.shape == right.shape, f"shape {left.shape}, not {right.shape}"
        assert left.dtype == right.dtype, f"{left.dtype}, not {right.dtype}"
        if name not in ("empty", "empty_like"):
            np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-12)


def status(name: str, format: str | None) -> str:
    """ "yes", or why not."""
    if name not in CALLS or not hasattr(array_api, name):
        return "no: not in the namespace"
    try:
        compare(name, format)
    except Exception as error:  # whatever it is, the list shall say so
        if format is not None and name in ABSENT_QUOTIENT:
            return "where x is stored; 0 / 0 is absent, not nan"
        return "no: " + " ".join(str(error).split()).replace("|", "\\|")[:110]
    return "yes"


def functions() -> list[str]:
    """The functions of the standard."""
    extensions = ("fft", "linalg", "Device", "get_array_api_strict_flags", "set_array_api_strict_flags")
    skipped = (*extensions, "reset_array_api_strict_flags", "ArrayAPIStrictFlags", "ArrayAPIStrictDeprecationWarning")
    names = (name for name in strict.__all__ if callable(getattr(strict, name)) and name not in skipped)
    return sorted(name for name in names if not isinstance(getattr(strict, name), type(strict.float64)))


def markdown() -> str:
    rows = [(name, status(name, None), status(name, "csr")) for name in functions()]
    done = [sum(cell == "yes" for cell in column) for column in list(zip(*rows, strict=True))[1:]]
    lines = [f"Dense: {done[0]} of {len(rows)} functions; sparse: {done[1]}.", ""]
    lines += ["| function | dense | sparse |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


PREFACE = """# The Array API standard

Written by `python -m asv_benchmarks.array_api --write`; don't edit by hand. `scorch.array_api` is the namespace of the
standard's version 2024.12. "yes": a call gives what array-api-strict gives in values, shape and number type; for sparse
the arrays are in csr. uint16, uint32 and uint64 are left out, for torch computes with them hardly at all; so are the
`fft` and `linalg` extensions.

"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    with scorch.config.using(jit=False):
        text = markdown()
    print(text)
    if options.write:
        PAGE.write_text(PREFACE + text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
