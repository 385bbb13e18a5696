"""Where a benchmark's jobs are done. There is one engine so far: here, one after the other."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sanerf.progress import Progress

Work = Callable[[Any, Progress], Any]
"""Does one item, and says how far it has come."""
Engine = Callable[[Work, Sequence[Any], Progress], Iterator[tuple[Any, Any]]]
"""`engine(work, items, progress)` does `work` on each item, and gives each with its result as soon as that is there."""


def run_here(work: Work, items: Sequence[Any], progress: Progress) -> Iterator[tuple[Any, Any]]:
    """All items in this process, in their order."""
    for item in items:
        yield item, work(item, progress)
