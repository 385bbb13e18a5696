"""Which kernels serve which device, and what is said where none can."""

import importlib.util
import logging

import pytest
import torch

from sanerf.errors import MissingExtraError, UserError
from sanerf.kernels import numba_hash, reference
from sanerf.kernels.backend import kernels_for

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def without_numba(monkeypatch):
    kernels_for.cache_clear()
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "numba" else real(name, *rest))
    yield
    kernels_for.cache_clear()


def test_auto_is_numba_on_the_cpu_and_torch_elsewhere():
    assert kernels_for("auto", CPU).name == "numba"
    assert kernels_for("auto", CPU).hash_encode is numba_hash.hash_encode
    assert kernels_for("auto", CUDA).name == "torch"
    assert kernels_for("torch", CPU).hash_encode is reference.hash_encode


def test_backends_that_cannot_serve_are_named():
    with pytest.raises(UserError, match="triton"):
        kernels_for("triton", CPU)
    with pytest.raises(UserError, match="numba backend runs on the CPU, not on cuda"):
        kernels_for("numba", CUDA)


@pytest.mark.usefixtures("without_numba")
def test_without_numba_auto_is_torch_and_numba_names_its_extra():
    assert kernels_for("auto", CPU).name == "torch"
    with pytest.raises(MissingExtraError, match=r"sanerf\[cpu\]"):
        kernels_for("numba", CPU)


def test_the_choice_is_logged_once(caplog):
    kernels_for.cache_clear()
    with caplog.at_level(logging.INFO, logger="sanerf"):
        for _ in range(3):
            kernels_for("torch", CPU)
    assert [record.getMessage() for record in caplog.records] == ["kernels: torch on cpu"]
