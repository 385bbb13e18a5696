"""Results that outlive an interruption: a file of one JSON object a line, each under a key that says what it is of.

A line is added whole and flushed to the disk. What a crash left of a line is dropped when the file is opened again, and
so are lines that are no such object.
"""

import json
import os
from pathlib import Path
from typing import Any

from sanerf.files import write_text


class KeptLines:
    """The results in a file, or, without one, in memory alone."""

    def __init__(self, path: Path | None):
        self._path = path
        self._by_key: dict[str, dict[str, Any]] = {}
        if path is None or not path.exists():
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        good = [(line, entry) for line in text.splitlines() if (entry := _entry(line)) is not None]
        self._by_key = dict(entry for _, entry in good)
        whole = "".join(f"{line}\n" for line, _ in good)
        if whole != text:
            write_text(path, whole)

    def get(self, key: str) -> dict[str, Any] | None:
        """What was kept under `key`."""
        return self._by_key.get(key)

    def add(self, key: str, value: dict[str, Any]) -> None:
        """Keep `value`, which JSON can hold."""
        self._by_key[key] = value
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"key": key, "value": value}, allow_nan=False) + "\n"
        with open(self._path, "ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def _entry(line: str) -> tuple[str, dict[str, Any]] | None:
    """Key and value of a whole line, None for anything else."""
    try:
        content = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(content, dict) and isinstance(content.get("value"), dict)
    return (content["key"], content["value"]) if whole and isinstance(content.get("key"), str) else None
