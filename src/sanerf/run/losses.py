"""Regularisers of a ray's weights."""

import torch
from torch import Tensor

from sanerf.geometry.contraction import spacing
from sanerf.kernels.reference import SamplingPlan
from sanerf.shapes import Float


def distortion_loss(
    edges: Float[Tensor, "rays edges"], weights: Float[Tensor, "rays samples"], plan: SamplingPlan
) -> Float[Tensor, ""]:
    """Mean distortion of rays (Mip-NeRF 360, Eq. 15), in the sampling's own spacing: weights far apart cost.

    sum_ij w_i w_j |m_i - m_j| + 1/3 sum_i w_i^2 d_i, with interval middles m and widths d, in linear time.
    """
    s = spacing(edges, plan.unbounded)
    middles, widths = (s[:, 1:] + s[:, :-1]) / 2, s.diff(dim=-1)
    mass = weights.cumsum(-1) - weights
    moment = (weights * middles).cumsum(-1) - weights * middles
    between = 2 * (weights * (middles * mass - moment)).sum(-1)
    within = (weights.square() * widths).sum(-1) / 3
    return torch.mean(between + within)
