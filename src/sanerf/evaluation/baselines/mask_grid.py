"""SA3D's 3D mask: a grid of confidence, rendered to 2D masks and inversely rendered from them (Cen et al. 2023, 3.2).

Confidence V is interpolated between the centres of cells and zero outside of the grid; it is composited on the frozen
field's weights, M(r) = sum_k w_k V(p_k), and object above zero. M is linear in V, and so is the loss: its gradient is
the same wherever V is, and one step of descent adds the mask to the grid, so to speak.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.fields.voted import VotedField, VotedVolume
from sanerf.geometry.boxes import inside_box, trimmed_box
from sanerf.geometry.contraction import contract
from sanerf.geometry.pieces import in_large_pieces
from sanerf.render.renderer import KeptSamples, accumulate
from sanerf.shapes import Float

STEEPNESS = 4.0
"""How soon a stored grid is sure of a cell: the logit of a confidence that is the median of the object's own cells."""
_BORDER = 2
"""Cells that a stored grid keeps around those of the object."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class MaskGrid:
    """An object's confidence in the cells of a box from `low` to `high` in contracted space; axes x y z."""

    low: Float[Tensor, "3"]
    high: Float[Tensor, "3"]
    values: Float[Tensor, "nx ny nz"]

    @staticmethod
    def about(p_world: Float[Tensor, "points 3"], *, cell: float, most: int, margin: float) -> "MaskGrid":
        """A grid of zeros about points of an object, grown on each side by `margin` of its longest, with cells of that
        width in contracted space, and `most` of them along an axis. Stray points do not count."""
        points = contract(p_world)
        low, high = trimmed_box(points[in_large_pieces(points)], margin)
        cell = max(cell, float((high - low).max()) / most, 1e-6)
        sides = torch.ceil((high - low) / cell - 1e-3).clamp(min=1).long()
        return MaskGrid(low, low + sides * cell, torch.zeros(*sides.tolist(), device=points.device))

    def at(self, p_contracted: Float[Tensor, "points 3"]) -> Float[Tensor, "points"]:
        """Confidence at points of contracted space; differentiable in `values`."""
        out = torch.zeros_like(p_contracted[:, 0])
        inside = inside_box(p_contracted, self.low, self.high).nonzero()[:, 0]
        # From -1 to 1 between the outer faces of the box, last axis first, as grid_sample wants it.
        place = ((p_contracted[inside] - self.low) / (self.high - self.low) * 2 - 1).flip(1)
        found = F.grid_sample(
            self.values[None, None], place[None, None, None], padding_mode="border", align_corners=False
        )
        return out.index_put((inside,), found[0, 0, 0, 0])


def render_mask(grid: MaskGrid, samples: KeptSamples) -> Float[Tensor, "rays"]:
    """M(r): the grid's confidence composited along rays."""
    confidence = grid.at(contract(samples.p_world))
    return accumulate(confidence[:, None], samples.weights, samples.ray_index, samples.rays)[:, 0]


def projection_loss(
    rendered: Float[Tensor, "rays"], mask: Float[Tensor, "rays"], negative_weight: float
) -> Float[Tensor, ""]:
    """-sum_r mask M + lambda sum_r (1 - mask) M over a view's rays; `mask` is the decoder's, one inside of the object.

    What lambda views without the object say against a place weighs as much as one view with it.
    """
    return -(mask * rendered).sum() + negative_weight * ((1 - mask) * rendered).sum()


def inverse_render(
    grid: MaskGrid,
    samples: KeptSamples,
    mask: Float[Tensor, "rays"],
    *,
    negative_weight: float,
    learning_rate: float,
) -> MaskGrid:
    """The grid after one step of gradient descent on a view's mask. Samples and weights are constants of it."""
    values = grid.values.detach().requires_grad_(True)
    with torch.enable_grad():
        loss = projection_loss(render_mask(replace(grid, values=values), samples), mask, negative_weight)
    (gradient,) = torch.autograd.grad(loss, values)
    return replace(grid, values=grid.values - learning_rate * gradient)


def as_voted_field(grids: list[MaskGrid]) -> VotedField:
    """Grids that know nothing of each other as one field of identities: where several claim a place, the largest wins.

    A grid's confidence over the median of its object's cells, times `STEEPNESS`, is a logit, the background's is zero;
    their softmax is what the field stores as shares. Around its cells above zero a grid keeps a border, and goes
    without the rest.
    """
    scales = [_scale(grid) for grid in grids]
    volumes = []
    for index, grid in enumerate(grids):
        cells = (grid.values > 0).nonzero()
        if not len(cells):
            volumes.append(VotedVolume.nowhere(grid.values.device))
            continue
        sides = torch.tensor(grid.values.shape, device=cells.device)
        first = (cells.amin(dim=0) - _BORDER).clamp(min=0)
        last = torch.minimum(cells.amax(dim=0) + 1 + _BORDER, sides)
        cell = (grid.high - grid.low) / sides
        axes = [torch.arange(int(a), int(b), device=cells.device) for a, b in zip(first, last, strict=True)]
        middles = grid.low + (torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3) + 0.5) * cell
        shares = [torch.softmax(_logits(grids, scales, part), dim=1)[:, 1 + index] for part in middles.split(_CHUNK)]
        share = torch.cat(shares).reshape(*(last - first).tolist())
        volumes.append(VotedVolume.of_shares(grid.low + first * cell, grid.low + last * cell, share))
    return VotedField(volumes)


def _scale(grid: MaskGrid) -> float:
    inside = grid.values[grid.values > 0]
    return float(inside.median()) if len(inside) else 1.0


def _logits(
    grids: list[MaskGrid], scales: list[float], p_contracted: Float[Tensor, "points 3"]
) -> Float[Tensor, "points objects"]:
    """Background first."""
    found = [STEEPNESS / scale * grid.at(p_contracted) for grid, scale in zip(grids, scales, strict=True)]
    return torch.stack([torch.zeros_like(found[0]), *found], dim=1)
