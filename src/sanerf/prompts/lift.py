"""A prompt file's clicks as 3D points of the scene, and those points as prompts in any view (Eq. 6).

Clicks are in pixels of the image files; rendering and decoding happen at the run's resolution, in whose pixels
everything here is once lifted. Depth is rendered for the few pixels that are asked about, not for whole pictures.
Scribbles, boxes and masks come to other views as a few points that are chosen here; where such a point has nothing
solid under it, as a stroke across a handle's hole, it is passed over, while a user's own click there is an error.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.data.images import load_view_mask
from sanerf.data.scene import Scene
from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera, camera_rays, inside_image, project
from sanerf.prompts.file import MaskPrompt, ObjectPrompts
from sanerf.prompts.project import LEAST_ACCUMULATION, lift_points, project_prompts
from sanerf.prompts.scribble import scribble_clicks
from sanerf.render.images import Renderer
from sanerf.render.renderer import median_distance
from sanerf.segmenter.protocol import ViewPrompts
from sanerf.segmenter.regions import edge_distance
from sanerf.shapes import Bool, Float, Int64

OCCLUSION_TOLERANCE = 0.03
"""A point may lie this fraction of its depth behind the rendered surface and still count as seen."""
MASK_LOGIT = 10.0
"""What a pixel of a given mask tells the decoder where it is object, its negative where it is not.

