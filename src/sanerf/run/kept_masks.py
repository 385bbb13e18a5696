"""The decoder's masks as a segmentation keeps them, and read back for a later call that asks about other objects.

decoded/NAME/STEM.png    a mask's probability in 255ths: above 127 it is object
"decoded" of the record  by name and stem, how good its decoder believed each mask to be
"left_out" of the record  by name, how much a pixel that its masks leave out counts (`ViewMask`)
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.data.images import load_grey
from sanerf.data.scene import Scene
from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera
from sanerf.run.segmentation import Segmentation
from sanerf.shapes import UInt8

_FOLDER, _LEFT_OUT = "decoded", "left_out"


def mask_pictures(masks: ViewMasks, scene: Scene) -> dict[Path, UInt8[Tensor, "_ _"]]:
    """Masks by the paths that their pictures have in the segmentation's folder."""
    return {
        Path(_FOLDER, name, f"{scene.output_stem(view)}.png"): (mask.probability * 255).round().to(torch.uint8)
        for view, of_view in masks.items()
        for name, mask in of_view.items()
    }


def mask_record(masks: ViewMasks, scene: Scene) -> dict[str, Any]:
    """What the record says of the masks beside their pictures."""
    believed: dict[str, dict[str, float]] = {}
    left_out: dict[str, float] = {}
    for view, of_view in masks.items():
        for name, mask in of_view.items():
            believed.setdefault(name, {})[scene.output_stem(view)] = round(mask.predicted_iou, 4)
            left_out[name] = min(mask.left_out, left_out.get(name, 1.0))
    return {_FOLDER: believed, _LEFT_OUT: left_out}


def read_masks(segmentation: Segmentation, names: Sequence[str], scene: Scene, cameras: dict[int, Camera]) -> ViewMasks:
    """The masks of some of a segmentation's objects in the views of `cameras`. UserError where a picture is damaged.

    Those of a segmentation that did not write so are taken to be as good as can be.
    """
    believed, left_out = (segmentation.record.get(key, {}) for key in (_FOLDER, _LEFT_OUT))
    out: ViewMasks = {}
    for view, camera in cameras.items():
        stem = scene.output_stem(view)
        for name in names:
            path = segmentation.path / _FOLDER / name / f"{stem}.png"
            if path.exists():
                probability = load_grey(path).float() / 255
                if probability.shape != (camera.height, camera.width):
                    size = f"{camera.width} x {camera.height}"
                    raise UserError(f"{path} should have {size} pixels; delete it, or segment {name!r} anew")
                out.setdefault(view, {})[name] = ViewMask(
                    probability,
                    predicted_iou=float(believed.get(name, {}).get(stem, 1.0)),
                    left_out=float(left_out.get(name, 1.0)),
                )
    return out
