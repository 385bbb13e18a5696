"""What an encoder counts in: half precision on CUDA, single precision elsewhere; decoders always in single precision.

An encoder is nearly all of the work; a decoder takes milliseconds, and its masks keep their edges in single precision.
Layers that need it (norms, softmax, residual sums) stay in single precision by torch's automatic mixed precision.
float16 rounds eight times finer than bfloat16; what it cannot hold becomes infinite, and then the picture is encoded
again in single precision.
"""

import logging
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["auto", "float32", "float16", "bfloat16"]
"""`auto` is float16 on CUDA and float32 elsewhere."""

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_log = logging.getLogger(__name__)


def encoder_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """What an encoder on `device` counts in."""
    if precision == "auto":
        precision = "float16" if device.type == "cuda" else "float32"
    return _DTYPES[precision]


def encode_maps(
    encode: Callable[[], dict[str, Tensor]], *, device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """The maps that `encode` gives, counted in `dtype` and handed on as float32."""
    if dtype != torch.float32:
        with torch.autocast(device.type, dtype):
            maps = {name: value.float() for name, value in encode().items()}
        if all(bool(value.isfinite().all()) for value in maps.values()):
            return maps
        _log.warning("the encoder's features exceed %s; this picture is encoded in float32", dtype)
    return encode()
