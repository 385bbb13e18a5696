"""SA3D: one view's mask carried to all others, view by view (Cen et al., Segment Anything in 3D with NeRFs, 2023).

In each view the grid's mask is rendered, a few of its pixels prompt the decoder (`self_prompting`), and the answer is
inversely rendered into the grid (`mask_grid`), unless it contradicts what was rendered: IoU-aware view rejection.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sanerf.aggregate.ray_bank import SOLID, RayBank
from sanerf.aggregate.view_masks import ViewMask
from sanerf.evaluation.baselines.mask_grid import MaskGrid, inverse_render, render_mask
from sanerf.evaluation.baselines.self_prompting import self_prompts
from sanerf.geometry.cameras import Camera, camera_rays
from sanerf.geometry.contraction import contract
from sanerf.render.renderer import KeptSamples
from sanerf.segmenter.protocol import ViewPrompts
from sanerf.shapes import Bool, Float


@dataclass(frozen=True)
class SA3DConfig:
    """SA3D's settings; what of them is the paper's and what is ours says docs/baselines.md."""

    negative_weight: float = 1.0
    """lambda: how much a pixel outside of the mask counts against one inside"""
    least_iou: float = 0.5
    """tau: a view whose decoded mask has less IoU with the rendered one is rejected"""
    prompts: int = 20
    """n_p: prompts a view at most"""
    learning_rate: float = 1.0
    """eta of the gradient descent; what is above zero does not depend on it"""
    cell_rays: float = 1.0
    """the width of an object's cells over the distance of neighbouring rays on it in the first view"""
    cells: int = 256
    """along the longest side of an object's grid at most"""
    margin: float = 0.5
    """by so much of its longest side the box of the first view's mask is grown on each side"""


Decode = Callable[[int, ViewPrompts], list[ViewMask]]
"""The decoder's hypotheses about a view, one at least."""


@dataclass
class CarriedMask:
    """What came of one object: its grid, the masks it was made of, by view, and the views that were left out, rejected
    or because nothing of the object was rendered there."""

    grid: MaskGrid
    masks: dict[int, ViewMask]
    rejected: list[int] = field(default_factory=list)
    unseen: list[int] = field(default_factory=list)


def carry_mask(
    first_view: int,
    first_mask: ViewMask,
    *,
    bank: RayBank,
    cameras: dict[int, Camera],
    decode: Decode,
    config: SA3DConfig,
    on_view: Callable[[], None] | None = None,
) -> CarriedMask | None:
    """One object's mask in `first_view`, carried to the other views of a bank, nearest first.

    None where there is nothing solid under the first mask.
    """
    samples = view_samples(bank, first_view)
    inside = pixels_inside(bank, first_view, first_mask)
    solid = samples.p_world[inside[samples.ray_index] & (samples.weights > SOLID)]
    if not len(solid):
        return None
    cell = config.cell_rays * ray_spacing(bank, first_view, cameras[first_view], inside)
    out = CarriedMask(MaskGrid.about(solid, cell=cell, most=config.cells, margin=config.margin), {})

    def project(view: int, mask: ViewMask) -> None:
        weight, rate = config.negative_weight, config.learning_rate
        out.grid = inverse_render(
            out.grid,
            view_samples(bank, view),
            pixels_inside(bank, view, mask).float(),
            negative_weight=weight,
            learning_rate=rate,
        )
        out.masks[view] = mask

    project(first_view, first_mask)
    for view in nearest_first(first_view, cameras)[1:]:
        rendered = render_mask(out.grid, view_samples(bank, view))
        prompts = rendered_prompts(rendered, bank, view, cameras[view], config.prompts)
        if not len(prompts.labels):
            out.unseen.append(view)
        else:
            answers = decode(view, prompts)
            ious = [iou(rendered > 0, pixels_inside(bank, view, mask)) for mask in answers]
            if max(ious) < config.least_iou:
                out.rejected.append(view)
            else:
                project(view, answers[ious.index(max(ious))])
        if on_view is not None:
            on_view()
    return out


def rendered_prompts(
    rendered: Float[Tensor, "rays"], bank: RayBank, view: int, camera: Camera, most: int
) -> ViewPrompts:
    """The self-prompts of a mask that was rendered at the lattice of a view, in pixels of the view."""
    of = bank.lattices[view]
    picked = self_prompts(rendered.cpu().reshape(of.rows, of.columns), surface_points(bank, view, camera), most)
    points = of.xy()[picked[:, 0] * of.columns + picked[:, 1]]
    return ViewPrompts(points, torch.ones(len(points), dtype=torch.int64))


def surface_points(bank: RayBank, view: int, camera: Camera) -> Float[Tensor, "rows columns 3"]:
    """The surface in the world under each pixel of a view's lattice, on the CPU."""
    of = bank.lattices[view]
    return camera_rays(camera, of.xy()).at(bank.distance[of.rays].cpu()).reshape(of.rows, of.columns, 3)


def ray_spacing(bank: RayBank, view: int, camera: Camera, inside: Bool[Tensor, "rays"]) -> float:
    """How far apart neighbouring rays of a view that are inside of a mask meet its surface, the median in contracted
    space; 0 where there are none."""
    of = bank.lattices[view]
    surface, within = contract(surface_points(bank, view, camera)), inside.cpu().reshape(of.rows, of.columns)
    apart = surface.diff(dim=1).norm(dim=-1)[within[:, 1:] & within[:, :-1]]
    return float(apart.median()) if len(apart) else 0.0


def nearest_first(first_view: int, cameras: dict[int, Camera]) -> list[int]:
    """All views from the first on, each the one whose camera is nearest to any before it: there, most of the mask is
    known already."""
    views = list(cameras)
    centres = torch.stack([cameras[view].centre for view in views])
    order = [views.index(first_view)]
    distance = torch.full((len(views),), torch.inf, dtype=torch.float64)
    while len(order) < len(views):
        distance = torch.minimum(distance, (centres - centres[order[-1]]).norm(dim=-1))
        distance[order] = torch.inf
        order.append(int(distance.argmin()))
    return [views[index] for index in order]


def view_samples(bank: RayBank, view: int) -> KeptSamples:
    """The samples of a view's rays."""
    rays = bank.lattices[view].rays
    return bank.gather(torch.arange(rays.start, rays.stop, device=bank.weights.device))


def pixels_inside(bank: RayBank, view: int, mask: ViewMask) -> Bool[Tensor, "rays"]:
    """Which of a view's rays go through a mask."""
    picked = bank.lattices[view].pick(mask.probability).reshape(-1)
    return (picked > 0.5).to(bank.weights.device)


def iou(first: Bool[Tensor, "rays"], second: Bool[Tensor, "rays"]) -> float:
    """The IoU of two masks of the same rays, 0 for two empty ones."""
    return float((first & second).sum() / (first | second).sum().clamp(min=1))
