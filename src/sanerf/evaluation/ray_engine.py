"""Jobs fanned out to worker processes with Ray (`pip install 'sanerf[ray]'`): a cluster of this machine's own, or the
one that RAY_ADDRESS names, whose machines must see the same folders.

A job whose worker dies is done again by another; a job that raises is not.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sanerf.errors import MissingExtraError
from sanerf.evaluation.engines import Engine

RETRIES = 10
"""How often a job is done again whose worker died."""


@contextmanager
def ray_engine(workers: int) -> Iterator[Engine]:
    """An engine of `workers` processes, which share this machine's cores; it ends with the context. MissingExtraError
    where Ray is not installed."""
    try:
        import ray
        from ray.exceptions import RayTaskError
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    cores = max(1, (os.cpu_count() or 1) // workers)
    own = "RAY_ADDRESS" not in os.environ
    # Of its own each worker gets as many threads as cores: Ray sets OMP_NUM_THREADS to a task's num_cpus.
    ray.init(num_cpus=workers * cores if own else None, include_dashboard=False, log_to_driver=False)

    def fan_out(work: Callable[[Any], Any], items: Sequence[Any], on_done: Callable[[Any, Any], None]) -> None:
        shared = ray.put(work)
        task = ray.remote(num_cpus=cores, max_retries=RETRIES)(_done)
        waiting = {task.remote(shared, item): item for item in items}
        while waiting:
            ready, _ = ray.wait(list(waiting), num_returns=1)
            for reference in ready:
                try:
                    result = ray.get(reference)
                except RayTaskError as error:
                    raise error.cause from error
                on_done(waiting.pop(reference), result)

    try:
        yield fan_out
    finally:
        ray.shutdown()


def _done(work: Callable[[Any], Any], item: Any) -> Any:
    return work(item)
