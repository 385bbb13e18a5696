"""One command at a time writes into a run folder: a file in it that the system keeps locked while the command lives.

The lock is the system's own (flock, or a locked byte on Windows), so that it ends with its process however that ends: a
file left behind by a crash holds nobody up. What the file holds, the process's number, is for people.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sanerf.errors import UserError

LOCK_FILE = ".lock"
_LOCKED_BYTE = 2**30
"""Far behind the process's number, which others must be able to read on Windows, too."""
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)


@contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Hold the run folder at `path`, which is made if need be and, if it is still empty at the end, removed again.

    Raises UserError where another process holds it. Where the folder cannot be written to, or its file system knows no
    locks, nothing is held; who writes there says what is wrong.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    file, descriptor = path / LOCK_FILE, None
    with suppress(OSError):
        path.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(file)
    try:
        yield
    finally:
        if descriptor is not None:
            _release(file, descriptor)
        with suppress(OSError):
            for folder in made:
                folder.rmdir()


def holds_files(path: Path) -> bool:
    """Whether a folder holds anything besides the lock."""
    return any(entry.name != LOCK_FILE for entry in path.iterdir())


def _locked(file: Path) -> int:
    """A descriptor of the locked file. UserError where another process has it, OSError where there are no locks."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor)
            # Whoever had it until now may have removed the file that was opened here.
            if file.exists() and os.path.samestat(os.fstat(descriptor), file.stat()):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _HELD:
                raise
            who = _holder(file)
            raise UserError(
                f"another command{who} is at work on {file.parent}; wait until it is done, or choose another folder"
            ) from error
        os.close(descriptor)


def _holder(file: Path) -> str:
    """As " (process 4711)", if the file says it."""
    with suppress(OSError, ValueError):
        return f" (process {int(file.read_text())})"
    return ""


def _lock(descriptor: int) -> None:
    """Lock the file until the descriptor is closed; OSError at once where it is locked."""
    if os.name == "nt":
        import msvcrt

        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _release(file: Path, descriptor: int) -> None:
    """Remove the file and end the lock, in this order; Windows removes only what nobody has open."""
    with suppress(OSError):
        if os.name != "nt":
            file.unlink()
    os.close(descriptor)
    with suppress(OSError):
        if os.name == "nt":
            file.unlink()
