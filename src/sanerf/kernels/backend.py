"""The one place where a backend is chosen: `kernels_for` gives the inner loops as one object."""

import importlib.util
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from sanerf.errors import MissingExtraError, UserError, on_one_line
from sanerf.kernels import reference

BackendName = Literal["auto", "torch", "numba", "triton"]

_log = logging.getLogger("sanerf")


@dataclass(frozen=True)
class Kernels:
    """The inner loops of one backend, to be used on `device`; signatures and meaning are those of
    `kernels.reference`."""

    name: str
    device: torch.device
    hash_encode: Callable[..., Tensor]
    place_samples: Callable[..., Tensor]
    resample: Callable[..., Tensor]
    composite_weights: Callable[..., Tensor]
    update_density_grid: Callable[..., None]


@cache
def kernels_for(backend: BackendName, device: torch.device) -> Kernels:
    """The kernels to use on a device.

    `auto` takes numba on the CPU and triton on CUDA where they are installed and work, else torch. Raises UserError for
    a backend that cannot serve the device and MissingExtraError where its package is absent.
    """
    kernels = _chosen_by_us(device) if backend == "auto" else _BACKENDS[backend](device)
    _log.info("kernels: %s on %s", kernels.name, device)
    return kernels


def compiles_first(kernels: Kernels) -> bool:
    """Whether the kernels are compiled when a training first uses them, which takes a while, as far as files tell."""
    if kernels.name != "numba":
        return False
    from sanerf.kernels import numba_rays

    return not numba_rays.is_compiled()


def _chosen_by_us(device: torch.device) -> Kernels:
    if device.type == "cpu" and _installed("numba"):
        return _numba(device)
    if device.type == "cuda" and _installed("triton"):
        try:
            return _triton(device)
        except UserError as error:
            _log.warning("%s", error)
    return _torch(device)


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _torch(device: torch.device) -> Kernels:
    return Kernels(
        "torch",
        device,
        reference.hash_encode,
        reference.place_samples,
        reference.resample,
        reference.composite_weights,
        reference.update_density_grid,
    )


def _numba(device: torch.device) -> Kernels:
    if device.type != "cpu":
        raise UserError(f"the numba backend runs on the CPU, not on {device.type}; use --backend torch")
    if not _installed("numba"):
        raise MissingExtraError("numba", "cpu")
    from sanerf.kernels import numba_hash, numba_rays

    return Kernels(
        "numba",
        device,
        numba_hash.hash_encode,
        numba_rays.place_samples,
        numba_rays.resample,
        numba_rays.composite_weights,
        numba_rays.update_density_grid,
    )


def _triton(device: torch.device) -> Kernels:
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise UserError(
            f"the triton backend runs on CUDA devices, not on {device.type}; use --backend auto, or set "
            "TRITON_INTERPRET=1 to try it out in Triton's slow interpreter"
        )
    if not _installed("triton"):
        raise MissingExtraError("triton", "cuda")
    try:
        from sanerf.kernels import triton_hash, triton_rays

        # Triton builds its launcher with the machine's C compiler, and compiles for a GPU that it may not know.
        triton_rays.composite_weights(torch.ones(1, 1, device=device), torch.ones(1, 1, device=device))
    except Exception as error:
        raise UserError(
            f"the triton backend does not work on this machine ({on_one_line(error)}); use --backend torch"
        ) from error
    return Kernels(
        "triton",
        device,
        triton_hash.hash_encode,
        triton_rays.place_samples,
        triton_rays.resample,
        triton_rays.composite_weights,
        triton_rays.update_density_grid,
    )


_BACKENDS: dict[str, Callable[[torch.device], Kernels]] = {"torch": _torch, "numba": _numba, "triton": _triton}
