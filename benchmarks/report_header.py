"""What the file of every benchmark begins with, and its tables: the machine, its load, versions, commit, seed."""

import importlib.util
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from datetime import date
from importlib import metadata
from pathlib import Path

import torch

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PACKAGES = ("torch", "numba", "triton")


def facts_at_start(device: torch.device, seed: int) -> dict[str, object]:
    """What is to be known of a benchmark's surroundings. Called first: the load is then that of others."""
    return {
        "machine": machine(device),
        "load at the beginning": load(),
        "versions": versions(),
        "commit": commit(),
        "date": date.today().isoformat(),
        "seed": seed,
    }


class OtherPrograms:
    """What other programs do on this machine from the making of this object on: a load average holds our own work."""

    def __init__(self):
        self._busy, self._own, self._began = _busy_seconds(), _own_seconds(), time.monotonic()

    def cores(self) -> float | None:
        """Cores' worth of work, on average so far, of all processes but this one and its ended children.

        Includes what a virtual machine's host takes away. None where the system does not tell.
        """
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        others = (busy - self._busy) - (_own_seconds() - self._own)
        return max(0.0, others / (time.monotonic() - self._began))


def cores_text(cores: float | None) -> str:
    return "unknown" if cores is None else f"{cores:.2f} cores"


def _busy_seconds() -> float | None:
    """The seconds that all cores together have worked since the machine started."""
    file = Path("/proc/stat")
    if not file.is_file():
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, file.read_text(encoding="utf-8").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    return sum(os.times()[:4])


def machine(device: torch.device) -> str:
    """The device's name as the system has it; of a CPU also its cores and the threads that torch and numba use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = f"torch {torch.get_num_threads()}"
    if importlib.util.find_spec("numba"):
        import numba

        threads += f", numba {numba.get_num_threads()}"
    return f"{names[0] if names else platform.processor()}, {cores} cores; threads: {threads}"


def load() -> str:
    """How many programs ran or waited on average over the last minute and five, a benchmark just before this one too.

    0 to 0.2 is an idle machine.
    """
    if not hasattr(os, "getloadavg"):
        return "unknown"
    one, five, _ = os.getloadavg()
    return f"{one:.2f} over a minute, {five:.2f} over five (an idle machine has less than 0.2)"


def versions() -> str:
    """Python and the packages that do the work, where they are installed."""
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def commit() -> str:
    """The checkout's commit, and whether files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True).stdout.strip()

    # Not the results, which the benchmarks themselves change.
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!results")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")


def header(title: str, facts: dict[str, object]) -> list[str]:
    """The lines that a file begins with, up to its first table."""
    return [f"# {title}", "", *(f"- {key}: {value}" for key, value in facts.items()), ""]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> list[str]:
    """A Markdown table; the first `words` columns hold words, the others numbers."""
    rule = ["---" if index < words else "--:" for index in range(len(columns))]
    lines = ["| " + " | ".join(columns) + " |", "|" + "|".join(rule) + "|"]
    for row in rows:
        assert len(row) == len(columns), (row, columns)
        lines.append("| " + " | ".join(row) + " |")
    return lines
