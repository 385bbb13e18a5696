"""The one place where a backend is chosen: `kernels_for` gives the inner loops as one object."""

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from sanerf.errors import MissingExtraError, UserError
from sanerf.kernels import reference

BackendName = Literal["auto", "torch", "numba", "triton"]

_log = logging.getLogger("sanerf")


@dataclass(frozen=True)
class Kernels:
    """The inner loops of one backend; signatures and meaning are those of `kernels.reference`."""

    name: str
    hash_encode: Callable[..., Tensor]
    place_samples: Callable[..., Tensor]
    composite_weights: Callable[..., Tensor]
    update_density_grid: Callable[..., None]


@cache
def kernels_for(backend: BackendName, device: torch.device) -> Kernels:
    """The kernels to use on a device; `auto` takes numba on the CPU where it is installed, else torch.

    Raises UserError for a backend that cannot serve the device and MissingExtraError where numba is absent.
    """
    has_numba = importlib.util.find_spec("numba") is not None
    if backend == "triton":
        raise UserError("the triton backend comes with a later version; use --backend auto, torch or numba")
    if backend == "auto":
        backend = "numba" if device.type == "cpu" and has_numba else "torch"
    if backend == "numba":
        if device.type != "cpu":
            raise UserError(f"the numba backend runs on the CPU, not on {device.type}; use --backend torch")
        if not has_numba:
            raise MissingExtraError("numba", "cpu")
        from sanerf.kernels import numba_hash, numba_rays

        kernels = Kernels(
            "numba",
            numba_hash.hash_encode,
            numba_rays.place_samples,
            numba_rays.composite_weights,
            numba_rays.update_density_grid,
        )
    else:
        kernels = Kernels(
            "torch",
            reference.hash_encode,
            reference.place_samples,
            reference.composite_weights,
            reference.update_density_grid,
        )
    _log.info("kernels: %s on %s", kernels.name, device)
    return kernels
