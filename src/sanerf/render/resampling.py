"""The second look along a ray: intervals placed anew where the first look found weight (NeRF, section 5.2).

The density grid's cells are ten pixels wide or more. Samples spread over a cell blur textures by their parallax, so
the field itself is asked where in the cell the surface lies, before the samples that count are taken.
"""

import torch
from torch import Tensor

from sanerf.geometry.contraction import spacing, unspace
from sanerf.kernels.reference import SamplingPlan
from sanerf.shapes import Float


def resample(
    edges: Float[Tensor, "rays edges"],
    weights: Float[Tensor, "rays samples"],
    jitter: Float[Tensor, "rays"],
    plan: SamplingPlan,
) -> Float[Tensor, "rays refined_edges"]:
    """Edges of `plan.refined` intervals from the first to the last of `edges`, dense where `weights` are.

    The weights are widened to their neighbours, for a surface may lie anywhere between two samples, and mixed with
    `plan.uniform` spread evenly over the intervals. Inside an interval the mass is even in `spacing`. `jitter` in
    [0, 1) moves the inner edges by up to half a refined interval; 0.5 leaves them.
    """
    count = weights.shape[1]
    padded = torch.nn.functional.pad(weights, (1, 1))
    widened = torch.maximum(torch.maximum(padded[:, :-2], padded[:, 2:]), weights)
    total = widened.sum(-1, keepdim=True)
    mass = (1 - plan.uniform) * widened / total.clamp(min=1e-8) + plan.uniform / count
    mass = torch.where(total > 1e-8, mass, 1 / count)
    cdf = torch.nn.functional.pad(mass.cumsum(-1), (1, 0))
    cdf = cdf / cdf[:, -1:]

    inner = torch.arange(1, plan.refined, device=edges.device, dtype=edges.dtype)
    targets = ((inner + jitter[:, None] - 0.5) / plan.refined).contiguous()
    right = torch.searchsorted(cdf, targets, right=True).clamp(1, count)
    below, above = cdf.gather(1, right - 1), cdf.gather(1, right)
    inside = ((targets - below) / (above - below).clamp(min=1e-12)).clamp(0, 1)
    spaced = spacing(edges, plan.unbounded)
    low, high = spaced.gather(1, right - 1), spaced.gather(1, right)
    refined = unspace(low + inside * (high - low), plan.unbounded)
    return torch.cat([edges[:, :1], refined, edges[:, -1:]], dim=-1)
