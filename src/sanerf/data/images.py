"""Pictures and masks from disk, at the size asked for.

Pictures are sRGB bytes, H W C. They are made smaller by averaging areas (a box filter), with colours weighted by alpha
where there is alpha. The raw pixel grid counts, as in COLMAP: EXIF orientation is applied only where the view's camera
has the sideways size. A JPEG that is wanted at a quarter of its size or less is averaged in the decoder first (by its
scaled inverse cosine transform) to no less than twice the wanted size, and never stands in memory whole.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, TiffImagePlugin
from torch import Tensor

from sanerf.data.scene import Scene, View
from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera, resized
from sanerf.shapes import Bool, UInt8

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp", ".tif", ".tiff", ".bmp")
"""Endings that are tried for a name without one."""

_EXIF_ORIENTATION = 0x0112
_TIFF_WIDTH, _TIFF_HEIGHT = 0x0100, 0x0101
_TURNS_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What takes an upright picture to the stored one, by EXIF orientation."""
_MASK_THRESHOLD = 127
_MOST_PIXELS = 1_000_000_000
_PILLOWS_BOUND = threading.Lock()
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclass(frozen=True)
class PictureHeader:
    """A picture's stored size, whether EXIF says that it lies on its side, and whether it has an alpha channel."""

    width: int
    height: int
    sideways: bool
    has_alpha: bool

    @property
    def possible_sizes(self) -> tuple[tuple[int, int], ...]:
        """(width, height) as stored and, where EXIF turns it by a right angle, as turned."""
        stored = (self.width, self.height)
        return (stored, (self.height, self.width)) if self.sideways else (stored,)


@dataclass(frozen=True)
class Pictures:
    """Some views' pictures, one size each, with the cameras of those sizes.

    `alpha` is None where the scene has none; where it is there, `rgb` is not yet multiplied by it. `kept` says which
    pixels may be learnt from, and is None where all may.
    """

    cameras: list[Camera]
    rgb: list[UInt8[Tensor, "_ _ 3"]]
    alpha: list[UInt8[Tensor, "_ _"]] | None
    kept: list[Bool[Tensor, "_ _"]] | None = None


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture we read, in whatever case its ending is written."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder, not of those in it, by name; none where there is no such folder."""
    return sorted(path for path in folder.glob("*") if is_picture(path) and path.is_file())


def picture_header(path: Path) -> PictureHeader:
    """Size and kind of a picture, from its first bytes. Raises UserError where it cannot be read."""
    try:
        with _opened(path) as picture:
            # A PNG without an early EXIF chunk would be decoded whole to look for a late one.
            exif = picture.getexif() if picture.format != "PNG" or "exif" in picture.info else {}
            sideways = exif.get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
            width, height = picture.size
            if isinstance(picture, TiffImagePlugin.TiffImageFile):
                # Newer versions of Pillow give the size as turned, older ones as stored.
                width, height = picture.tag_v2[_TIFF_WIDTH], picture.tag_v2[_TIFF_HEIGHT]
            return PictureHeader(width, height, sideways, picture.has_transparency_data)
    except _UNREADABLE as error:
        raise UserError(f"the picture {path} cannot be read: {_reason(error)}") from error


def downscaled_size(camera: Camera, downscale: int | float) -> tuple[int, int]:
    """(width, height) of the camera's picture made `downscale` times smaller, rounded, at least one pixel."""
    if not downscale >= 1:
        raise UserError(f"downscale is {downscale}; expected 1 or more")
    return max(1, round(camera.width / downscale)), max(1, round(camera.height / downscale))


def load_rgba(view: View, size: tuple[int, int] | None = None) -> UInt8[Tensor, "h w 4"]:
    """The view's picture at `size` (width, height; None: its own) with straight alpha, 255 where the file has none."""
    return _to_tensor(_resampled(_in_mode(_upright(view, size), "RGBA"), size))


def load_image(view: View, size: tuple[int, int] | None = None) -> UInt8[Tensor, "h w 3"]:
    """The view's picture at `size` (width, height; None: its own); transparent parts are laid over white.

    Raises UserError, naming the file, where it is unreadable, truncated or not of its camera's size.
    """
    return _over_white(_upright(view, size), size)


def load_photo(path: Path, size: tuple[int, int] | None = None) -> UInt8[Tensor, "h w 3"]:
    """A photograph that is no view of a scene; transparent parts are laid over white.

    `size` (width, height) is its own, as stored or, where EXIF turns it, as turned; None: upright as EXIF says. Raises
    UserError, naming the file, where it cannot be read.
    """
    picture = _read(path)[0]
    if size is None or (size != picture.size and size in picture_header(path).possible_sizes):
        picture = ImageOps.exif_transpose(picture)
    if size is not None and picture.size != size:
        raise UserError(
            f"the picture {path} is {picture.width}x{picture.height}, expected {size[0]}x{size[1]} as its masks are"
        )
    return _over_white(picture, None)


