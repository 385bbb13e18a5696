"""Which kernels serve which device, and what is said where none can."""

import importlib.util
import logging
import os
from types import SimpleNamespace

import pytest
import torch

from sanerf.errors import MissingExtraError, UserError
from sanerf.kernels import numba_hash, numba_rays, reference
from sanerf.kernels.backend import compiles_first, kernels_for

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def without_twins(monkeypatch):
    """As if neither numba nor triton were installed."""
    kernels_for.cache_clear()
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in ("numba", "triton") else real(name, *rest)
    )
    yield
    kernels_for.cache_clear()


def test_auto_is_numba_on_the_cpu():
    assert kernels_for("auto", CPU).name == "numba"
    assert kernels_for("auto", CPU).hash_encode is numba_hash.hash_encode
    assert kernels_for("torch", CPU).hash_encode is reference.hash_encode


def test_whether_training_will_compile_is_told_by_numbas_own_files(tmp_path, monkeypatch):
    density = torch.ones(2, 3, requires_grad=True)
    numba_rays.composite_weights(density, torch.ones(2, 3)).sum().backward()
    assert not compiles_first(kernels_for("numba", CPU)) and not compiles_first(kernels_for("torch", CPU))
    real = numba_rays._weights_backward

    def another_process(folder: object) -> SimpleNamespace:
        return SimpleNamespace(stats=SimpleNamespace(cache_path=str(folder)), __name__=real.__name__, signatures=[])

    # What this one has compiled, or has read, lies where another looks for it.
    monkeypatch.setattr(numba_rays, "_weights_backward", another_process(real.stats.cache_path))
    assert not compiles_first(kernels_for("numba", CPU))
    monkeypatch.setattr(numba_rays, "_weights_backward", another_process(tmp_path))
    assert compiles_first(kernels_for("numba", CPU))
    kept = tmp_path / f"numba_rays.{real.__name__}-175.py311.nbi"
    kept.touch()
    assert not compiles_first(kernels_for("numba", CPU))
    # Of a source that has changed since, it is of no use.
    os.utime(kept, (0, 0))
    assert compiles_first(kernels_for("numba", CPU))


@pytest.mark.gpu
def test_auto_is_triton_on_cuda():
    pytest.importorskip("triton", reason="triton is not installed: pip install 'sanerf[cuda]'")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    assert kernels_for("auto", CUDA).name == "triton"


def test_where_triton_does_not_work_auto_is_torch_and_says_why(monkeypatch, caplog):
    triton_rays = pytest.importorskip("sanerf.kernels.triton_rays", reason="triton is not installed")

    def fails(*_):
        raise RuntimeError("no C compiler\nwas found")

    monkeypatch.setattr(triton_rays, "composite_weights", fails)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: None)  # which a machine without CUDA cannot make there
    kernels_for.cache_clear()
    with caplog.at_level(logging.INFO, logger="sanerf"):
        assert kernels_for("auto", CUDA).name == "torch"
    warning = "the triton backend does not work on this machine (no C compiler was found); use --backend torch"
    assert [record.getMessage() for record in caplog.records] == [warning, "kernels: torch on cuda"]
    with pytest.raises(UserError, match="no C compiler was found"):
        kernels_for("triton", CUDA)
    kernels_for.cache_clear()


def test_backends_that_cannot_serve_are_named(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(UserError, match="triton backend runs on CUDA devices, not on cpu"):
        kernels_for("triton", CPU)
    with pytest.raises(UserError, match="numba backend runs on the CPU, not on cuda"):
        kernels_for("numba", CUDA)


@pytest.mark.usefixtures("without_twins")
def test_without_numba_and_triton_auto_is_torch_and_they_name_their_extras():
    assert kernels_for("auto", CPU).name == "torch"
    assert kernels_for("auto", CUDA).name == "torch"
    with pytest.raises(MissingExtraError, match=r"sanerf\[cpu\]"):
        kernels_for("numba", CPU)
    with pytest.raises(MissingExtraError, match=r"sanerf\[cuda\]"):
        kernels_for("triton", CUDA)


def test_the_choice_is_logged_once(caplog):
    kernels_for.cache_clear()
    with caplog.at_level(logging.INFO, logger="sanerf"):
        for _ in range(3):
            kernels_for("torch", CPU)
    assert [record.getMessage() for record in caplog.records] == ["kernels: torch on cpu"]
