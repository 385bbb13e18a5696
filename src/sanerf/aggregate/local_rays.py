"""Rays in small regions for the ray-pair RGB loss (paper, section 3.3.2): around points where the masks and the object
field differ most, in several views that see them (Eq. 13), each patch at the full resolution of its view.

The rays of some hundred points are rendered together and kept while the object field learns, as those of the bank are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.aggregate.identities import IdentityLogits, all_identity_probabilities, identity_probabilities
from sanerf.aggregate.losses import mask_error, ray_pair_rgb_loss
from sanerf.aggregate.ray_bank import PixelLattice, RayBank, bank_of, pack_samples, possible_identities
from sanerf.aggregate.view_masks import ViewMasks
from sanerf.geometry.cameras import Camera, Rays, camera_rays, inside_image, project
from sanerf.prompts.project import LEAST_ACCUMULATION
from sanerf.render.images import Renderer
from sanerf.render.renderer import RaySamples, accumulate, composite_colour
from sanerf.shapes import Bool, Float, Int64

_TOLERANCE = 0.02
"""Share of its distance by which a point may lie behind what a view sees there and still count as seen."""


@dataclass(frozen=True)
class RayPairConfig:
    """The ray-pair RGB loss."""

    weight: float = 0.0
    """of the loss in the sum of Eq. 14; 0 leaves it out, as long as no scene is known where it helps by more than
    chance (docs/bench.md)"""
    start: float = 0.5
    """share of the steps after which it is added, the paper's k"""
    builds: int = 1
    """times that points are drawn anew from the error maps of that moment, evenly spaced from there to the end"""
    stored_points: int = 400
    """high-error points drawn each time"""
    points: int = 8
    """of these, the ones of a step, the paper's T"""
    views: int = 4
    """views in which a point's patches lie, the paper's V"""
    patch: int = 8
    """pixels along a patch's edge, the paper's N"""
    references: int = 8
    """reference rays a point, the paper's K"""
    threshold: float = 0.1
    """colour distance below which two rays are a pair, the paper's tau"""
    reach: float = 1.5
    """widths of a patch beyond which two rays are no pair, whatever their colours: distance in space counts in Eq. 10
    as colour does; infinite for the print, which also pairs a thing with what lies far behind it"""
    sharpness: float = 10.0
    """the paper's w"""
    trusted_error: float = 0.2
    """rays whose mask and rendering differ by less may be references"""
    photo_colours: bool = False
    """compare the photographs' colours in place of rendered ones"""


@dataclass(frozen=True)
class LocalRays:
    """The rays around each point: `members[p]` are indices into `rays`, -1 where a point has fewer.

    `p_world` is the mean place of each ray's samples by their weights (a ray past an edge lies between, near neither
    side), `width` how wide a patch is in the world where the ray ends.
    """

    rays: RayBank
    rgb: Float[Tensor, "rays 3"]
    p_world: Float[Tensor, "rays 3"]
    width: Float[Tensor, "rays"]
    members: Int64[Tensor, "points batch"]

    def appearance(self, members: Int64[Tensor, "points batch"], place: float) -> Float[Tensor, "points batch 6"]:
        """Colours, and behind them places in units that make a patch's width a colour distance of `place`: the median,
        since a ray that hits nothing ends far away."""
        present, flat = members >= 0, members.clamp(min=0)
        width = self.width[flat].masked_fill(~present, torch.nan).nanmedian(dim=1).values
        scaled = self.p_world[flat] * (place / width.clamp(min=1e-12))[:, None, None]
        return torch.cat([self.rgb[flat], scaled], dim=2)


@dataclass(frozen=True)
class Surroundings:
    """Where local rays come from: the views, their masks, their photographs and the radiance field."""

    cameras: dict[int, Camera]
    renderer: Renderer
    masks: ViewMasks
    names: Sequence[str]
    photo: Callable[[int], Tensor]
    weight_threshold: float


