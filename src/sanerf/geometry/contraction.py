"""The contraction of unbounded space into a cube, and the spacing of samples along rays that goes with it.

Mip-NeRF 360's contraction in the maximum norm, as the paper's code has it: the cube [-1, 1]^3 stays, all that is
outside is squeezed into [-2, 2]^3.
"""

import math

import torch
from torch import Tensor

from sanerf.shapes import Float


def contract(p_world: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Points of the world to [-2, 2]^3."""
    norm = p_world.abs().amax(-1, keepdim=True).clamp(min=1.0)
    return p_world * ((2 - 1 / norm) / norm)


def uncontract(p_contracted: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """The inverse of `contract`; the cube's own faces lie at infinity and are pulled in by 1e-6."""
    norm = p_contracted.abs().amax(-1, keepdim=True)
    outside = norm > 1
    safe = norm.clamp(min=1.0, max=2 - 1e-6)
    return torch.where(outside, p_contracted / norm.clamp(min=1.0) / (2 - safe), p_contracted)


def spacing_from_distance(distance: float) -> float:
    """Linear up to distance one, in disparity beyond: s(t) = t / 2, then 1 - 1 / (2 t)."""
    return distance / 2 if distance < 1 else 1 - 1 / (2 * distance)


def spacing(distances: Float[Tensor, "*batch"], unbounded: bool) -> Float[Tensor, "*batch"]:
    """`spacing_from_distance` of many distances; the distances themselves where space is bounded."""
    if not unbounded:
        return distances
    return torch.where(distances < 1, distances / 2, 1 - 0.5 / distances.clamp(min=1e-6))


def unspace(spaced: Float[Tensor, "*batch"], unbounded: bool) -> Float[Tensor, "*batch"]:
    """The inverse of `spacing`."""
    if not unbounded:
        return spaced
    return torch.where(spaced < 0.5, 2 * spaced, 1 / (2 * (1 - spaced).clamp(min=1e-6)))


def distance_from_spacing(
    fraction: Float[Tensor, "*batch"], near: float, far: float, unbounded: bool
) -> Float[Tensor, "*batch"]:
    """Distances at fractions 0..1 of the way from near to far; `unbounded` spaces them by disparity beyond one."""
    if not unbounded:
        return near + fraction * (far - near)
    far = finite_far(far)
    low, high = spacing_from_distance(near), spacing_from_distance(far)
    return unspace(low + fraction * (high - low), unbounded)


def finite_far(far: float) -> float:
    """`far` with infinity replaced by the distance that stands for it."""
    return 1e4 if math.isinf(far) else far
