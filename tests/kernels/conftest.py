"""Where Triton's kernels are tested: on the GPU, or with TRITON_INTERPRET=1 in Triton's interpreter on the CPU.

The interpreter must be chosen before anything imports triton, so `test_triton_interpreter.py` starts a process for it,
which runs the same tests. On a machine with a GPU, `pytest -m gpu` runs them there.
"""

import importlib.util
import os
from dataclasses import dataclass

import pytest
import torch

from sanerf.kernels.backend import Kernels, kernels_for

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
WHERE = pytest.param("interpreter") if INTERPRETED else pytest.param("cuda", marks=pytest.mark.gpu)


@dataclass(frozen=True)
class TritonTwin:
    """Triton's kernels, their device, and how many points or rays are worth testing there."""

    kernels: Kernels
    device: torch.device
    many: int


@pytest.fixture(params=[WHERE])
def twin(request, monkeypatch) -> TritonTwin:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed: pip install 'sanerf[cuda]'")
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device; test_triton_interpreter.py runs it in the interpreter")
        device = torch.device("cuda")
        return TritonTwin(kernels_for("triton", device), device, many=20_011)
    from sanerf.kernels import triton_hash, triton_rays

    # The interpreter takes half a second a program, however much it holds.
    monkeypatch.setattr(triton_hash, "_BLOCK", 256)
    monkeypatch.setattr(triton_rays, "_RAYS", 32)
    monkeypatch.setattr(triton_rays, "_RESAMPLED", 128)
    return TritonTwin(kernels_for("triton", torch.device("cpu")), torch.device("cpu"), many=300)
