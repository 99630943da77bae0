"""Print the plan that scorch chooses for an einsum over the tensors in files, and why.

The FILEs are the operands in order. An operand for which "-" or nothing is given is a dense one of random
numbers; the extents that no file tells are K.

    scorch explain "ik,kj->ij" email-Enron.mtx.gz
    scorch explain "ij,id,jd->ij" mask.npz - - --k 32
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from scorch.commands.console import Console
from scorch.commands.options import positive

__all__ = ["HELP", "configure", "operands", "run"]

HELP = "print the plan of an einsum over files, with the alternatives and their costs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("notation", metavar="NOTATION", help='an einsum such as "ik,kj->ij"')
    parser.add_argument("files", nargs="+", metavar="FILE", help='an operand each; "-" for a dense one')
    parser.add_argument(
        "--k", type=positive, default=64, help="extent of the indices that no file tells (default: 64)"
    )
    parser.add_argument("--source", action="store_true", help="print the generated source too")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the explanation."""
    import scorch

    explanation = scorch.explain(args.notation, *operands(args.notation, args.files, args.k))
    console.say(str(explanation))
    if args.source:
        console.say(f"\n{explanation.source}")
    return 0


def operands(notation: str, files: Sequence[str], k: int) -> list[Any]:
    """Read the operands that have a file and make up the others.

    Raises NotationError if there are more files than operands, or dense ones to make up for an ellipsis, and
    what `scorch.read` raises.
    """
    import torch

    import scorch
    from scorch.errors import NotationError

    if "[" in notation:
        raise NotationError(f'{notation!r} is a statement; this command takes an einsum such as "ik,kj->ij"')
    terms = [term.strip() for term in notation.replace(" ", "").partition("->")[0].split(",")]
    if len(files) > len(terms):
        raise NotationError(f"{notation!r} takes {len(terms)} files at most, {len(files)} were given")
    sources = [*files, *["-"] * (len(terms) - len(files))]
    found = [None if source == "-" else scorch.read(source) for source in sources]
    extents: dict[str, int] = {}
    for term, tensor in zip(terms, found, strict=True):
        if tensor is not None and len(term) == tensor.ndim:  # a wrong rank is for `scorch.explain` to report
            extents |= dict(zip(term, tensor.shape, strict=True))
    if any("." in term for term, tensor in zip(terms, found, strict=True) if tensor is None):
        raise NotationError(
            f"{notation!r}: an operand with an ellipsis needs a file, its rank is unknown otherwise"
        )
    generator = torch.Generator().manual_seed(0)

    def dense(term: str) -> Any:
        return torch.rand([extents.get(index, k) for index in term], generator=generator)

    return [dense(term) if tensor is None else tensor for term, tensor in zip(terms, found, strict=True)]
