"""What all commands share: options, the device, progress on stderr, results on stdout."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import tyro

from sanerf.errors import UserError
from sanerf.peak_memory import peak_memory_gb
from sanerf.torchrun import is_first_process

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class CommonOptions:
    """Options of every command."""

    in_parallel: ClassVar[bool] = False
    """whether torchrun may start the command as several processes that work together"""
    goes_on: ClassVar[bool] = False
    """whether the same command, after an interruption, goes on from what was done"""
    needs_less: ClassVar[str] = "smaller pictures need less"
    """what would need less memory, said where that is used up"""

    seed: int = 0
    """seed of every random choice"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute; auto takes a CUDA device where there is one"""
    json: bool = False
    """print one JSON object, alone, on stdout"""


def optional(metavar: str) -> object:
    """How help shows an option that need not be given: `metavar`, where tyro would show "{None}|PATH" and a default of
    None. The option's help says what happens without it."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="(optional)")


def open_device(options: CommonOptions) -> "torch.device":
    """The torch device of `--device`. UserError where CUDA is asked for and absent."""
    import torch

    available = torch.cuda.is_available()
    if options.device == "cuda" and not available:
        raise UserError("--device cuda: no CUDA device is available to torch here; use --device cpu")
    return torch.device("cuda" if options.device != "cpu" and available else "cpu")


def peak_memory_note() -> str:
    """The same for a line of text."""
    memory = peak_memory_gb()
    return "peak memory unknown" if memory is None else f"peak memory {memory:.1f} GB"


def say(text: str) -> None:
    """A line for the person at the terminal, on stderr; of several processes from the first alone."""
    if is_first_process():
        print(text, file=sys.stderr, flush=True)


def print_result(options: CommonOptions, result: dict[str, Any], lines: list[str]) -> None:
    """The command's result on stdout: JSON with `--json`, else `lines`; of several processes from the first alone."""
    if is_first_process():
        print(json.dumps(result, allow_nan=False) if options.json else "\n".join(lines), flush=True)


class ProgressBars:
    """One bar an activity, drawn by rich on a terminal; elsewhere a line every five seconds and at the two ends. Of
    several processes those of the first."""

    def __init__(self):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        # Of several processes on one terminal the first alone may draw; the others' lines `say` swallows.
        self._plain = not (console.is_terminal and is_first_process())
        self._bars = Progress(
            TextColumn("{task.description:>14}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=self._plain,
        )
        self._tasks: dict[str, Any] = {}
        self._said: dict[str, float] = {}

    def __call__(self, activity: str, done: int, total: int, note: str = "") -> None:
        if self._plain:
            now = time.monotonic()
            if done in (0, total) or now - self._said.setdefault(activity, now) > 5:
                self._said[activity] = now
                say(f"{activity} {done}/{total} {note}".rstrip())
            return
        if activity not in self._tasks or done < self._bars.tasks[self._tasks[activity]].completed:
            self._tasks[activity] = self._bars.add_task(activity, note=note)
        self._bars.update(self._tasks[activity], completed=done, total=total, note=note)

    def __enter__(self) -> "ProgressBars":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


@contextmanager
def progress_bars() -> Iterator[ProgressBars]:
    """Progress bars on stderr, and the package's log lines above them; of several processes those of the first."""
    level = logging.INFO if is_first_process() else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    with ProgressBars() as bars:
        yield bars