def error_maps(field: IdentityLogits, bank: RayBank, sharpness: float) -> Float[Tensor, "rays"]:
    """Eq. 12 for the pixels of all views' lattices, which thus are the maps of reduced resolution."""
    return torch.cat(
        [
            mask_error(probability, bank.possible[rays], sharpness)
            for rays, probability in all_identity_probabilities(field, bank)
        ]
    )


def build_local_rays(
    bank: RayBank,
    error: Float[Tensor, "rays"],
    around: Surroundings,
    config: RayPairConfig,
    generator: torch.Generator,
) -> LocalRays | None:
    """Draw points by their error, find views that see them and render their patches. None where nothing errs."""
    chance = (error * (bank.accumulation >= LEAST_ACCUMULATION)).cpu()
    count = min(config.stored_points, int((chance > 0).sum()))
    if count == 0:
        return None
    drawn = torch.multinomial(chance, count, generator=generator)
    p_world, own = _surface_points(bank, drawn, around.cameras)
    xy, seen = _seen_pixels(bank, p_world, own, around.cameras)
    # A point's own view comes first, the others as the dice fall.
    order = torch.rand(seen.shape, generator=generator) + own
    chosen = torch.where(seen, order, -1.0).topk(min(config.views, seen.shape[1]), dim=1).indices
    chosen = torch.where(seen.gather(1, chosen), chosen, -1)
    return _render_patches(chosen, xy, around, config)


def _surface_points(
    bank: RayBank, rays: Int64[Tensor, "points"], cameras: dict[int, Camera]
) -> tuple[Float[Tensor, "points 3"], Bool[Tensor, "points views"]]:
    """Where some rays of the bank end, and which of the `cameras` is each one's own."""
    view, column, row = bank.pixels_of(rays)
    xy = torch.stack([column, row], dim=1) + 0.5
    p_world = torch.empty(len(rays), 3)
    for index, camera in cameras.items():
        mine = (view == index).nonzero()[:, 0]
        p_world[mine] = camera_rays(camera, xy[mine]).at(bank.distance[rays[mine].to(bank.distance.device)].cpu())
    return p_world, view[:, None] == torch.tensor(list(cameras))


def _seen_pixels(
    bank: RayBank, p_world: Float[Tensor, "points 3"], own: Bool[Tensor, "points views"], cameras: dict[int, Camera]
) -> tuple[Float[Tensor, "points views 2"], Bool[Tensor, "points views"]]:
    """Each point's pixel (x, y) in each view, and whether the view sees it there; its own view does."""
    pixels, seen = [], []
    for view, camera in cameras.items():
        xy, depth_z = project(camera, p_world)
        inside = inside_image(camera, xy) & (depth_z > 0)
        safe = torch.where(inside[:, None], xy, 0.0)
        distance = (p_world - camera.centre.to(p_world.dtype)).norm(dim=1)
        limit = _distance_about(bank, bank.lattices[view], safe) * (1 + _TOLERANCE)
        pixels.append(safe)
        seen.append(inside & (distance <= limit))
    return torch.stack(pixels, dim=1), torch.stack(seen, dim=1) | own


def _distance_about(bank: RayBank, lattice: PixelLattice, xy: Float[Tensor, "points 2"]) -> Float[Tensor, "points"]:
    """The farthest that a view sees in the 3 x 3 lattice pixels about some places: at an edge, past it."""
    distance = bank.distance[lattice.rays].reshape(1, lattice.rows, lattice.columns).cpu()
    farthest = F.max_pool2d(distance, kernel_size=3, stride=1, padding=1)[0]
    first = torch.tensor([lattice.first_column + 0.5, lattice.first_row + 0.5])
    column, row = ((xy - first) / lattice.stride).round().long().unbind(1)
    return farthest[row.clamp(0, lattice.rows - 1), column.clamp(0, lattice.columns - 1)]


