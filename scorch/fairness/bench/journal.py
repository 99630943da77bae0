"""What was run, a JSON line a run, so that an interrupted benchmark goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["Journal", "key"]


def key(job: dict[str, Any]) -> str:
    """The text that two equal jobs share.

    >>> key({"b": 1, "a": 2}) == key({"a": 2, "b": 1})
    True
    """
    return json.dumps(job, sort_keys=True)


class Journal:
    """Results by job, in memory and in a file that only grows. A line cut off by a crash is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, dict[str, Any]] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        text = self.path.read_text()
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                self.results[key(entry["job"])] = entry["result"]
            except (ValueError, KeyError, TypeError):
                continue
        if text and not text.endswith("\n"):
            with self.path.open("a") as file:
                file.write("\n")  # or the next entry would go on in the broken line

    def __contains__(self, job: dict[str, Any]) -> bool:
        return key(job) in self.results

    def __getitem__(self, job: dict[str, Any]) -> dict[str, Any]:
        return self.results[key(job)]

    def add(self, job: dict[str, Any], result: dict[str, Any]) -> None:
        """Keep a result."""
        self.results[key(job)] = result
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"job": job, "result": result}) + "\n")
