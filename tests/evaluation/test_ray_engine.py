"""Jobs by Ray: on a local cluster of two workers, whose killed worker's job is done again; and without Ray."""

import importlib.util
import os
import signal
import time

import pytest
import torch

from sanerf.errors import MissingExtraError, UserError, WorkerLostError
from sanerf.evaluation import ray_engine
from sanerf.evaluation.engines import open_engine
from sanerf.evaluation.ray_engine import RayEngine

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'sanerf[ray]'"
)


def silent(*_):
    """Who does not want to know."""


@pytest.fixture
def two_workers():
    with open_engine("ray", 2, "cpu") as engine:
        yield engine


@needs_ray
@pytest.mark.slow
def test_two_workers_share_the_cores_and_a_killed_ones_job_is_done_again(two_workers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def work(item, progress):
        if item == "dies once" and not os.path.exists("died"):
            with open("died", "w") as file:
                file.write(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "waits":
            # A result is handed over while others are still at work: this ends only once the first is there.
            until = time.monotonic() + 60
            while not os.path.exists("first") and time.monotonic() < until:
                time.sleep(0.05)
            return os.path.exists("first")
        return os.getpid(), torch.get_num_threads()

    items, results = ["waits", "dies once", "a", "b", "c"], {}
    for item, result in two_workers(work, items, silent):
        results[item] = result
        (tmp_path / "first").touch()
    assert results.keys() == set(items) and results.pop("waits") is True
    died = int((tmp_path / "died").read_text())
    pids = {pid for pid, _ in results.values()}
    assert died not in {os.getpid(), results["dies once"][0]} and os.getpid() not in pids
    assert {threads for _, threads in results.values()} == {max(1, torch.get_num_threads() // 2)}
    # Control-C and its kin are answered as before, and the same workers take more.
    assert signal.getsignal(signal.SIGTERM) is before
    assert list(two_workers(lambda item, progress: item + 1, [1], silent)) == [(1, 2)]
    assert list(two_workers(work, [], silent)) == []


@needs_ray
@pytest.mark.slow
def test_a_refusal_crosses_in_its_own_words_and_a_job_that_always_kills_leaves_the_others(two_workers, monkeypatch):
    def work(item, progress):
        if item == "refused":
            raise UserError("no such cup")
        if item == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    with pytest.raises(UserError, match=r"^no such cup$"):
        list(two_workers(work, ["refused"], silent))
    monkeypatch.setattr(ray_engine, "RETRIES", 1)
    done = []
    with pytest.raises(WorkerLostError, match="the workers of 1 job were killed again and again"):
        for item, _ in two_workers(work, ["a", "kills", "b", "c"], silent):
            done.append(item)
    assert sorted(done) == ["a", "b", "c"]


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"this needs ray, .* pip install 'sanerf\[ray\]'"):
        RayEngine(2, "cpu")
