"""`--engine ray`: jobs fanned out to worker processes, by Ray (Moritz et al., OSDI 2018).

Results come back to this process, which alone keeps them. A worker that is killed takes nothing with it: its job is
done again, up to `RETRIES` times. Workers share the cores: each computes with its part of the threads.
"""

import importlib
import importlib.util
import math
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch

from sanerf.errors import DownloadError, MissingExtraError, UserError, WorkerLostError, on_one_line
from sanerf.evaluation.engines import Work
from sanerf.progress import Progress

RETRIES = 3
_STARTS = 3
"""Ray gives its node 30 seconds to come up, which no setting changes, and a busy machine may need longer: what it has
read from the disk by then makes the next start quicker."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray would kill a worker where memory is short, and do its job again for ever.
    "RAY_memory_monitor_refresh_ms": "0",
}
_STORE_BYTES = 100_000_000
"""Results are figures: the least store will do, in place of a third of the memory."""


class RayEngine:
    """An engine of `workers` processes (`sanerf.evaluation.engines.Engine`), which start with the first work and end
    with the `with` block. With RAY_ADDRESS in the environment they are that cluster's."""

    def __init__(self, workers: int, device: str):
        """`device` is the kind of device that jobs compute on. MissingExtraError where there is no Ray."""
        if importlib.util.find_spec("ray") is None:
            raise MissingExtraError("ray", "ray")
        self._workers = workers
        self._threads = max(1, torch.get_num_threads() // workers)
        # Whole workers to a GPU: shares that do not add up to one would leave some of them without.
        to_a_gpu = math.ceil(workers / max(1, torch.cuda.device_count()))
        self._gpus = 1.0 / to_a_gpu if device == "cuda" else 0.0
        self._started = False

    def __enter__(self) -> "RayEngine":
        return self

    def __exit__(self, *_: object) -> None:
        if self._started:
            _ray().shutdown()

    def __call__(self, work: Work, items: Sequence[Any], progress: Progress) -> Iterator[tuple[Any, Any]]:
        """Items and results as they come, in any order; of how far a job has come workers say nothing.

        Raises WorkerLostError, at the end, where the workers of a job were killed again and again, and what a job
        raised.
        """
        if not items:
            return
        self._start()
        ray = _ray()
        remote = ray.remote(max_retries=RETRIES, num_cpus=self._threads, num_gpus=self._gpus)(_done_by_a_worker)
        left, running, lost = iter(items), {}, []
        while True:
            for item in islice(left, self._workers - len(running)):
                running[remote.remote(work, item, self._threads, os.getcwd())] = item
            if not running:
                break
            (ended,), _ = ray.wait(list(running), num_returns=1)
            item = running.pop(ended)
            try:
                result = ray.get(ended)
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError) as error:
                lost.append(on_one_line(error))
                continue
            if isinstance(result, _Sentence):
                raise result.kind(result.text)
            yield item, result
        if lost:
            raise WorkerLostError(len(lost), lost[0])

    def _start(self) -> None:
        if self._started:
            return
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        ray, address = _ray(), os.environ.get("RAY_ADDRESS")
        for attempt in range(1, _STARTS + 1):
            try:
                with _own_signals():
                    if address:
                        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
                    else:
                        self._start_local()
                break
            except Exception as error:  # of Ray's own start, which raises no kind that is more exact
                ray.shutdown()
                if attempt == _STARTS or "timed out during startup" not in str(error):
                    where = f"at RAY_ADDRESS {address}" if address else "on this machine"
                    raise UserError(f"--engine ray: Ray does not start {where} ({on_one_line(error)})") from error
        self._started = True

    def _start_local(self) -> None:
        _ray().init(
            address="local",
            num_cpus=self._workers * self._threads,
            num_gpus=torch.cuda.device_count() if self._gpus else 0,
            object_store_memory=_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )


def _ray() -> Any:
    """The package, which is an extra."""
    return importlib.import_module("ray")


class _Sentence:
    """An error for people, whose words cross to the process that was called, without a worker's traceback."""

    def __init__(self, kind: type[UserError] | type[DownloadError], text: str):
        self.kind, self.text = kind, text


def _done_by_a_worker(work: Work, item: Any, threads: int, folder: str) -> Any:
    """The result of one item, with relative paths from `folder`."""
    os.chdir(folder)
    torch.set_num_threads(threads)
    if importlib.util.find_spec("numba") is not None:
        import numba

        numba.set_num_threads(min(threads, numba.get_num_threads()))
    try:
        return work(item, lambda *_: None)
    except UserError as error:
        return _Sentence(UserError, str(error))
    except DownloadError as error:
        return _Sentence(DownloadError, str(error))
    except OSError as error:  # as of a full disk, which is the user's to mend
        return _Sentence(UserError, on_one_line(error))


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray answers SIGTERM itself once it has started; this process goes on with its own answer."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
