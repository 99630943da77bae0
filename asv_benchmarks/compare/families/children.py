"""Measurements that need a process of their own: run a child, read the JSON on its last line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["run"]

_ROOT = Path(__file__).resolve().parents[3]
_TIMEOUT = 300


def run(*arguments: str, environment: dict[str, str] | None = None) -> Any:
    """What `python -m asv_benchmarks.compare.child ARGUMENTS` prints; RuntimeError with its last words."""
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "asv_benchmarks.compare.child", *arguments],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["the child process failed"])[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])
