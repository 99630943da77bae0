"""The command `scorch`: finds the sub-command, runs it, and turns what goes wrong into a line and an exit
code.

The sub-commands themselves are in `scorch.commands`, one file each.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from scorch.commands import COMMANDS
from scorch.commands.console import Console
from scorch.errors import ScorchError

__all__ = ["main"]

_USAGE_ERROR = 2
_INTERRUPTED = 130  # 128 + SIGINT, what a shell reports
_BROKEN_PIPE = 141  # 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run `scorch` with the given arguments (those of the process by default) and return its exit code.

    0 for success, 1 if a command found something wrong, 2 for a mistake in the arguments or in a file (one
    line on stderr; the traceback with --debug), 130 after Ctrl-C, 141 when the reader of a pipe went away.
    argparse exits by SystemExit on --help, --version and unknown options.

    >>> main(["cache", "info", "stray.mtx"])
    scorch cache info takes no files
    2
    """
    args = _parse(sys.argv[1:] if argv is None else list(argv))
    try:
        code = int(args.command.run(args, Console()))
        sys.stdout.flush()  # here, because a broken pipe shows only when the buffer is written
        return code
    except BrokenPipeError:
        _forget_stdout()
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        print("scorch: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except (ScorchError, OSError) as error:
        if args.debug:
            raise
        print(f"scorch: error: {_one_line(error)}", file=sys.stderr)
        return _USAGE_ERROR


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scorch", description="Sparse tensor kernels for PyTorch on CPUs.")
    parser.add_argument("--version", action=_Version)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    found = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        _add(found, name, importlib.import_module(f"scorch.commands.{name}"))
    args, rest = parser.parse_known_args(argv)
    if rest and not getattr(args.command, "PASSES_ON", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    return args


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, module: ModuleType) -> None:
    parser = commands.add_parser(
        name,
        help=module.HELP,
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # SUPPRESS, because a default here would overwrite what was given before the command.
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )
    module.configure(parser)
    parser.set_defaults(command=module)


class _Version(argparse.Action):
    """--version, whose text is put together only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the versions of scorch and what it stands on")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from scorch.runtime.diagnose import installed_version

        stack = ", ".join(f"{name} {installed_version(name) or 'missing'}" for name in ("numba", "torch"))
        python = ".".join(map(str, sys.version_info[:3]))
        print(f"scorch {installed_version('scorch') or '(from source)'} (Python {python}, {stack})")
        parser.exit()


def _one_line(error: BaseException) -> str:
    """The message of an error, its lines joined."""
    lines = [line.strip() for line in str(error).splitlines()]
    return "; ".join(line.rstrip(";") for line in lines if line) or type(error).__name__


def _forget_stdout() -> None:
    """Point stdout to nowhere, or Python complains about the pipe once more when it exits."""
    with contextlib.suppress(OSError, ValueError):  # replaced by something without a file, as a test does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
