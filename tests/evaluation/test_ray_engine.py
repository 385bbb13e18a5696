"""Jobs fanned out with Ray on this machine: all are done, a killed worker's again, and errors come back."""

import os
import signal
import sys
from functools import partial

import pytest

from sanerf.errors import MissingExtraError
from sanerf.evaluation.engines import run_here
from sanerf.evaluation.ray_engine import ray_engine


def squared(folder, number):
    """A square; the first worker that is asked for that of 3 is killed."""
    (folder / f"{number}_{os.getpid()}").touch()
    if number == 3 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if number < 0:
        raise ValueError("no negative numbers")
    return number**2


def test_a_killed_workers_job_is_done_again_and_nothing_is_lost(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="needs the extra ray: pip install 'sanerf[ray]'")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Workers need not find this module: cloudpickle carries what is registered by value.
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    found = {}
    with ray_engine(2) as engine:
        engine(partial(squared, tmp_path), [1, 2, 3, 4], found.__setitem__)
        with pytest.raises(ValueError, match="no negative numbers"):
            engine(partial(squared, tmp_path), [-1], found.__setitem__)
    assert found == {1: 1, 2: 4, 3: 9, 4: 16}
    tries = [path.name.partition("_")[0] for path in tmp_path.iterdir()]
    assert sorted(tries) == ["-1", "1", "2", "3", "3", "4", "killed"]


def test_here_each_result_is_told_before_the_next_job():
    seen = []
    run_here(lambda item: seen.append(("did", item)), [1, 2], lambda item, result: seen.append(("told", item)))
    assert seen == [("did", 1), ("told", 1), ("did", 2), ("told", 2)]


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sanerf\[ray\]'"), ray_engine(2):
        pass