The image predictors of SAM, SAM-HQ and SAM 2 take logits alone and turn no binary mask into them; this is what SAM 2's
authors make of one in videos (`sam2_base.py`: 20 times the mask less 10)."""
IN_SPACE = -1
"""The view of a point that was given in space."""
POINTS_OF_A_MASK = 3
"""As many spread-out points stand for a mask, a box's or the user's own, in other views."""


@dataclass(frozen=True)
class LiftedPrompts:
    """One object's prompts in the world.

    `boxes` are (x0, y0, x1, y1) in pixels of the view they were drawn in, `masks` are logits of that view's pixels;
    both by view, at the run's resolution. `views` are those that the points were clicked in, or that the box, stroke or
    mask is of for which they stand; `IN_SPACE` for those that were given there.
    """

    name: str
    p_world: Float[Tensor, "points 3"]
    labels: Int64[Tensor, "points"]
    views: tuple[int, ...]
    boxes: dict[int, Float[Tensor, "4"]] = field(default_factory=dict)
    masks: dict[int, Float[Tensor, "h w"]] = field(default_factory=dict)


def sparse_depth(
    renderer: Renderer, camera: Camera, xy: Float[Tensor, "points 2"]
) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """`depth_z` and accumulation in the 3 x 3 pixels about each of `xy`; NaN and 0 everywhere else."""
    depth_z = torch.full((camera.height, camera.width), torch.nan)
    accumulation = torch.zeros(camera.height, camera.width)
    offsets = torch.tensor([[dx, dy] for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    pixels = (xy[inside_image(camera, xy)].long()[:, None] + offsets).reshape(-1, 2).unique(dim=0)
    inside = ((pixels >= 0) & (pixels < torch.tensor([camera.width, camera.height]))).all(-1)
    pixels = pixels[inside]
    if len(pixels):
        rays = camera_rays(camera, pixels.float() + 0.5)
        samples = renderer.samples(rays.to(renderer.density_grid.device))
        depth_z[pixels[:, 1], pixels[:, 0]] = median_distance(samples).cpu() * rays.z_per_distance
        accumulation[pixels[:, 1], pixels[:, 0]] = samples.weights.sum(-1).cpu()
    return depth_z, accumulation


def lift_objects(
    objects: Sequence[ObjectPrompts],
    scene: Scene,
    cameras: Sequence[Camera],
    renderer: Renderer,
    mask_of_box: Callable[[int, ViewPrompts], Bool[Tensor, "h w"]],
) -> list[LiftedPrompts]:
    """All objects' prompts in the world; `cameras` are all views' at the run's resolution.

    A box says nothing in other views by itself: `mask_of_box(view, prompts)` decodes it where it was drawn, and a few
    points well inside of that mask stand for it elsewhere. Decoding may be slow, so no box is decoded before all
    clicks are known to be good. A mask is asked of the decoder again in the view it is of, and a few points deep inside
    of it stand for it elsewhere. Raises UserError for a click on empty space, a scribble that is nowhere on anything
    solid, and an object that has no point inside it.
    """
    lifted = [_lift_points(prompts, scene, cameras, renderer) for prompts in objects]
    return [
        _lift_boxes(points, prompts, scene, cameras, renderer, mask_of_box)
        for points, prompts in zip(lifted, objects, strict=True)
    ]


def _lift_points(prompts: ObjectPrompts, scene: Scene, cameras: Sequence[Camera], renderer: Renderer) -> LiftedPrompts:
    """One object's clicks, scribbles, 3D points and masks. One that has no point inside it must have a box, from which
    some may come."""
    points, labels, views = [torch.zeros(0, 3)], [], []
    for index in sorted({scene.view_index(p.view) for p in prompts.points_2d}):
        clicks = [p for p in prompts.points_2d if scene.view_index(p.view) == index]
        xy = to_run_pixels(scene, cameras, index, torch.tensor([p.xy for p in clicks], dtype=torch.float32))
        points.append(lift_pixels(renderer, cameras[index], xy, clicks[0].view))
        labels += [p.label for p in clicks]
        views += [index] * len(clicks)
    for scribble in prompts.scribbles:
        index = scene.view_index(scribble.view)
        xy = to_run_pixels(scene, cameras, index, scribble_clicks(scribble, scene.views[index]))
        found = _lift_solid(renderer, cameras[index], xy, scribble.view)
        if not len(found):
            raise UserError(f"the scribble of the object {prompts.name!r} in {scribble.view} is on empty space")
        points.append(found)
        labels += [scribble.label] * len(found)
        views += [index] * len(found)
    if prompts.points_3d:
        p_file = torch.tensor([p.xyz for p in prompts.points_3d], dtype=torch.float32)
        points.append(scene.world_from_file.apply(p_file))
        labels += [p.label for p in prompts.points_3d]
        views += [IN_SPACE] * len(prompts.points_3d)
    masks = {}
    for mask in prompts.masks:
        index = scene.view_index(mask.view)
        masks[index], inner = _mask_logits_and_points(mask, scene, cameras, index)
        points.append(_lift_solid(renderer, cameras[index], inner, mask.view))
        labels += [1] * len(points[-1])
        views += [index] * len(points[-1])
    if not labels and not prompts.boxes:
        if masks:
            raise UserError(
                f"there is nothing solid in the mask of the object {prompts.name!r}; give it a point inside"
            )
        what = "only a text prompt, which comes with a later version" if prompts.text else "no usable prompt"
        raise UserError(f"the object {prompts.name!r} has {what}; give it a point or a box")
    if not prompts.boxes:
        _check_inside(prompts.name, labels)
    return LiftedPrompts(
        prompts.name, torch.cat(points), torch.tensor(labels, dtype=torch.int64), tuple(views), masks=masks
    )


def _mask_logits_and_points(
    mask: MaskPrompt, scene: Scene, cameras: Sequence[Camera], index: int
) -> tuple[Float[Tensor, "h w"], Float[Tensor, "points 2"]]:
    """A mask as logits at the run's resolution, by the share of each pixel that it covers, and pixels deep inside."""
    whole = load_view_mask(mask.path, scene.views[index])
    size = (cameras[index].height, cameras[index].width)
    share = F.interpolate(whole[None, None].float(), size, mode="area")[0, 0]
    # Of a thing thinner than a pixel no pixel is half covered.
    inside = share >= min(0.5, float(share.max()))
    return MASK_LOGIT * (2 * share - 1), points_inside(inside, POINTS_OF_A_MASK)


def _lift_boxes(
    lifted: LiftedPrompts,
    prompts: ObjectPrompts,
    scene: Scene,
    cameras: Sequence[Camera],
    renderer: Renderer,
    mask_of_box: Callable[[int, ViewPrompts], Bool[Tensor, "h w"]],
) -> LiftedPrompts:
    """The object with its boxes, and with the points that stand for them behind its own."""
    points, labels, views, boxes = [lifted.p_world], lifted.labels.tolist(), list(lifted.views), {}
    for box in prompts.boxes:
        index = scene.view_index(box.view)
        corners = torch.tensor(box.xyxy, dtype=torch.float32).reshape(2, 2)
        boxes[index] = to_run_pixels(scene, cameras, index, corners).reshape(4)
        alone = ViewPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), boxes[index])
        inner = points_inside(mask_of_box(index, alone), POINTS_OF_A_MASK)
        points.append(_lift_solid(renderer, cameras[index], inner, box.view))
        labels += [1] * len(points[-1])
        views += [index] * len(points[-1])
    if boxes and not labels:
        raise UserError(f"there is nothing solid in the box of the object {prompts.name!r}; give it a point inside")
    _check_inside(prompts.name, labels)
    return replace(lifted, p_world=torch.cat(points), labels=torch.tensor(labels), boxes=boxes, views=tuple(views))


