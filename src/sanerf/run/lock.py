"""The commands that make and change a run (`train`, `segment`, `import-field`, `relink`) work on it one at a time.

Those that read it take no lock, nor does `evaluate`, which writes RUN/report.html, whole or not at all: each file of a
run is replaced in one go, so what a reader meets is of before or of after.
"""

from contextlib import AbstractContextManager
from pathlib import Path

from sanerf.locks import file_lock

LOCK_FILE = ".lock"


def run_lock(path: Path) -> AbstractContextManager[None]:
    """Hold the run folder at `path`, which is made if need be and, if it is still empty at the end, removed again.

    Raises UserError where another process holds it. Where the folder cannot be written to, or its file system knows no
    locks, nothing is held; who writes there says what is wrong.
    """
    return file_lock(path / LOCK_FILE, f"at work on {path}; wait until it is done, or choose another folder")


def holds_files(path: Path) -> bool:
    """Whether a folder holds anything besides the lock."""
    return any(entry.name != LOCK_FILE for entry in path.iterdir())
