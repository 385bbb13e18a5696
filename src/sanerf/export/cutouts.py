"""The object on the photographs themselves: RGBA cut-outs and masks, as files.

The photographs keep their own resolution; soft masks of a smaller render are brought up to it. Alpha is
straight, not premultiplied, as PNG wants it. Where it is 0 the colour is black, so that nothing of the photograph
outside of the object goes along with it.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from sanerf.errors import UserError
from sanerf.files import check_folder, check_writer, shared_folder, write_png
from sanerf.render.pictures import to_bytes
from sanerf.shapes import Bool, Float, UInt8

MASKS_WRITER = "export --format masks"
"""The name in an object's folder of masks, by which a later call knows it."""


def rgba_cutout(
    photo: UInt8[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "mh mw"], *, crop_to_alpha: bool = False
) -> UInt8[np.ndarray, "ch cw 4"]:
    """The photo with `alpha`, 0 to 1 at any resolution, as its fourth channel, and black where that is 0 of 255.

    With `crop_to_alpha` the picture is cut to the box of the pixels that are not fully transparent; a picture without
    any stays whole.
    """
    height, width = photo.shape[:2]
    full = to_bytes(resize_alpha(alpha, height, width))
    rgba = np.concatenate([np.where(full[..., None] > 0, photo, np.uint8(0)), full[..., None]], axis=2)
    if not crop_to_alpha or not full.any():
        return rgba
    rows, columns = np.flatnonzero(full.any(axis=1)), np.flatnonzero(full.any(axis=0))
    return rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def resize_alpha(alpha: Float[np.ndarray, "mh mw"], height: int, width: int) -> Float[np.ndarray, "h w"]:
    """A soft mask at another resolution: bilinear, averaging where it shrinks, with pixel centres at halves."""
    if alpha.shape == (height, width):
        return alpha
    values = torch.from_numpy(np.ascontiguousarray(alpha))[None, None]
    resized = torch.nn.functional.interpolate(values, (height, width), mode="bilinear", antialias=True)
    return resized[0, 0].numpy()


def write_masks(
    directory: Path, name: str, masks: Iterable[tuple[str, Bool[np.ndarray, "h w"] | UInt8[np.ndarray, "h w"]]]
) -> Path:
    """Write DIRECTORY/NAME/STEM.png for each pair of a view's stem and its mask, 255 on the object, or its alpha; give
    the folder.

    Of an earlier mask folder of the same name the masks of the same views are replaced. `masks.items()` of a dict will
    do, and a generator keeps memory small. Raises UserError where a name cannot be a file's, two views share a stem, or
    the folder is not ours.
    """
    folder = check_masks_folder(directory, name)
    with shared_folder(folder, MASKS_WRITER) as temporary:
        for stem, mask in masks:
            path = temporary / f"{file_name(stem)}.png"
            if path.exists():
                raise UserError(f"two views are called {stem!r}, so their masks would overwrite each other")
            write_png(path, mask)
    return folder


def check_masks_folder(directory: Path, name: str) -> Path:
    """The folder of an object's masks; UserError where `write_masks` would not write there."""
    folder = directory / file_name(name)
    check_writer(directory, MASKS_WRITER)
    check_folder(folder, MASKS_WRITER)
    return folder


def file_name(name: str) -> str:
    """`name` if it can be the name of a file or folder everywhere; UserError otherwise."""
    bad = not name.strip(" .") or name != name.strip() or name.startswith(".") or set(name) & set('/\\:*?"<>|\0\n\r\t')
    if bad:
        raise UserError(f"{name!r} cannot be the name of a file: use letters, digits, spaces, '-' and '_'")
    return name
