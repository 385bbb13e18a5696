"""The masks of everything in photographs as files of one folder, photograph by photograph.

    labels/STEM.png      grey of 8 bits, or 16 where there are more than 255 masks: 0 for none, else the `id` of a mask;
                         where several lie the smallest shows
    masks/STEM.json      all of them, in the form of Segment Anything's data set (SA-1B): COCO's compressed run lengths,
                         area, box (x, y, width, height), predicted IoU, stability, click, window
    overlays/STEM.jpg    the labels over the photograph

masks/STEM.json is written last. It also tells of what it was made, so that a later call knows what is done.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from sanerf.errors import UserError
from sanerf.files import atomic_write, read_json, write_json
from sanerf.render.label_pictures import overlay_labels
from sanerf.segmenter.coco_rle import compress
from sanerf.segmenter.everything import FoundMask, label_map
from sanerf.segmenter.everything_config import EverythingConfig
from sanerf.shapes import UInt8, UInt16

FORMAT_VERSION = 1
_QUALITY = 90


def files_of(folder: Path, stem: str) -> tuple[Path, Path, Path]:
    """A photograph's labels, masks and overlay."""
    return folder / "labels" / f"{stem}.png", folder / "masks" / f"{stem}.json", folder / "overlays" / f"{stem}.jpg"


def made_of(fingerprint: str, config: EverythingConfig, image: UInt8[Tensor, "h w 3"]) -> dict[str, Any]:
    """What a photograph's masks depend on, for its JSON file: segmenter, settings and pixels."""
    pixels = hashlib.sha256(f"{tuple(image.shape)} ".encode() + image.cpu().contiguous().numpy().tobytes())
    return {
        "format_version": FORMAT_VERSION,
        "segmenter": fingerprint,
        "settings": asdict(config),
        "pixels": pixels.hexdigest(),
    }


def masks_found_before(folder: Path, stem: str, made: dict[str, Any]) -> int | None:
    """How many masks an earlier call found for the same photograph with the same settings; None where none did."""
    paths = files_of(folder, stem)
    if not all(path.is_file() for path in paths):
        return None
    try:
        content = read_json(paths[1])
    except UserError:
        return None
    masks = content.get("annotations")
    return len(masks) if content.get("made_of") == made and isinstance(masks, list) else None


def write_everything(
    folder: Path,
    stem: str,
    *,
    name: str,
    photo: UInt8[np.ndarray, "h w 3"],
    masks: Sequence[FoundMask],
    made: dict[str, Any],
) -> None:
    """Write a photograph's three files. `name` is its own file's."""
    labels_path, masks_path, overlay_path = files_of(folder, stem)
    height, width = photo.shape[:2]
    # What an earlier call with other settings says goes first: it shall not stand beside labels that are not its own.
    masks_path.unlink(missing_ok=True)
    labels = label_map(masks) if masks else np.zeros((height, width), dtype=np.uint16)
    _write_labels(labels_path, labels, count=len(masks))
    with atomic_write(overlay_path) as temporary:
        overlay = Image.fromarray(overlay_labels(photo, labels))
        overlay.save(temporary, format="JPEG", quality=_QUALITY, subsampling=0)
    content = {
        "image": {"image_id": stem, "width": width, "height": height, "file_name": name},
        "annotations": [annotation(number, mask) for number, mask in enumerate(masks, start=1)],
        "made_of": made,
    }
    write_json(masks_path, content)


def annotation(number: int, mask: FoundMask) -> dict[str, Any]:
    """One mask in COCO's words."""
    x0, y0, x1, y1 = mask.box
    window = mask.window
    return {
        "id": number,
        "segmentation": {"size": [mask.height, mask.width], "counts": compress(mask.runs)},
        "area": mask.area,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "predicted_iou": round(mask.predicted_iou, 4),
        "stability_score": round(mask.stability, 4),
        "point_coords": [[round(value, 2) for value in mask.point]],
        "crop_box": [window.x0, window.y0, window.width, window.height],
    }


def _write_labels(path: Path, labels: UInt16[np.ndarray, "h w"], count: int) -> None:
    pixels = labels.astype(np.uint8) if count < 256 else labels
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
