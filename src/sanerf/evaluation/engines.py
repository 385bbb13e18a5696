"""Where a benchmark's jobs are done: in this process, one after the other, or by Ray's workers (`ray_engine`)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from sanerf.progress import Progress

EngineName = Literal["local", "ray"]
Work = Callable[[Any, Progress], Any]
"""Does one item, and says how far it has come."""
Engine = Callable[[Work, Sequence[Any], Progress], Iterator[tuple[Any, Any]]]
"""`engine(work, items, progress)` does `work` on each item, and gives each with its result as soon as that is there."""


def run_here(work: Work, items: Sequence[Any], progress: Progress) -> Iterator[tuple[Any, Any]]:
    """All items in this process, in their order."""
    for item in items:
        yield item, work(item, progress)


def open_engine(name: EngineName, workers: int, device: str) -> AbstractContextManager[Engine]:
    """An engine that ends with the `with` block, for jobs that compute on a kind of device. MissingExtraError where its
    package is not installed."""
    if name == "local":
        return nullcontext(run_here)
    from sanerf.evaluation.ray_engine import RayEngine

    return RayEngine(workers, device)