def _render_patches(
    chosen: Int64[Tensor, "points patches"],
    xy: Float[Tensor, "points views 2"],
    around: Surroundings,
    config: RayPairConfig,
) -> LocalRays:
    """The rays of all patches, view by view; `chosen` are places in the list of cameras, -1 for none."""
    size, renderer = config.patch, around.renderer
    members = torch.full((*chosen.shape, size * size), -1)
    rays: list[Rays] = []
    possible: list[Tensor] = []
    colours: list[Tensor] = []
    focal: list[Tensor] = []
    first = 0
    for place, (view, camera) in enumerate(around.cameras.items()):
        point, slot = (chosen == place).nonzero(as_tuple=True)
        if not len(point):
            continue
        column, row = _patch_pixels(xy[point, place], camera, size)
        rays.append(camera_rays(camera, torch.stack([column, row], dim=1) + 0.5))
        focal.append(torch.full((len(row),), camera.fx))
        members[point, slot] = torch.arange(first, first + len(row)).reshape(len(point), -1)
        first += len(row)
        if config.photo_colours:
            colours.append(around.photo(view)[row, column].float() / 255)
        if view in around.masks:
            of_view = possible_identities(around.masks[view], around.names, lambda of, at=(row, column): of[at])
        else:
            of_view = torch.ones(len(row), len(around.names) + 1, dtype=torch.bool)
        possible.append(of_view)

    def on_samples(samples: RaySamples, part: Rays) -> None:
        with torch.no_grad():
            colours.append(composite_colour(renderer.field, samples, part.directions, threshold=1e-3))

    packed = pack_samples(
        rays, renderer, around.weight_threshold, on_samples=None if config.photo_colours else on_samples
    )
    device = renderer.density_grid.device
    bank = replace(bank_of(packed, rays, {}, device), possible=torch.cat(possible).to(device))
    return LocalRays(
        bank,
        torch.cat(colours).to(device),
        _mean_places(bank),
        size * bank.distance / torch.cat(focal).to(device),
        members.flatten(1).to(device),
    )


def _mean_places(bank: RayBank) -> Float[Tensor, "rays 3"]:
    """The mean of each ray's kept samples by weight; the world's origin where a ray has none."""
    ray_index = torch.repeat_interleave(bank.first_sample.diff())
    # A fourth coordinate of one gathers the weights themselves.
    total = accumulate(F.pad(bank.p_world, (0, 1), value=1.0), bank.weights, ray_index, len(bank))
    return total[:, :3] / total[:, 3:].clamp(min=1e-6)


def _patch_pixels(xy: Float[Tensor, "points 2"], camera: Camera, size: int) -> tuple[Tensor, Tensor]:
    """Columns and rows of the pixels of patches about places, moved so that they lie on the picture."""
    assert size <= min(camera.width, camera.height), (size, camera)
    offsets = torch.arange(size)
    low = xy.floor().long() - size // 2
    column = low[:, 0].clamp(0, camera.width - size)[:, None, None] + offsets[None, None, :]
    row = low[:, 1].clamp(0, camera.height - size)[:, None, None] + offsets[None, :, None]
    shape = (len(xy), size, size)
    return column.expand(shape).reshape(-1), row.expand(shape).reshape(-1)


def ray_pair_term(
    field: IdentityLogits, local: LocalRays, config: RayPairConfig, generator: torch.Generator
) -> Float[Tensor, ""]:
    """The last term of Eq. 14 on some of the stored points, its weight left out."""
    device = local.rgb.device
    points = torch.randint(len(local.members), (config.points,), generator=generator).to(device)
    members = local.members[points]
    present, flat = members >= 0, members.clamp(min=0).flatten()
    probability = identity_probabilities(field, local.rays, flat)
    possible = local.rays.possible[flat]
    error = mask_error(probability.detach(), possible, config.sharpness)
    # A pixel that may be anything is right by itself.
    trusted = ((error < config.trusted_error) & ~possible.all(dim=1)).reshape(members.shape) & present
    believed = torch.where(trusted.any(dim=1, keepdim=True), trusted, present)
    dice = torch.rand(members.shape, generator=generator).to(device)
    references = torch.where(believed, dice, dice - 1).topk(min(config.references, members.shape[1]), dim=1).indices
    return ray_pair_rgb_loss(
        probability.reshape(*members.shape, -1),
        local.appearance(members, config.threshold / config.reach),
        references,
        present=present,
        believed=believed,
        threshold=config.threshold,
        sharpness=config.sharpness,
    )
