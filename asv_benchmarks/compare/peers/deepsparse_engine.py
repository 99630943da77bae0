"""DeepSparse, an engine for pruned networks, in a process of an environment of its own. Beside; it makes no ratio.

It needs an older Python and numpy than Scorch, so nothing of it is imported here: `start` runs the given interpreter
with `deepsparse_child.py`, and the two talk over pipes. Each call is timed over there when its turn in the round comes.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

import numpy as np
import torch

from asv_benchmarks.compare.model import Contender, Peer

__all__ = ["PEER", "Child", "start", "stop", "version"]

_CHILD = Path(__file__).resolve().parents[1] / "deepsparse_child.py"
_PATIENCE = 180.0  # seconds for an answer: large networks take a while to compile
# OpenMP's threads in this process keep a core busy for some milliseconds after a call: the child waits for both cores.
_SETTLE = 0.01
_ADVICE = "make an environment of Python 3.11 or older on x86-64 with: pip install 'deepsparse<1.9'"


class Child:
    """A process that holds one engine; RuntimeError when it can't start, fails, or gives no answer."""

    def __init__(self, python: str) -> None:
        self._folder = TemporaryDirectory(prefix="scorch-deepsparse-")
        self._said = Path(self._folder.name, "stderr")
        try:
            with self._said.open("wb") as said:
                self._process = subprocess.Popen(
                    [os.path.abspath(python) if os.sep in python else python, "-I", str(_CHILD)],
                    cwd=self._folder.name,  # whatever the engine writes goes away with it
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    bufsize=0,
                    env={**os.environ, "NM_DISABLE_ANALYTICS": "True"},
                )
        except OSError as error:
            self._folder.cleanup()
            raise RuntimeError(f"{python} can't be run ({error.strerror})") from None

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """The answer to one request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        except BrokenPipeError:
            raise RuntimeError(self._last_words()) from None
        if not select.select([self._process.stdout], [], [], _PATIENCE)[0]:
            self._process.kill()
            raise RuntimeError(f"no answer to {do!r} in {_PATIENCE:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(self._last_words())
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise RuntimeError(f"it says {line.decode(errors='replace').strip()[:60]!r}") from None
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def load(self, x: Any, weights: tuple[Any, ...]) -> None:
        """Make the engine of a network of these layers, for this input."""
        dense = (w.toarray() if hasattr(w, "toarray") else w for w in weights)
        np.save(Path(self._folder.name, "x.npy"), x)
        np.savez(Path(self._folder.name, "weights.npz"), **{f"w{n}": w for n, w in enumerate(dense)})
        self.ask("load", cores=torch.get_num_threads())

    def run(self) -> Any:
        """The engine's output."""
        self.ask("run")
        return np.load(Path(self._folder.name, "y.npy"))

    def time(self) -> float:
        """Nanoseconds of one call."""
        sleep(_SETTLE)
        return float(self.ask("time")["ns"])

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def _last_words(self) -> str:
        status = self._process.wait()
        words = self._said.read_text(errors="replace").strip().splitlines()
        return words[-1] if words else f"it ended with status {status}"


class _Rival:
    """The interpreter that was given, its version of DeepSparse, and the child that runs; a dead one is replaced."""

    def __init__(self) -> None:
        self.python = ""
        self.version = ""
        self.child: Child | None = None

    def load(self, x: Any, weights: tuple[Any, ...]) -> Child:
        """A child that holds the engine of a network."""
        if self.child is None or self.child.ended:
            self.stop()
            self.child = Child(self.python)
        self.child.load(x, weights)
        return self.child

    def time(self) -> float:
        """Nanoseconds of one call of the engine that was loaded last."""
        assert self.child is not None
        return self.child.time()

    def stop(self) -> None:
        if self.child is not None:
            self.child.close()
            self.child = None


_rival = _Rival()


def start(python: str) -> str:
    """Let DeepSparse take part; an empty string, or why it can't and what to do."""
    stop()
    _rival.python = python
    try:
        child = _rival.load(np.ones((1, 16), np.float32), (np.eye(16, dtype=np.float32),))
        child.run()
        _rival.version = str(child.ask("hello")["version"])
    except RuntimeError as error:
        stop()
        return f"No DeepSparse: {error}. To have it beside, {_ADVICE}, and give --deepsparse its interpreter."
    return ""


def stop() -> None:
    """DeepSparse takes no part any longer; its process ends."""
    _rival.stop()
    _rival.python = _rival.version = ""


def version() -> str:
    """The version that takes part, or an empty string."""
    return _rival.version


def _layers(x: Any, *weights: Any) -> Iterator[Contender]:
    if not _rival.version:
        return
    yield Contender("deepsparse", lambda: _rival.load(x, weights).run, clock=lambda: _rival.time())


atexit.register(stop)
PEER = Peer(name="deepsparse", operations={"autoencoder": _layers}, modules=(), counted=False)
