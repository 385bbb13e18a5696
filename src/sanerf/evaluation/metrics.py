"""How close rendered pictures are to photographs: PSNR and SSIM of colours in [0, 1]. Masks are in `masks.py`."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sanerf.shapes import Bool, Float

SSIM_WINDOW = 11
"""Pixels a side; `run.train_run.LEAST_SIDE` sees to it that pictures of a run are as large."""
_SIGMA = 1.5
# (K1 L)^2 and (K2 L)^2 of Wang et al. 2004 for the range L = 1.
_C1, _C2 = 0.01**2, 0.03**2


@dataclass(frozen=True)
class SquaredError:
    """Squared differences of colours in [0, 1], summed over their values; add several to pool pictures."""

    total: float = 0.0
    values: int = 0

    def __add__(self, other: "SquaredError") -> "SquaredError":
        return SquaredError(self.total + other.total, self.values + other.values)

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in dB, -10 log10 of the mean; infinite for equal pictures, nan for none at all."""
        if self.values == 0:
            return math.nan
        return math.inf if self.total == 0 else -10.0 * math.log10(self.total / self.values)


def squared_error(
    image: Float[Tensor, "h w 3"], reference: Float[Tensor, "h w 3"], inside: Bool[Tensor, "h w"] | None = None
) -> SquaredError:
    """The squared error of a picture or, where `inside` is given, of its pixels there."""
    squares = (image.double() - reference.double()).square()
    if inside is not None:
        squares = squares[inside]
    return SquaredError(float(squares.sum()), squares.numel())


def ssim(image: Float[Tensor, "h w 3"], reference: Float[Tensor, "h w 3"]) -> float:
    """Structural similarity (Wang et al. 2004) of colours in [0, 1], a mean over pixels and channels.

    Gaussian window of 11 x 11 pixels, sigma 1.5, population covariances, windows that lie wholly on the picture.
    """
    assert min(image.shape[:2]) >= SSIM_WINDOW, image.shape
    x, y = (picture.double().permute(2, 0, 1)[:, None] for picture in (image, reference))
    mean_x, mean_y = _windowed(x), _windowed(y)
    var_x = _windowed(x * x) - mean_x.square()
    var_y = _windowed(y * y) - mean_y.square()
    covariance = _windowed(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x.square() + mean_y.square() + _C1)
    contrast_structure = (2 * covariance + _C2) / (var_x + var_y + _C2)
    return float((luminance * contrast_structure).mean())


def _windowed(planes: Float[Tensor, "channels 1 h w"]) -> Float[Tensor, "channels 1 h2 w2"]:
    """Gaussian means over every whole window, one axis after the other."""
    offsets = torch.arange(SSIM_WINDOW, dtype=planes.dtype, device=planes.device) - SSIM_WINDOW // 2
    kernel = torch.exp(-0.5 * (offsets / _SIGMA).square())
    kernel = kernel / kernel.sum()
    rows = torch.nn.functional.conv2d(planes, kernel[None, None, :, None])
    return torch.nn.functional.conv2d(rows, kernel[None, None, None, :])