def load_split(scene: Scene, indices: Sequence[int], downscale: int | float = 1) -> Pictures:
    """The pictures of the views at `indices`, made `downscale` times smaller, and their cameras at that size."""
    cameras, rgb, alpha, kept = [], [], [], []
    for index in indices:
        view = scene.views[index]
        size = downscaled_size(view.camera, downscale)
        cameras.append(resized(view.camera, *size))
        if scene.has_alpha:
            rgba = load_rgba(view, size)
            rgb.append(rgba[..., :3].contiguous())
            alpha.append(rgba[..., 3].contiguous())
        else:
            rgb.append(load_image(view, size))
    if any(scene.views[index].training_mask is not None for index in indices):
        sizes = [(camera.width, camera.height) for camera in cameras]
        kept = [load_kept(scene.views[index], size) for index, size in zip(indices, sizes, strict=True)]
    return Pictures(cameras, rgb, alpha if scene.has_alpha else None, kept or None)


def load_kept(view: View, size: tuple[int, int] | None = None) -> Bool[Tensor, "h w"]:
    """Which pixels of the view's picture at `size` (width, height; None: its own) may be learnt from.

    A pixel counts only where its whole area does: next to an excluded one the colours of both are mixed. Raises
    UserError where the mask cannot be read or is of another shape than the picture.
    """
    width, height = size or (view.camera.width, view.camera.height)
    if view.training_mask is None:
        return torch.ones(height, width, dtype=torch.bool)
    mask = load_view_mask(view.training_mask.path, view)
    excluded = mask if view.training_mask.excluded == "white" else ~mask
    # Each window of this pooling holds every pixel of the mask that the pixel of the picture touches.
    touched = torch.nn.functional.adaptive_max_pool2d(excluded[None].float(), (height, width))[0]
    return touched == 0


def load_mask(path: Path, size: tuple[int, int] | None = None) -> Bool[Tensor, "h w"]:
    """A mask file: object where a pixel is above 127, at `size` (width, height; None: the file's own).

    The value of a coloured or palette pixel is its brightest channel. A file whose alpha varies is a cut-out: there
    the alpha is the value. At another size a pixel is object where more than half of its area is.
    """
    picture = _read(path)[0]
    if picture.mode == "1" or (picture.mode.startswith("L") and not picture.has_transparency_data):
        value = np.asarray(picture.convert("L"))
    else:
        rgba = np.asarray(picture.convert("RGBA"))
        varies = rgba[..., 3].min() != rgba[..., 3].max()
        value = rgba[..., 3] if varies else rgba[..., :3].max(axis=-1)
    inside = value > _MASK_THRESHOLD
    if size is not None and size != picture.size:
        grey = Image.fromarray(inside.astype(np.uint8) * 255)
        inside = np.asarray(_resampled(grey, size)) > _MASK_THRESHOLD
    return torch.from_numpy(inside.copy())


def load_grey(path: Path) -> UInt8[Tensor, "h w"]:
    """A picture's brightness as it is stored, of 0 to 255. UserError where the picture cannot be read."""
    return torch.from_numpy(np.array(_read(path)[0].convert("L")))


def load_view_mask(path: Path, view: View) -> Bool[Tensor, "mh mw"]:
    """`load_mask` at the file's own size. UserError where it has another shape (width to height) than the view's."""
    mask, camera = load_mask(path), view.camera
    mask_height, mask_width = mask.shape
    if abs(mask_width * camera.height - mask_height * camera.width) > camera.width + camera.height:
        raise UserError(
            f"the mask {path} is {mask_width}x{mask_height}, another shape than its picture "
            f"{view.image_path} of {camera.width}x{camera.height}"
        )
    return mask


def has_real_alpha(paths: Sequence[Path]) -> bool:
    """Whether all pictures have an alpha channel and the first one's is not opaque everywhere."""
    if not paths or not all(picture_header(path).has_alpha for path in paths):
        return False
    return int(np.asarray(_read(paths[0])[0].convert("RGBA").getchannel("A")).min()) < 255


def _over_white(picture: Image.Image, size: tuple[int, int] | None) -> UInt8[Tensor, "h w 3"]:
    """In colour at `size` (None: its own), over white where it is transparent."""
    if picture.has_transparency_data:
        picture = _resampled(_in_mode(picture, "RGBA"), size)
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        return _to_tensor(Image.alpha_composite(white, picture).convert("RGB"))
    return _to_tensor(_resampled(_in_mode(picture, "RGB"), size))


