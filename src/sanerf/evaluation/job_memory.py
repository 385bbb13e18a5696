"""The most memory that this process holds during one job, where the system can forget what went before.

Linux can, for a process itself (proc_pid_clear_refs(5)): the mark of the peak is set back to what is held now. What
earlier jobs left in memory still counts.
"""

from contextlib import suppress
from pathlib import Path

_FORGET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def forget_peak() -> bool:
    """Let the peak begin anew; whether that could be done."""
    with suppress(OSError):
        _FORGET.write_text("5")
        return True
    return False


def peak_gb() -> float | None:
    """The peak since then in 1e9 bytes, to two decimals; None where the system does not tell."""
    with suppress(OSError, ValueError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e9, 2)
    return None
