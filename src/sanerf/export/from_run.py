"""An object of a run as points, mesh, masks or cut-outs, in the scene file's own frame or on the original photos."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sanerf.data.images import downscaled_size, load_image, load_rgba
from sanerf.errors import UserError
from sanerf.export.cutouts import rgba_cutout
from sanerf.export.foreground import foreground_colours
from sanerf.export.matting import render_pixel, soft_alpha
from sanerf.export.mesh import (
    Mesh,
    colour_vertices,
    keep_large_components,
    keep_seen_components,
    mesh_from_function,
    transform_mesh,
)
from sanerf.export.points import PointCloud, surface_points, transform_points
from sanerf.geometry.boxes import trimmed_box
from sanerf.geometry.cameras import Camera, Rays, image_rays, resized
from sanerf.progress import Progress
from sanerf.render.images import Renderer
from sanerf.run.folder import Run
from sanerf.run.segmentation import RenderedObjects, Segmentation, render_objects
from sanerf.shapes import Bool, Float, UInt8

Edges = Literal["hard", "soft"]
"""Of masks and cut-outs: object or not, or the share of each pixel that is object (`matting`)."""
POINT_VIEWS = 24
"""At least so many views, evenly spread over the training views, give surface points; all where there are fewer."""
POINT_PICTURE_SIDE = 320
"""Longer side of the pictures that are rendered for surface points."""


@dataclass(frozen=True)
class ObjectSource:
    """What the exports of one object read from."""

    run: Run
    renderer: Renderer
    segmentation: Segmentation
    name: str

    @property
    def index(self) -> int:
        """The object's column in the object field's logits."""
        return 1 + self.segmentation.names.index(self.name)

    def view(self, camera: Camera) -> RenderedObjects:
        return render_objects(self.renderer, camera, [self.segmentation], self.run.background)


@dataclass(frozen=True)
class ObjectSurface:
    """What the training views see of one object: rays that end on it, where they end, and their colours."""

    rays: Rays
    distances: Float[Tensor, "rays"]
    colours: Float[Tensor, "rays 3"]

    def box(self, margin: float) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
        """`trimmed_box` of the rays' ends, with a thousandth of the world's unit more for objects without thickness."""
        low, high = trimmed_box(self.ends(), margin)
        return low - 1e-3, high + 1e-3

    def ends(self) -> Float[Tensor, "rays 3"]:
        """Where the rays end, in the world."""
        return self.rays.at(self.distances)


def object_surfaces(
    run: Run, renderer: Renderer, *, segmentation: Segmentation, names: Sequence[str], progress: Progress
) -> dict[str, ObjectSurface]:
    """The surfaces of some objects of a segmentation. UserError for one that no training view shows."""
    scene = run.scene
    views = scene.train[:: max(1, len(scene.train) // POINT_VIEWS)]
    parts: dict[str, list[tuple[Rays, Tensor, Tensor]]] = {name: [] for name in names}
    for done, index in enumerate(views, start=1):
        camera = scene.views[index].camera
        shrink = max(1.0, max(camera.width, camera.height) / POINT_PICTURE_SIDE)
        camera = resized(camera, *downscaled_size(camera, shrink))
        rendered = render_objects(renderer, camera, [segmentation], run.background)
        rays, image = image_rays(camera), rendered.image
        distances, colours = image.distance.cpu().reshape(-1), image.rgb.cpu().reshape(-1, 3)
        ends = rays.at(distances).to(renderer.density_grid.device)
        for name in names:
            hit = (rendered.mask(name) & (image.accumulation.cpu() > 0.5)).reshape(-1)
            # At an outline the mask may be the object's and the median distance that of what lies far behind.
            hit &= segmentation.field.may_be(segmentation.names.index(name), ends).cpu()
            # No mask says that it is the object, or none has looked.
            hit &= segmentation.allows(name, ends).cpu()
            if segmentation.evidence is not None:
                hit &= segmentation.evidence.known.at(ends).cpu()
            parts[name].append((rays[hit], distances[hit], colours[hit]))
        progress("surface", done, len(views))
    out = {}
    for name, found in parts.items():
        joined = Rays(*(torch.cat([getattr(rays, f.name) for rays, _, _ in found]) for f in fields(Rays)))
        if not len(joined):
            raise UserError(f"the object {name!r} is in none of the training views, so there is nothing to export")
        out[name] = ObjectSurface(joined, torch.cat([d for _, d, _ in found]), torch.cat([c for _, _, c in found]))
    return out


def export_points(source: ObjectSource, surface: ObjectSurface) -> PointCloud:
    """The object's visible surface as a cloud of about 300 voxels across, in the scene file's frame."""
    low, high = surface.box(margin=0.0)
    voxel = float((high - low).max()) / 300
    cloud = surface_points(surface.rays, surface.distances, colours=surface.colours, voxel=voxel)
    return transform_points(cloud, source.run.scene.world_from_file.inverse())


def export_mesh(source: ObjectSource, surface: ObjectSurface, *, resolution: int = 192) -> Mesh:
    """The object as a closed mesh with vertex colours, in the scene file's frame.

    The surface is where a cell's opacity, weighted with the probability that the cell is the object's, passes one
    half. What was never seen (bottoms, insides) follows the field's own guess.
    """
    low, high = surface.box(margin=0.05)
    cell = float((high - low).max()) / resolution
    field, objects = source.renderer.field, source.segmentation.field
    # The mesh is made on the CPU, whichever device the fields are on.
    device = source.renderer.density_grid.device

    def occupancy(p_world: Tensor) -> Tensor:
        with torch.no_grad():
            p_world = p_world.to(device)
            density, _ = field.density(p_world)
            probability = torch.softmax(objects(p_world), dim=1)[:, source.index] * source.segmentation.allows(
                source.name, p_world
            )
        # Two cells' length: a surface of a radiance field is about as thick as its grid is fine.
        return (1 - torch.exp(-density * 2 * cell)) * probability

    def colour(p_world: Tensor, normals: Tensor) -> Tensor:
        with torch.no_grad():
            _, geometry = field.density(p_world.to(device))
            return field.colour(geometry, field.direction_code(-normals.to(device)))

    mesh = mesh_from_function(occupancy, bounds_min=low, bounds_max=high, resolution=resolution, level=0.5, smooth=1.0)
    if not len(mesh.faces):
        raise UserError(f"the object {source.name!r} has no surface dense enough for a mesh")
    mesh = keep_seen_components(keep_large_components(mesh), surface.ends().numpy(), reach=2 * cell)
    mesh = colour_vertices(mesh, colour)
    return transform_mesh(mesh, source.run.scene.world_from_file.inverse())


def export_views(
    source: ObjectSource, views: tuple[int, ...], *, progress: Progress
) -> Iterator[tuple[int, RenderedObjects]]:
    """Rendered objects of views at the run's resolution, one after the other."""
    scene, downscale = source.run.scene, source.run.config.downscale
    for done, index in enumerate(views, start=1):
        camera = scene.views[index].camera
        yield index, source.view(resized(camera, *downscaled_size(camera, downscale)))
        progress("views", done, len(views))


