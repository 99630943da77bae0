"""Look at the cache of generated and compiled kernels, empty it, or fill it beforehand.

info    where it is, how much is in it, what in it is of no use
clear   delete what scorch wrote there; other files stay
warm    compile the common kernels, or those of `--families`, so that later runs start at once; for FILEs,
        what `scorch demo` runs on them
"""

from __future__ import annotations

import argparse

from scorch.commands.common import FAMILIES, jobs
from scorch.commands.console import Console
from scorch.commands.options import positive

__all__ = ["HELP", "configure", "run"]

_SHOWN = 5  # entries of a kind; after an update all of them may be stale
HELP = "show, empty or fill the kernel cache"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("action", choices=("info", "clear", "warm"), help="what to do")
    parser.add_argument("files", nargs="*", metavar="FILE", help="for warm: tensors to compile for")
    parser.add_argument(
        "--families",
        type=_families,
        default=FAMILIES,
        metavar="NAME[,NAME]",
        help=f"for warm: of {', '.join(FAMILIES)} (default: all)",
    )
    parser.add_argument("--list", action="store_true", help="for warm: say what would be compiled, and leave")
    parser.add_argument("--k", type=positive, default=64, help="for warm: columns of the dense factors (default: 64)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do what was asked for; 2 for files where none belong."""
    if args.files and args.action != "warm":
        console.say(f"scorch cache {args.action} takes no files")
        return 2
    return {"info": _info, "clear": _clear, "warm": _warm}[args.action](args, console)


def _info(args: argparse.Namespace, console: Console) -> int:
    from scorch.emit.cache import directory
    from scorch.runtime.diagnose import readable_bytes
    from scorch.runtime.inventory import survey

    found = survey(directory())
    console.say(f"directory  {found.path}{'' if found.exists else ' (not there yet)'}")
    console.say(f"writable   {'yes' if found.writable else 'no: each process compiles what is not there'}")
    console.say(f"kernels    {found.kernels} generated, {found.compiled} compiled")
    console.say(f"size       {readable_bytes(found.bytes)}")
    for name, entries in (("stale", found.stale), ("damaged", found.damaged)):
        for entry in entries[:_SHOWN]:
            console.say(f"{name:<9}  {entry}")
        if len(entries) > _SHOWN:
            console.say(f"{name:<9}  and {len(entries) - _SHOWN} more")
    return 0


def _clear(args: argparse.Namespace, console: Console) -> int:
    from scorch.emit.cache import directory
    from scorch.runtime.diagnose import readable_bytes
    from scorch.runtime.inventory import clear, survey

    count, size = clear(directory())
    console.say(f"Deleted {count} files, {readable_bytes(size)}, from {directory()}")
    left = survey(directory())
    if left.bytes:
        console.say(f"{readable_bytes(left.bytes)} could not be deleted")
    return 1 if left.bytes else 0


def _families(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in FAMILIES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no family {unknown[0]!r}; there are {', '.join(FAMILIES)}")
    return names


def _warm(args: argparse.Namespace, console: Console) -> int:
    from scorch.config import config

    if args.list:
        for job in jobs(args.families):
            console.say(f"{job.family:<11}  {job.text}")
        return 0
    if args.files:
        _warm_files(args, console)
    else:
        _warm_families(args, console)
    console.say(f"The kernels are in {config.cache_dir}")
    return 0


def _warm_families(args: argparse.Namespace, console: Console) -> None:
    from scorch.commands.console import seconds
    from scorch.demo.measure import time_call

    todo = list(jobs(args.families))
    with console.progress(len(todo)) as advance:
        for job in todo:
            advance(f"{job.family}: {job.text}")
            taken, _ = time_call(job.call)
            console.say(f"{seconds(taken):>8}  {job.family:<11}  {job.text}")


def _warm_files(args: argparse.Namespace, console: Console) -> None:
    from scorch.commands.console import seconds
    from scorch.demo import from_file, matrix_cases, tensor_cases
    from scorch.demo.measure import time_call

    subjects = [from_file(path) for path in args.files]
    with console.progress(sum(3 + (subject.matrix is not None) for subject in subjects)) as advance:
        for subject in subjects:
            for case in (matrix_cases if subject.matrix is not None else tensor_cases)(subject, args.k):
                advance(f"{subject.name}: {case.name}")
                taken, _ = time_call(next(c.call for c in case.contenders if c.label == "scorch"))
                console.say(f"{seconds(taken):>8}  {case.name}, {subject.name}")
