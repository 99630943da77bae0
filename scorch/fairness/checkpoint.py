"""Saving a training run so that an interrupted one ends as if it had not been interrupted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scorch.fairness.errors import FairnessError

__all__ = ["load", "save"]


def save(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a state atomically: a crash leaves the last whole one."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    torch.save(dict(state), partial)
    os.replace(partial, target)


def load(path: str | Path, fingerprint: str) -> dict[str, Any] | None:
    """The state that was written there, None if there is none.

    Raises FairnessError if it is of another run (its `fingerprint` differs), or can't be read.

    >>> load("no/such/file.pt", "x") is None
    True
    """
    if not Path(path).exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        found = state["fingerprint"]
    except Exception as error:  # torch.load raises nearly anything for a damaged file
        raise FairnessError(f"the checkpoint {path} can't be read ({error}); delete it to start anew") from error
    if found != fingerprint:
        raise FairnessError(
            f"the checkpoint {path} is of a run with other data or settings; delete it or name another file"
        )
    return state