def _check_inside(name: str, labels: Sequence[int]) -> None:
    if 1 not in labels:
        raise UserError(f"the object {name!r} has no point inside it (label 1)")


def on_solid(renderer: Renderer, camera: Camera, xy: Float[Tensor, "points 2"]) -> Bool[Tensor, "points"]:
    """Which pixels `lift_points` would not call empty space."""
    _, accumulation = sparse_depth(renderer, camera, xy)
    column, row = xy.long().unbind(-1)
    return accumulation[row, column] >= LEAST_ACCUMULATION


def to_run_pixels(
    scene: Scene, cameras: Sequence[Camera], view: int, xy: Float[Tensor, "points 2"]
) -> Float[Tensor, "points 2"]:
    """Pixels of a view's image file as pixels of its picture at the run's resolution."""
    of_file, of_run = scene.views[view].camera, cameras[view]
    return xy * torch.tensor([of_run.width / of_file.width, of_run.height / of_file.height])


def lift_pixels(
    renderer: Renderer, camera: Camera, xy: Float[Tensor, "points 2"], view: str
) -> Float[Tensor, "points 3"]:
    """The surface points under pixels `xy` of the run's camera. UserError as of `lift_points`."""
    depth_z, accumulation = sparse_depth(renderer, camera, xy)
    return lift_points(xy, depth_z, camera, accumulation=accumulation, view=view)


def _lift_solid(
    renderer: Renderer, camera: Camera, xy: Float[Tensor, "pixels 2"], view: str
) -> Float[Tensor, "points 3"]:
    """The surface points under those of our own pixels that lie on something."""
    xy = xy[inside_image(camera, xy)]
    xy = xy[on_solid(renderer, camera, xy)]
    return lift_pixels(renderer, camera, xy, view) if len(xy) else torch.zeros(0, 3)


def view_prompts(lifted: LiftedPrompts, view: int, camera: Camera, renderer: Renderer) -> ViewPrompts | None:
    """What of an object's prompts can be seen in a view; None where no point inside the object can."""
    seen = visible_prompts(lifted, view, camera, renderer)
    inside = seen.box is not None or seen.mask_logits is not None or bool((seen.labels == 1).any())
    return seen if inside else None


def visible_prompts(lifted: LiftedPrompts, view: int, camera: Camera, renderer: Renderer) -> ViewPrompts:
    """The same, be it clicks outside of the object alone or nothing at all."""
    xy, _ = project(camera, lifted.p_world)
    depth_z, _ = sparse_depth(renderer, camera, xy)
    seen = project_prompts(camera, lifted.p_world, depth_z, OCCLUSION_TOLERANCE)
    box, mask = lifted.boxes.get(view), lifted.masks.get(view)
    return ViewPrompts(seen.xy[seen.visible], lifted.labels[seen.visible], box, mask)


def points_inside(mask: Bool[Tensor, "h w"], count: int) -> Float[Tensor, "points 2"]:
    """Up to `count` spread-out pixels (x, y) deep inside a mask: the deepest first, then away from those chosen."""
    remaining = torch.from_numpy(edge_distance(mask.numpy())).float()
    out = []
    rows, columns = torch.meshgrid(torch.arange(mask.shape[0]), torch.arange(mask.shape[1]), indexing="ij")
    for _ in range(count):
        if not bool((remaining > 0).any()):
            break
        row, column = divmod(int(remaining.argmax()), mask.shape[1])
        out.append([column + 0.5, row + 0.5])
        radius = 2 * float(remaining[row, column]) + 1
        remaining = remaining.masked_fill((rows - row) ** 2 + (columns - column) ** 2 <= radius**2, 0.0)
    return torch.tensor(out, dtype=torch.float32).reshape(-1, 2)