def view_mask(source: ObjectSource, index: int, rendered: RenderedObjects) -> Bool[np.ndarray, "h w"]:
    """The object's mask at the size of the view's own photograph."""
    camera = source.run.scene.views[index].camera
    return rendered.mask(source.name, camera.height, camera.width).numpy()


def view_alpha(source: ObjectSource, index: int, rendered: RenderedObjects) -> UInt8[np.ndarray, "h w"]:
    """The object's alpha on the view's own photograph; in scenes cut out by alpha no more than the photograph's."""
    return _alpha_of(source, index, rendered, load_image(source.run.scene.views[index]).numpy())


def view_cutout(
    source: ObjectSource, index: int, rendered: RenderedObjects, edges: Edges
) -> UInt8[np.ndarray, "h w 4"]:
    """The original photograph cut out; soft edges show the object's own colours without those behind it."""
    photo = load_image(source.run.scene.views[index]).numpy()
    if edges == "hard":
        return rgba_cutout(photo, view_mask(source, index, rendered).astype(np.float32))
    alpha = _alpha_of(source, index, rendered, photo)
    scale = render_pixel(_margin(source, rendered), *alpha.shape)
    return rgba_cutout(foreground_colours(photo, alpha, scale=scale), alpha.astype(np.float32) / 255)


def _alpha_of(
    source: ObjectSource, index: int, rendered: RenderedObjects, photo: UInt8[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "h w"]:
    alpha = soft_alpha(photo, _margin(source, rendered))
    if source.run.scene.has_alpha:
        alpha = np.minimum(alpha, load_rgba(source.run.scene.views[index])[..., 3].numpy())
    return alpha


def _margin(source: ObjectSource, rendered: RenderedObjects) -> Float[np.ndarray, "mh mw"]:
    return rendered.margin[source.name].cpu().numpy()
