"""The most memory that this process holds, in all and in parts of its work. Memory of a GPU is not counted.

Linux can forget the mark of the peak for a process itself (proc_pid_clear_refs(5)): it is set back to what is held
then. Elsewhere there is one peak alone, of the whole process.
"""

import sys
from contextlib import suppress
from pathlib import Path

_FORGET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def peak_memory_gb() -> float | None:
    """The most memory this process has held so far, or since it was forgotten, in 1e9 bytes to two decimals. None where
    the system has no such account for Python's standard library to read, as on Windows."""
    with suppress(OSError, ValueError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e9, 2)
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 2)


class PeakMemory:
    """The peaks of the parts of a process's work, of which one begins where another ends, and that of all of it. What
    earlier parts left in memory counts in the later ones."""

    def __init__(self):
        self._before: list[float] = []
        self._told_apart = False

    def begin_part(self) -> None:
        """Let a part begin. Its peak can be told where the system forgets what was before."""
        before = peak_memory_gb()
        self._told_apart = False
        with suppress(OSError):
            _FORGET.write_text("5")
            self._told_apart = True
        if before is not None:
            self._before = [max([before, *self._before])]

    def of_part_gb(self) -> float | None:
        """The peak of the part so far; None where it cannot be told."""
        return peak_memory_gb() if self._told_apart else None

    def in_all_gb(self) -> float | None:
        """The peak of all the work so far, of before the first part, too."""
        now = peak_memory_gb()
        return None if now is None else max([now, *self._before])
