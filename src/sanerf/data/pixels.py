"""The pixels of many views as one flat bank that training draws rays from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from sanerf.data.images import downscaled_size, load_split
from sanerf.data.scene import Scene
from sanerf.data.sharpness import common_side, relative_sharpness, sharpness
from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera, Rays, camera_rays, pixel_centres, resized
from sanerf.shapes import Bool, Float, Int, Int64, UInt8

MOST_PIXELS = 64_000_000
"""Pixels that a bank holds at most: 0.2 GB of colours, 1.2 GB at worst with places and directions. A training of 10,000
steps draws 20 million; of more pixels than these, a random share of each view stands for it."""

TRANSPARENT_SHARE = 1 / 3
"""Of the rays, about so many at most meet nothing. On lego, where two thirds of the pixels are transparent, half gives
+0.6 dB after 1,500 steps, a third +0.7; in a scene with few transparent pixels each of them tells what is empty."""
_DRAWN_AGAIN = 8


@dataclass(frozen=True)
class PixelBank:
    """Colours and rays of the pixels that may be learnt from; views may differ in size.

    Views come one after the other, their pixels row-major; `first_pixel` has one entry more than there are views.
    `place` is each pixel's row-major index in its picture, None where all pixels of all views are here. Directions, in
    camera axes, are kept once for each distinct set of intrinsics, from `first_direction` of a view on; or, where that
    would be more, one for each pixel (`first_direction` is None). `sizes` are (height, width). `sharpness` is each
    view's, over that of views from about the same place.
    """

    rgb: UInt8[Tensor, "pixels 3"]
    alpha: UInt8[Tensor, "pixels"] | None
    place: Int[Tensor, "pixels"] | None
    first_pixel: Int64[Tensor, "views_and_one"]
    first_direction: Int64[Tensor, "views"] | None
    directions_cam: Float[Tensor, "directions 3"]
    rotations: Float[Tensor, "views 3 3"]
    centres: Float[Tensor, "views 3"]
    sizes: Int64[Tensor, "views 2"]
    sharpness: Float[Tensor, "views"]

    def __len__(self) -> int:
        return self.rgb.shape[0]

    def draw(self, count: int, generator: torch.Generator) -> Int64[Tensor, "rays"]:
        """`count` pixels at random, with repetitions: equally likely, but for wholly transparent ones.

        Where those are more than `TRANSPARENT_SHARE`, others are drawn in place of some: most rays would learn that
        nothing is there, long after they know.
        """
        pixels = torch.randint(len(self), (count,), generator=generator).to(self.rgb.device)
        if self.alpha is not None and self._left_as_drawn < 1:
            again = torch.rand(count, generator=generator).to(self.rgb.device) >= self._left_as_drawn
            for _ in range(_DRAWN_AGAIN):
                others = torch.randint(len(self), (count,), generator=generator).to(self.rgb.device)
                pixels = torch.where(again & (self.alpha[pixels] == 0), others, pixels)
        return pixels

    @cached_property
    def _left_as_drawn(self) -> float:
        """The share of draws that are left as they come, transparent or not."""
        transparent = 0.0 if self.alpha is None else torch.count_nonzero(self.alpha == 0).item() / len(self)
        return min(1.0, TRANSPARENT_SHARE / transparent) if transparent else 1.0

    def view_of(self, pixels: Int64[Tensor, "rays"]) -> Int64[Tensor, "rays"]:
        """Which view each flat pixel belongs to."""
        return torch.searchsorted(self.first_pixel, pixels, right=True) - 1

    def place_of(self, pixels: Int64[Tensor, "rays"], view: Int64[Tensor, "rays"]) -> Int64[Tensor, "rays"]:
        """Row-major indices of flat pixels in the picture of the view that they belong to."""
        return pixels - self.first_pixel[view] if self.place is None else self.place[pixels].long()

    def rays(self, pixels: Int64[Tensor, "rays"], view: Int64[Tensor, "rays"] | None = None) -> Rays:
        """The world rays of flat pixels; `view` is their `view_of` where a caller has it already."""
        view = self.view_of(pixels) if view is None else view
        direction = pixels
        if self.first_direction is not None:
            direction = self.first_direction[view] + self.place_of(pixels, view)
        in_cam = self.directions_cam[direction]
        directions = (self.rotations[view] @ in_cam[..., None])[..., 0]
        return Rays(self.centres[view], directions, in_cam[:, 2])

    def colours(self, pixels: Int64[Tensor, "rays"]) -> Float[Tensor, "rays 3"]:
        """sRGB in [0, 1] of flat pixels."""
        return self.rgb[pixels].float() / 255

    def opacities(self, pixels: Int64[Tensor, "rays"]) -> Float[Tensor, "rays"] | None:
        """Alpha in [0, 1] of flat pixels, None where the pictures have none."""
        return None if self.alpha is None else self.alpha[pixels].float() / 255

    def to(self, device: torch.device) -> "PixelBank":
        tensors = (getattr(self, field.name) for field in fields(self))
        return PixelBank(*(None if t is None else t.to(device) for t in tensors))  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Picture:
    """One view's picture, its alpha if it has one, and which of its pixels may be learnt from, None for all."""

    rgb: UInt8[Tensor, "h w 3"]
    alpha: UInt8[Tensor, "h w"] | None = None
    kept: Bool[Tensor, "h w"] | None = None


