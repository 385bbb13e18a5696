"""2D masks from files in a decoder's place: `--segmenter masks:DIR`.

Layout: DIR/NAME/STEM.png, one folder an object, or DIR/STEM.png where there is one object. A pixel above 127 is object.
A view without a file is a view without a mask, which is not an empty mask.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from sanerf.errors import UserError
from sanerf.shapes import Bool

_OBJECT_ABOVE = 127


def load_view_masks(
    directory: Path, name: str, stems: Sequence[str], *, single_object: bool = False
) -> dict[str, Bool[Tensor, "h w"]]:
    """The masks of object `name` for those of the views `stems` that have one, each at its file's own resolution.

    With `single_object` the files may lie in `directory` itself; a folder NAME goes before. Raises UserError where the
    folder is missing, a file cannot be read, or no view has a mask.
    """
    if not directory.is_dir():
        raise UserError(f"there is no masks folder {directory}")
    folder = directory / name
    if not folder.is_dir():
        if not single_object:
            raise UserError(f"{directory} has no folder {name!r} with the masks of that object")
        folder = directory
    masks = {stem: read_mask(folder / f"{stem}.png") for stem in stems if (folder / f"{stem}.png").is_file()}
    if not masks:
        example = f"{stems[0]}.png" if stems else "STEM.png"
        raise UserError(f"{folder} has no mask for any of the {len(stems)} views; expected files like {example}")
    return masks


def read_mask(path: Path) -> Bool[Tensor, "h w"]:
    """One mask file; UserError where it is no 8-bit picture."""
    try:
        with Image.open(path) as picture:
            if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
                raise UserError(f"the mask {path} is of mode {picture.mode}; expected an 8-bit grey PNG")
            values = np.asarray(picture.convert("L"))
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise UserError(f"the mask {path} cannot be read as a picture") from error
    return torch.from_numpy(values > _OBJECT_ABOVE)
