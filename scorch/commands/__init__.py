"""The sub-commands of `scorch`, one file each.

To add one: a module here with `HELP` (a line), `configure(parser)`, `run(args, console) -> exit code`, and
its name in `COMMANDS`. Its docstring is the text of `scorch <name> --help`. A module with `PASSES_ON = True`
gets the arguments that its parser does not know as `args.rest`.
"""

COMMANDS = ("demo", "explain", "bench", "fairness", "cache", "calibrate", "diagnose")

__all__ = ["COMMANDS"]
