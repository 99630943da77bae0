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
# This source tree comes last on the path: where a build of Scorch is installed, the child measures that one.
_START = f"""import runpy, sys
sys.path.append({str(_ROOT)!r})
runpy.run_module("asv_benchmarks.compare.child", run_name="__main__", alter_sys=True)"""


def run(*arguments: str, environment: dict[str, str] | None = None) -> Any:
    """What `python -m asv_benchmarks.compare.child ARGUMENTS` prints; RuntimeError with its last words."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _START, *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["the child process failed"])[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])