def _upright(view: View, size: tuple[int, int] | None) -> Image.Image:
    """The view's decoded picture, turned by EXIF only where its camera has the turned size.

    Where its decoder can make it smaller, it comes smaller than it is stored, but no smaller than `size`.
    """
    header = picture_header(view.image_path)
    stored, expected = (header.width, header.height), (view.camera.width, view.camera.height)
    if expected not in header.possible_sizes:
        raise UserError(
            f"the picture {view.image_path} is {header.width}x{header.height}, but the scene was made when it was "
            f"{expected[0]}x{expected[1]}; put the old picture back or start again"
        )
    turned = stored != expected
    if size is None:
        picture = _read(view.image_path)[0]
    else:
        width, height = size[::-1] if turned else size
        picture, area = _read(view.image_path, (2 * width, 2 * height))
        if area is not None:
            picture = picture.resize((width, height), Image.Resampling.BOX, area)
    return ImageOps.exif_transpose(picture) if turned else picture


def open_picture(path: Path) -> Image.Image:
    """A picture decoded, in the mode of its file. Raises UserError where it cannot be read."""
    return _decoded(path, None)[0]


def _decoded(path: Path, least: tuple[int, int] | None) -> tuple[Image.Image, tuple[float, float, float, float] | None]:
    """A picture, made smaller while it is decoded where its format can, but to no less than `least` (width, height).

    Also the part of it that the stored picture fills (left, upper, right, lower), None for all: where sizes are no
    multiples, the last column and row of the smaller one stand for less than the others.
    """
    try:
        with _opened(path) as picture:
            drafted = None if least is None else picture.draft(picture.mode, least)
            tiff = isinstance(picture, TiffImagePlugin.TiffImageFile)
            orientation = picture.getexif().get(_EXIF_ORIENTATION, 1) if tiff else 1
            picture.load()
    except _UNREADABLE as error:
        raise UserError(f"the picture {path} cannot be read: {_reason(error)}") from error
    if orientation in _TURNS_BACK:
        # Of all formats Pillow turns this one while it decodes it.
        picture = picture.transpose(_TURNS_BACK[orientation])
        picture.getexif()[_EXIF_ORIENTATION] = orientation
    if drafted is None or drafted[1][2:] == picture.size:
        return picture, None
    return picture, (0.0, 0.0, float(drafted[1][2]), float(drafted[1][3]))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A picture file, of up to a thousand megapixels: Pillow's own bound refuses what today's cameras make."""
    # Not by its name: Pillow maps an uncompressed TIFF that it knows by name into memory, and one that lies on its side
    # with the rows of the turned one, which scrambles it (Pillow 13.0).
    with path.open("rb") as file:
        # The bound is the process's: of two threads that raise it, the later one would put back what the first one set.
        with _PILLOWS_BOUND:
            bound = Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = _MOST_PIXELS
            try:
                picture = Image.open(file)
            finally:
                Image.MAX_IMAGE_PIXELS = bound
        if picture.width * picture.height > _MOST_PIXELS:
            # Up to twice its bound Pillow only warns.
            raise ValueError(
                f"it has {picture.width} x {picture.height} pixels; expected a thousand megapixels at most"
            )
        yield picture


def _read(
    path: Path, least: tuple[int, int] | None = None
) -> tuple[Image.Image, tuple[float, float, float, float] | None]:
    """As `_decoded`, in eight bits a channel."""
    picture, area = _decoded(path, least)
    if picture.mode == "F":
        raise UserError(f"the picture {path} holds floating-point numbers; expected 8 or 16 bits a channel")
    if picture.mode.startswith("I"):
        # 16 bits of grey: Pillow's own conversion to 8 bits would clip instead of scaling.
        orientation = picture.getexif().get(_EXIF_ORIENTATION, 1)
        picture = Image.fromarray((np.asarray(picture).astype(np.int64) // 257).clip(0, 255).astype(np.uint8))
        picture.getexif()[_EXIF_ORIENTATION] = orientation
    return picture, area


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    # Pillow's conversion to the same mode is a copy, of a large picture a large one.
    return picture if picture.mode == mode else picture.convert(mode)


def _resampled(picture: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    if size is None or size == picture.size:
        return picture
    shrinks = size[0] <= picture.width and size[1] <= picture.height
    # Pillow multiplies RGBA colours by alpha before resampling, so that what is transparent does not bleed in.
    return picture.resize(size, Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)


def _to_tensor(picture: Image.Image) -> UInt8[Tensor, "h w channels"]:
    return torch.from_numpy(np.array(picture, dtype=np.uint8))


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is not a picture in a known format"
    return str(error) or type(error).__name__
