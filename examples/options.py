"""The command lines of the examples: the first lines of a file are its help, and a wrong value is told in one line."""

from __future__ import annotations

import argparse

__all__ = ["above_zero", "parser", "rate", "seed", "share"]


def parser(text: str | None) -> argparse.ArgumentParser:
    """A parser whose help begins with the docstring of the example, as it stands there."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def above_zero(text: str) -> int:
    """A whole number from 1 on."""
    if not _is_whole(text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number above 0 is needed, not {text!r}")
    return int(text)


def seed(text: str) -> int:
    """A seed that NumPy and torch both take."""
    if not _is_whole(text) or not 0 <= int(text) < 2**32:
        raise argparse.ArgumentTypeError(f"a whole number from 0 to 2**32 - 1 is needed, not {text!r}")
    return int(text)


def share(text: str) -> float:
    """A share that leaves something over: 0 <= share < 1."""
    number = _number(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"a share from 0 to below 1 is needed, not {text!r}")
    return number


def rate(text: str) -> float:
    """A learning rate: a number above 0."""
    number = _number(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, not {text!r}")
    return number


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _number(text: str) -> float:
    """The number, or NaN, which is within no bounds."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
