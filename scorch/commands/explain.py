"""Print the plan that scorch chooses for an einsum over the tensors in files, and why.

The FILEs are the operands in order. An operand for which "-" or nothing is given is a dense one of random
numbers, of the files' number type; the extents that no file tells are K. A file is taken in the format in
which it is read (.mtx and .tns: coo) unless --format gives another, one for all or a list with commas.

    scorch explain "ik,kj->ij" email-Enron.mtx.gz --format csr
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
    parser.add_argument("--k", type=positive, default=64, help="extent of the indices that no file tells (default: 64)")
    parser.add_argument(
        "--format",
        default="",
        metavar="NAMES",
        help='format of the files, such as "csr" or "csr,csc"; default: as they are read',
    )
    parser.add_argument("--source", action="store_true", help="print the generated source too")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the explanation."""
    import scorch

    found = operands(args.notation, args.files, args.k, args.format.split(","))
    explanation = scorch.explain(args.notation, *found)
    console.say(str(explanation))
    if args.source:
        console.say(f"\n{explanation.source}")
    return 0


def operands(notation: str, files: Sequence[str], k: int, formats: Sequence[str] = ("",)) -> list[Any]:
    """Read the operands that have a file and make up the others.

    `formats` has a name for each file, or one for all; "" keeps what the file gives. Raises NotationError if there are
    more files than operands, or dense ones to make up for an ellipsis, FormatError if the number of formats is neither,
    and what `scorch.read` raises.
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
    names = iter(_formats(formats, sum(source != "-" for source in sources)))
    found = [None if source == "-" else scorch.read(source, format=next(names)) for source in sources]
    extents: dict[str, int] = {}
    for term, tensor in zip(terms, found, strict=True):
        if tensor is not None and len(term) == tensor.ndim:  # a wrong rank is for `scorch.explain` to report
            extents |= dict(zip(term, tensor.shape, strict=True))
    if any("." in term for term, tensor in zip(terms, found, strict=True) if tensor is None):
        raise NotationError(f"{notation!r}: an operand with an ellipsis needs a file, its rank is unknown otherwise")
    known = [tensor.dtype for tensor in found if tensor is not None and tensor.dtype.is_floating_point]
    dtype = known[0] if known else torch.float32
    generator = torch.Generator().manual_seed(0)

    def dense(term: str) -> Any:
        return torch.rand([extents.get(index, k) for index in term], generator=generator, dtype=dtype)

    return [dense(term) if tensor is None else tensor for term, tensor in zip(terms, found, strict=True)]


def _formats(names: Sequence[str], files: int) -> list[str | None]:
    """A format for each file.

    >>> _formats(["csr"], 2), _formats([""], 1), _formats(["csr", ""], 2)
    (['csr', 'csr'], [None], ['csr', None])
    """
    from scorch.errors import FormatError

    each = list(names) * files if len(names) == 1 else list(names)
    if len(each) != files:
        raise FormatError(f"{len(names)} formats are given for {files} files; give one, or one for each")
    return [name.strip() or None for name in each]
