"""What torch.sparse can't do on CPUs, run with Scorch: every operation on every format against the dense result.

python -m asv_benchmarks.torch_grid            # print the table
python -m asv_benchmarks.torch_grid --write    # and write docs/torch_grid.md
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import scorch

FORMATS = ("csr", "csc", "coo", "dcsr", "bsr", "csf")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "torch_grid.md"
DOUBLE = torch.float64


@dataclass(frozen=True)
class Row:
    """An operation: where torch.sparse has it, and a check that raises unless the result is that of dense torch.

    The check is given a sparse tensor and the same tensor dense: a matrix, or a batch of matrices for csf unless
    `matrix_only`.
    """

    operation: str
    torch_has: str
    check: Callable[[scorch.Tensor, torch.Tensor], None]
    matrix_only: bool = False


ROWS: list[Row] = []


def row(operation: str, torch_has: str, matrix_only: bool = False) -> Callable[[Any], Any]:
    def register(check: Any) -> Any:
        ROWS.append(Row(operation, torch_has, check, matrix_only))
        return check

    return register


def example(rank: int = 2, dtype: torch.dtype = DOUBLE) -> torch.Tensor:
    """A dense tensor (4, 6) or (2, 4, 6) with two thirds zeros, an empty row and a full column."""
    generator = torch.Generator().manual_seed(rank)
    shape = (2, 4, 6)[3 - rank :]
    dense = torch.randint(1, 5, shape, generator=generator) * (torch.rand(shape, generator=generator) < 0.35)
    dense[..., 3] = 2
    dense[..., 1, :] = 0
    return dense.to(dtype)


def as_sparse(dense: torch.Tensor, format: str) -> scorch.Tensor:
    """The tensor in a format of the table; blocks are 2 x 2."""
    return scorch.tensor(dense, "bsr(2,2)" if format == "bsr" else format)


def same(found: Any, expected: torch.Tensor) -> None:
    """Raise unless values, shape and number type are equal."""
    made = found.to_dense() if isinstance(found, scorch.Tensor) else found
    torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-6)


def other_formats(rank: int) -> Iterable[str]:
    return ("csr", "csc", "coo", "dcsr", "bsr") if rank == 2 else ("csf", "coo")


# --- the rows -----------------------------------------------------------------------------------------------


@row("S @ D", "coo csr csc bsr")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    D = torch.arange(18.0, dtype=DOUBLE).reshape(6, 3)
    same(S @ D, s @ D)
    same(torch.matmul(S, D), s @ D)


@row("D @ S", "coo csr csc")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    D = torch.arange(8.0, dtype=DOUBLE).reshape(2, 4)
    same(D @ S, D @ s)


@row("S @ v", "coo csr csc bsr")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    same(S @ torch.arange(6.0, dtype=DOUBLE), s @ torch.arange(6.0, dtype=DOUBLE))


@row("S @ S, every pair", "coo csr csc")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    for format in other_formats(S.ndim):
        same(S @ as_sparse(s.mT.contiguous(), format), s @ s.mT)


@row("S + S, every pair", "coo csr")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    t = s.flip(-1)
    for format in other_formats(S.ndim):
        same(S + as_sparse(t, format), s + t)


@row("S * S, every pair", "coo csr")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    t = s.flip(-1)
    for format in other_formats(S.ndim):
        same(S * as_sparse(t, format), s * t)


@row("S * D", "coo csr")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    D = torch.arange(1.0, s.numel() + 1, dtype=DOUBLE).reshape(s.shape)
    same(S * D, s * D)


@row("S * v (broadcast)", "coo")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    v = torch.arange(1.0, 7, dtype=DOUBLE)
    same(S * v, s * v)
    same(S * v[:4, None], s * v[:4, None])


@row("S / D, S / v", "none")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    v = torch.arange(1.0, 7, dtype=DOUBLE)
    same(S / v, s / v)
    same(S / v.expand(s.shape), s / v)


@row("S.sum(dim), mean", "coo (csr only with keepdim)")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    for dim in range(-s.ndim, s.ndim):
        for keepdim in (False, True):
            same(S.sum(dim, keepdim), s.sum(dim, keepdim))
            same(S.mean(dim, keepdim), s.mean(dim, keepdim))


@row("S.amax, amin(dim)", "none")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    for dim in range(s.ndim):
        same(S.amax(dim), s.amax(dim))
        same((-S).amin(dim, keepdim=True), (-s).amin(dim, keepdim=True))


@row("softmax, log_softmax", "coo")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    for dim in range(s.ndim):
        absent = S.to("coo" if s.ndim == 2 else "csf").with_values(torch.ones(S.to("coo").nnz)).to_dense() == 0
        filled = torch.where(absent, -torch.inf, s)
        for function in (torch.softmax, torch.log_softmax):
            expected = torch.where(absent, 0.0, function(filled, dim))
            same(function(S, dim), expected)


@row("S[2]", "coo csr")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    same(S[-1], s[-1])
    same(S[0, 2], s[0, 2])


@row("S[1:3], S[idx], S[mask]", "none")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    idx = torch.tensor([1, 0, 1])
    for key in ((slice(1, 3),), (..., slice(1, None, 2)), (idx,), (..., idx), (torch.arange(len(s)) > 0,)):
        same(S[key], s[key])
    same(S[S > 2], s[s > 2])


@row("index_select", "coo")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    for dim in range(s.ndim):
        same(S.index_select(dim, torch.tensor([1, 1, 0])), s.index_select(dim, torch.tensor([1, 1, 0])))


@row("relu, abs, neg ... (f(0) = 0)", "all")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    for name in ("relu", "abs", "neg", "sqrt", "sin", "tanh", "expm1", "floor", "sign", "isnan"):
        found = getattr(torch, name)(S)
        assert isinstance(found, scorch.Tensor)
        same(found, getattr(torch, name)(s))


@row("exp, cos ... (f(0) != 0)", "none")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    out = torch.empty(s.shape, dtype=DOUBLE)
    same(torch.exp(S, out=out), s.exp())
    with contextlib.suppress(scorch.UnsupportedError):
        torch.exp(S)
        raise AssertionError("exp became dense without being asked")


@row("sampled_addmm (SDDMM)", "csr")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    A = torch.ones(*s.shape[:-1], 3, dtype=DOUBLE)
    B = torch.arange(18.0, dtype=DOUBLE).reshape(3, 6).expand(*s.shape[:-2], 3, 6)
    stored = S.with_values(torch.ones_like(S.values)).to_dense()
    same(torch.sparse.sampled_addmm(S, A, B, beta=0.5, alpha=2), 0.5 * s + 2 * (A @ B) * stored)


@row('sparse.mm(reduce="amax" ...)', "csr", matrix_only=True)
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    D = torch.arange(18.0, dtype=DOUBLE).reshape(6, 3)
    stored = S.with_values(torch.ones_like(S.values)).to_dense()
    coo = scorch.tensor(torch.where(stored == 1, s, torch.nan), "coo", fill=torch.nan).coords()
    explicit = torch.sparse_coo_tensor(coo, s[tuple(coo)], s.shape).to_sparse_csr()
    for reduce in ("sum", "mean", "amax", "amin"):
        same(torch.sparse.mm(S, D, reduce), torch.sparse.mm(explicit, D, reduce))


@row('einsum "ik,kj->ij" S, D', "none")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    D = torch.arange(18.0, dtype=DOUBLE).reshape(6, 3)
    for notation in ("...ik,kj->...ij", "...ik,kj->...ji"):
        same(torch.einsum(notation, S, D), torch.einsum(notation, s, D))


@row('einsum "ij,ij->ij"', "coo")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    same(torch.einsum("...ij,...ij->...ij", S, S), s * s)
    same(scorch.einsum("...ij,...ij->...i", S, s), (s * s).sum(-1))


@row("cat, stack", "coo")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    for dim in range(s.ndim):
        same(torch.cat([S, S], dim), torch.cat([s, s], dim))
        same(torch.stack([S, S], dim), torch.stack([s, s], dim))


@row("reshape, view, transpose, permute", "partly")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    same(S.reshape(-1), s.reshape(-1))
    same(S.view(*s.shape[:-2], 3, 8), s.view(*s.shape[:-2], 3, 8))
    same(S.transpose(-1, -2), s.transpose(-1, -2))
    same(S.permute(*reversed(range(s.ndim))), s.permute(*reversed(range(s.ndim))))


@row("level arrays by DLPack", "none")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    for level in S.level_arrays:
        for array in level.values():
            assert torch.equal(torch.from_dlpack(array), array)
    assert torch.equal(torch.from_dlpack(S.values), S.values)


@row("torch.compile(fullgraph=True)", "none")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    D = torch.ones(6, 3, dtype=DOUBLE)

    def layer(S: scorch.Tensor, D: torch.Tensor) -> torch.Tensor:
        product = S @ D if S.ndim == 2 else scorch.einsum("bik,kj->bij", S, D, out_format="dense")
        return torch.relu(product)

    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    same(compiled(S, D), torch.relu(s @ D))


@row("dtypes of S @ D", "coo: 7 of 9; csr csc bsr: floats only")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    for dtype in (
        torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int8, torch.int32, torch.int64,
    ):  # fmt: skip
        D = torch.ones(6, 3, dtype=dtype)
        same(S.to(dtype) @ D, s.to(dtype) @ D)
    D = torch.eye(6, dtype=torch.bool)
    same(S.to(torch.bool) @ D, s.to(torch.bool))


@row("gradient of S in A @ D, on the pattern", "dense")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    D = torch.arange(18.0, dtype=DOUBLE).reshape(6, 3)
    made = S.clone().detach().requires_grad_()
    plain = s.clone().requires_grad_()
    (made @ D).square().sum().backward()
    (plain @ D).square().sum().backward()
    assert made.grad is not None
    assert plain.grad is not None
    same(made.grad.values.reshape(-1), plain.grad[tuple(S.coords())])


@row("backward of S @ S, S * D, twice", "none")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    D = torch.arange(1.0, s.numel() + 1, dtype=DOUBLE).reshape(s.shape)
    values = S.values.detach().clone().requires_grad_()

    def product(values: torch.Tensor) -> torch.Tensor:
        return (S.with_values(values) * D).values

    def square(values: torch.Tensor) -> torch.Tensor:
        A = S.with_values(values)
        return (A @ A.mT).values

    for function in (product, square):
        assert torch.autograd.gradcheck(function, values)
        assert torch.autograd.gradgradcheck(function, values)


@row("batches with unequal nnz", "raises", matrix_only=True)
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    batch = torch.stack([S, torch.triu(S)])
    dense = torch.stack([s, torch.triu(s)])
    D = torch.arange(36.0, dtype=DOUBLE).reshape(2, 6, 3)
    for format in ("dense, dense, compressed", "compressed, dense, compressed", "csf"):
        same(torch.bmm(batch.to(format), D), dense @ D)


@row("3-d, 4-d ... contraction", "bmm for coo")
def _(S: scorch.Tensor, s: torch.Tensor) -> None:
    D = torch.arange(36.0, dtype=DOUBLE).reshape(6, 3, 2)
    same(torch.tensordot(S, D, 1), torch.tensordot(s, D, 1))
    same(torch.einsum("...ik,klm->...ilm", S, D), torch.einsum("...ik,klm->...ilm", s, D))


# --- the table ----------------------------------------------------------------------------------------------


@dataclass
class Grid:
    """What each row gave for each format: "" where the check passed, else the reason."""

    results: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def green(self) -> int:
        return sum(not reason for reason in self.results.values())

    def markdown(self) -> str:
        head = ("operation", *FORMATS, "torch.sparse has it for")
        lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for one in ROWS:
            cells = ["yes" if not self.results[one.operation, format] else "**no**" for format in FORMATS]
            lines.append(f"| {one.operation} | {' | '.join(cells)} | {one.torch_has} |")
        reasons = [f"- {name}, {format}: {why}" for (name, format), why in self.results.items() if why]
        return "\n".join([*lines, "", f"{self.green} of {len(self.results)} cells pass.", "", *reasons]).rstrip() + "\n"


def tried(one: Row, format: str) -> str:
    """Why a check fails on a format; "" if it passes."""
    dense = example(3 if format == "csf" and not one.matrix_only else 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one.check(as_sparse(dense, format), dense)
    except Exception as error:  # whatever it is, the table shall say so
        text = " ".join(str(error).split()).replace("|", "\\|")
        return f"{type(error).__name__}: {text[:160]}"
    return ""


def run(rows: Iterable[Row] | None = None) -> Grid:
    """Check each operation on each format."""
    rows = ROWS if rows is None else rows
    return Grid({(one.operation, format): tried(one, format) for one in rows for format in FORMATS})


PREFACE = """# What torch.sparse does on CPUs, and Scorch

Written by `python -m asv_benchmarks.torch_grid --write`; don't edit by hand. Each cell is a check of the operation
against dense torch (values, shape, number type) on a 4 x 6 matrix, for csf on a batch of two where the operation takes
batches; bsr has blocks of 2 x 2. S is sparse, D dense, v a vector. The last column is what torch 2.13 itself can do.

"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--plain", action="store_true", help="kernels as plain Python, without Numba")
    options = parser.parse_args()
    with scorch.config.using(**({"jit": False} if options.plain else {})):
        grid = run()
    print(grid.markdown())
    if options.write:
        PAGE.write_text(PREFACE + grid.markdown(), encoding="utf-8")
    return 0 if grid.green == len(grid.results) else 1


if __name__ == "__main__":
    sys.exit(main())
