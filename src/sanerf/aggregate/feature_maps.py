"""Feature maps rendered from a feature field (Eq. 2): what an encoder would say of a picture there.

A cell's feature is the mean over rays through it, as in training; a cell between rays gets what is interpolated between
them. Of padding, which no ray sees, the field knows its mean over the training views' pictures.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.aggregate.distill import cell_means, ray_latents
from sanerf.aggregate.ray_bank import RayBank
from sanerf.fields.feature import FeatureField
from sanerf.geometry.cameras import Camera, camera_rays
from sanerf.render.images import CHUNK, Renderer
from sanerf.render.renderer import keep_samples
from sanerf.segmenter.frame import MapFrame
from sanerf.segmenter.protocol import ImageFeatures
from sanerf.shapes import Float, Int64

LEAST_RAYS = 16_000
"""A view gets at least about so many rays: cells of coarse maps are divided until there are so many."""
LEAST_WEIGHT = 1e-3
"""Samples of less compositing weight are dropped."""


def render_features(field: FeatureField, renderer: Renderer, camera: Camera, frame: MapFrame) -> ImageFeatures:
    """The maps of `frame` as the field shows them from a camera of that picture's size, on the CPU."""
    finest = max(frame.sizes.values(), key=lambda size: size[0] * size[1])
    parts = max(1, math.ceil((LEAST_RAYS / (finest[0] * finest[1])) ** 0.5))
    xy, _ = frame.centres(parts * finest[0], parts * finest[1])
    rays = camera_rays(camera, xy)
    latents = []
    with torch.no_grad():
        for start in range(0, len(rays), CHUNK):
            samples = renderer.samples(rays[start : start + CHUNK].to(renderer.density_grid.device))
            latents.append(ray_latents(field, keep_samples(samples, LEAST_WEIGHT)))
        latent = torch.cat(latents)
        maps = {name: _map(field, name, latent, frame.cells(name, xy), frame) for name in frame.sizes}
    return ImageFeatures(maps, camera.height, camera.width)


def lattice_features(field: FeatureField, bank: RayBank, view: int, frame: MapFrame) -> ImageFeatures:
    """The same of a view that has rays in a bank, by their kept samples."""
    lattice = bank.lattices[view]
    xy = lattice.xy()
    with torch.no_grad():
        index = torch.arange(lattice.rays.start, lattice.rays.stop, device=bank.weights.device)
        latent = ray_latents(field, bank.gather(index))
        picture = latent.T.reshape(1, -1, lattice.rows, lattice.columns)
        maps = {}
        for name, (rows, columns) in frame.sizes.items():
            # The lattice's own coordinates, -1 to 1 between the outer edges of its first and last pixels.
            centres, cell = frame.centres(rows, columns)
            first = torch.tensor([lattice.first_column, lattice.first_row]) + 0.5
            of_lattice = ((centres - first) / lattice.stride + 0.5) * 2 / torch.tensor([lattice.columns, lattice.rows])
            place = (of_lattice - 1).to(latent.device)[None, None]
            between = F.grid_sample(picture, place, padding_mode="border", align_corners=False)[0, :, 0].T
            # Rays first: a cell's own take the place of what is interpolated.
            known = _map(field, name, between, cell, frame)
            maps[name] = _map(field, name, latent, frame.cells(name, xy), frame, known)
    return ImageFeatures(maps, frame.picture_height, frame.picture_width)


def _map(
    field: FeatureField,
    name: str,
    latent: Float[Tensor, "rays latent"],
    cell: Int64[Tensor, "rays"],
    frame: MapFrame,
    known: Float[Tensor, "c h w"] | None = None,
) -> Float[Tensor, "c h w"]:
    """A map of the means of rays over cells, elsewhere of what is known of it or, if nothing is, of padding."""
    rows, columns = frame.sizes[name]
    mean, found = cell_means(latent, cell.to(latent.device))
    out = field.padding(name, rows, columns) if known is None else known
    flat = out.flatten(1).to(latent.device).clone()
    flat[:, found] = field.features(name, mean).T
    return flat.reshape(-1, rows, columns).cpu()
