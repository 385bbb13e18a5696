"""Commands as a script runs them, and what they leave: exit codes, lines on stdout and stderr, files."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


def in_a_process(*arguments: object, prelude: str = "") -> Ended:
    """The command in a process of its own; `prelude` runs before it."""
    code = f"{prelude}\nfrom sanerf.cli.main import main\nmain()"
    command = ["-c", code] if prelude else ["-m", "sanerf.cli.main"]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *command, *map(str, arguments)],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def assert_refused(ended: Ended, message: str) -> None:
    """Exit code 2, and one sentence after what was going on; nothing on stdout."""
    assert ended.code == 2, ended
    assert ended.out == "" and "Traceback" not in ended.err
    said = [line for line in ended.err.splitlines() if line.startswith("sanerf: ")]
    assert len(said) == 1 and ended.err.splitlines()[-1] == said[0], ended.err
    assert re.search(message, said[0]), said[0]


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name[0] != ".")


def size_of(path: Path) -> tuple[str, tuple[int, int]]:
    with Image.open(path) as opened:
        return opened.mode, opened.size