def load_bank(scene: Scene, indices: Sequence[int], downscale: int | float, *, seed: int) -> PixelBank:
    """The bank of the views at `indices`, made `downscale` times smaller, with one picture at a time in memory."""
    of_files = [scene.views[index].camera for index in indices]
    cameras = [resized(camera, *downscaled_size(camera, downscale)) for camera in of_files]
    return pixel_bank(cameras, (load_picture(scene, index, downscale) for index in indices), seed=seed)


def load_picture(scene: Scene, index: int, downscale: int | float) -> Picture:
    """What training sees of one view, made `downscale` times smaller."""
    of = load_split(scene, [index], downscale)
    return Picture(of.rgb[0], of.alpha[0] if of.alpha else None, of.kept[0] if of.kept else None)


def pixel_bank(
    cameras: Sequence[Camera], pictures: Iterable[Picture], *, most: int = MOST_PIXELS, seed: int = 0
) -> PixelBank:
    """A bank of pictures, each the size of its camera: at most about `most` pixels, an equal share of each view.

    Raises UserError where no pixel may be learnt from.
    """
    total = sum(camera.width * camera.height for camera in cameras)
    share = min(1.0, most / total)
    generator = torch.Generator().manual_seed(seed)
    side = common_side(cameras)
    # Room for all at once: parts joined at the end would be in memory twice.
    room = sum(_share(camera.width * camera.height, share) for camera in cameras)
    rgb, places = torch.empty(room, 3, dtype=torch.uint8), torch.empty(room, dtype=torch.int32)
    alpha: Tensor | None = None
    first, sharp = [0], []
    for picture in pictures:
        place = _held(picture, share, generator)
        held = slice(first[-1], first[-1] + len(place))
        rgb[held] = picture.rgb.reshape(-1, 3)[place]
        places[held] = place
        if picture.alpha is not None:
            alpha = torch.empty(room, dtype=torch.uint8) if alpha is None else alpha
            alpha[held] = picture.alpha.reshape(-1)[place]
        first.append(held.stop)
        sharp.append(picture_sharpness(picture, side))
    held = first[-1]
    if held == 0:
        raise UserError("the masks of the pictures exclude every pixel of every training view; are they inverted?")
    first_pixel = torch.tensor(first)
    first_direction, directions = _directions(cameras, places, first_pixel)
    world_from_cam = torch.stack([camera.world_from_cam for camera in cameras]).float()
    return PixelBank(
        rgb[:held],
        None if alpha is None else alpha[:held],
        places[:held] if held < total else None,
        first_pixel,
        first_direction,
        directions,
        world_from_cam[:, :3, :3].contiguous(),
        world_from_cam[:, :3, 3].contiguous(),
        torch.tensor([(camera.height, camera.width) for camera in cameras]),
        torch.from_numpy(relative_sharpness(cameras, sharp)).float(),
    )


def picture_sharpness(picture: Picture, side: int) -> float:
    """The sharpness, at a longer side of at most `side` pixels, of what may be learnt from and is opaque."""
    solid = picture.kept
    if picture.alpha is not None:
        opaque = picture.alpha == 255
        solid = opaque if solid is None else opaque & solid
    return sharpness(picture.rgb.numpy(), None if solid is None else solid.numpy(), side)


def _share(count: int, share: float) -> int:
    """How many of `count` pixels a bank takes, masks aside."""
    return count if share == 1 else max(1, int(share * count))


def _held(picture: Picture, share: float, generator: torch.Generator) -> Int64[Tensor, "_"]:
    """Row-major indices of the pixels of a picture that the bank holds, in order."""
    count = picture.rgb.shape[0] * picture.rgb.shape[1]
    if share == 1:
        place = torch.arange(count)
    else:
        # One pixel of each of equally long stretches: in order and spread evenly, without a shuffle of them all.
        held = _share(count, share)
        ends = torch.arange(held + 1) * count // held
        within = (torch.rand(held, generator=generator) * ends.diff()).long()
        place = torch.minimum(ends[:-1] + within, ends[1:] - 1)
    return place if picture.kept is None else place[picture.kept.reshape(-1)[place]]


def _directions(
    cameras: Sequence[Camera], places: Int[Tensor, "pixels"], first_pixel: Int64[Tensor, "views_and_one"]
) -> tuple[Int64[Tensor, "views"] | None, Float[Tensor, "directions 3"]]:
    """Directions of whole pictures, once for each distinct set of intrinsics, and where each view's begin; directions
    of the held pixels alone, and None, where those are fewer."""
    at_origin = [replace(camera, world_from_cam=torch.eye(4, dtype=torch.float64)) for camera in cameras]
    keys = [camera.intrinsics for camera in cameras]
    distinct = dict(zip(keys, at_origin, strict=True))
    held = int(first_pixel[-1])
    if sum(camera.width * camera.height for camera in distinct.values()) > held:
        directions = torch.empty(held, 3)
        for view, camera in enumerate(at_origin):
            of_view = slice(int(first_pixel[view]), int(first_pixel[view + 1]))
            directions[of_view] = camera_rays(camera, pixel_centres(camera)[places[of_view].long()]).directions
        return None, directions
    first, at = {}, 0
    for key, camera in distinct.items():
        first[key] = at
        at += camera.width * camera.height
    directions = [camera_rays(camera, pixel_centres(camera)).directions for camera in distinct.values()]
    return torch.tensor([first[key] for key in keys]), torch.cat(directions)
