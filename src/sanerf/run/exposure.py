"""Exposure and white balance of each training view: three gains that its colours are explained with.

A camera that chooses its exposure anew for each picture shows one surface in different colours, and a field that must
explain them all blurs or invents light. The gains' geometric mean is one in each channel, so that the field itself
keeps the photographs' mean exposure; that is what other views are rendered with. Held-out photographs take no part.
"""

import torch
from torch import Tensor, nn

from sanerf.shapes import Float, Int64


class Exposure(nn.Module):
    """Gains of sRGB colours by training view, all one at first."""

    def __init__(self, views: int):
        super().__init__()
        self.log_gain = nn.Parameter(torch.zeros(views, 3))

    def forward(self, view: Int64[Tensor, "rays"]) -> Float[Tensor, "rays 3"]:
        """What to multiply rendered colours with, so that they look as in the views that rays belong to."""
        return torch.exp(self.log_gain - self.log_gain.mean(dim=0))[view]
