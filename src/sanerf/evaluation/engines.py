"""Where a benchmark's jobs are done. There is one engine so far: here, one after the other."""

from collections.abc import Callable, Sequence
from typing import Any

Engine = Callable[[Callable[[Any], Any], Sequence[Any], Callable[[Any, Any], None]], None]
"""`engine(work, items, on_done)` does `work` on each item; `on_done` gets each item with its result, in this process,
as soon as it is there."""


def run_here(work: Callable[[Any], Any], items: Sequence[Any], on_done: Callable[[Any, Any], None]) -> None:
    """All items in this process, in their order."""
    for item in items:
        on_done(item, work(item))
