"""A file that one process at a time holds, until it lets go or ends.

The lock is the system's own (flock, or a locked byte on Windows), so that it ends with its process however that ends: a
file left behind by a crash holds nobody up. What the file holds, the process's number, is for people.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sanerf.errors import UserError

_LOCKED_BYTE = 2**30
"""Far behind the process's number, which others must be able to read on Windows, too."""
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_REMOVALS = 100
"""How often in a row another process may take the folder away, before that is taken for a place that cannot be."""


@contextmanager
def file_lock(file: Path, doing: str, *, patience: float = 0.0) -> Iterator[None]:
    """Hold `file`. Its folder is made if need be and, if it is still empty at the end, removed again.

    Raises UserError where another process still holds it after `patience` seconds: "another command (process 4711) is
    DOING". Where the file cannot be written to, or its file system knows no locks, nothing is held; who writes there
    says what is wrong.
    """
    made: set[Path] = set()
    descriptor = None
    with suppress(OSError):
        descriptor = _patiently_locked(file, doing, patience=patience, made=made)
    try:
        yield
    finally:
        if descriptor is not None:
            _release(file, descriptor)
        with suppress(OSError):
            for folder in sorted(made, key=lambda folder: len(folder.parts), reverse=True):
                folder.rmdir()


def _patiently_locked(file: Path, doing: str, *, patience: float, made: set[Path]) -> int:
    """A descriptor of the locked file; adds to `made` the folders that were not there."""
    until = time.monotonic() + patience
    while True:
        try:
            return _locked(file, made)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                raise UserError(f"another command{_holder(file)} is {doing}") from error
        time.sleep(0.02)


def _locked(file: Path, made: set[Path]) -> int:
    """The same at once: BlockingIOError where another process has it, another OSError where there are no locks."""
    removals = 0
    while True:
        try:
            made |= {folder for folder in file.parents if not folder.exists()}
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            # Whoever had it until now removed the folder that it had made.
            removals += 1
            if removals == _REMOVALS:
                raise
            continue
        try:
            _lock(descriptor)
            if _is_still(file, descriptor):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except OSError as error:
            os.close(descriptor)
            if error.errno in _HELD:
                raise BlockingIOError(*error.args) from error
            raise
        os.close(descriptor)


def _is_still(file: Path, descriptor: int) -> bool:
    """Whether `file` is what was opened: whoever had it until now may have removed it since."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


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
