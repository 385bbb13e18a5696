"""The masks of everything in photographs as files of one folder, photograph by photograph.

    labels/STEM.png      grey of 8 bits, or 16 where there are more than 255 masks: 0 for none, else the `id` of a mask;
                         where several lie the smallest shows
    masks/STEM.json      all of them, in the form of Segment Anything's data set (SA-1B): COCO's compressed run lengths,
                         area, box (x, y, width, height), predicted IoU, stability, click, window
    overlays/STEM.jpg    the labels over the photograph

masks/STEM.json is written last. It also tells of what it was made, so that a later call knows what is done.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from sanerf.data.photos import PhotoFile
from sanerf.errors import UserError
from sanerf.files import atomic_write, read_json, write_json, write_png
from sanerf.render.label_pictures import overlay_labels
from sanerf.segmenter.coco_rle import segmentation
from sanerf.segmenter.everything import FoundMask, find_everything, label_map
from sanerf.segmenter.everything_config import EverythingConfig
from sanerf.segmenter.protocol import Segmenter
from sanerf.shapes import UInt8

FORMAT_VERSION = 1
_QUALITY = 90
_log = logging.getLogger("sanerf")


@dataclass(frozen=True)
class WrittenMasks:
    """A photograph whose `masks` masks are there; `seconds` is None where an earlier call found them."""

    name: str
    stem: str
    masks: int
    seconds: float | None


def write_all(
    photos: Sequence[PhotoFile],
    segmenter: Segmenter,
    config: EverythingConfig,
    *,
    out: Path,
    on_clicks: Callable[[int, int, str], None],
) -> list[WrittenMasks]:
    """Find and write the masks of each photograph, those apart that an earlier call has written.

    `on_clicks` is told how many clicks of how many are answered, and the photograph's name. A photograph that cannot be
    read is left out, and said; UserError where none can.
    """
    done: list[WrittenMasks] = []
    total = len(photos) * config.clicks
    for i, photo in enumerate(photos):
        on_clicks(i * config.clicks, total, photo.name)
        began = time.monotonic()
        try:
            image = photo.load()
        except UserError as error:
            if len(photos) == 1:
                raise
            _log.warning("left out: %s", error)
            continue
        made = made_of(segmenter.fingerprint, config, image)
        before = masks_found_before(out, photo.stem, made)
        if before is not None:
            done.append(WrittenMasks(photo.name, photo.stem, before, None))
            continue

        def tell(clicks: int, _: int, start: int = i * config.clicks, name: str = photo.name) -> None:
            on_clicks(start + clicks, total, name)

        masks = find_everything(segmenter, image, config, on_progress=tell)
        write_everything(out, photo.stem, name=photo.name, photo=image.numpy(), masks=masks, made=made)
        done.append(WrittenMasks(photo.name, photo.stem, len(masks), time.monotonic() - began))
    if not done:
        raise UserError(f"none of the {len(photos)} photographs can be read")
    on_clicks(total, total, "")
    return done


def files_of(folder: Path, stem: str) -> tuple[Path, Path, Path]:
    """A photograph's labels, masks and overlay."""
    return folder / "labels" / f"{stem}.png", folder / "masks" / f"{stem}.json", folder / "overlays" / f"{stem}.jpg"


def asked_how(fingerprint: str, config: EverythingConfig) -> dict[str, Any]:
    """What all masks of one call depend on, whatever the photograph: segmenter and settings."""
    return {"format_version": FORMAT_VERSION, "segmenter": fingerprint, "settings": asdict(config)}


def made_of(fingerprint: str, config: EverythingConfig, image: UInt8[Tensor, "h w 3"]) -> dict[str, Any]:
    """What a photograph's masks depend on, for its JSON file: segmenter, settings and pixels."""
    pixels = hashlib.sha256(f"{tuple(image.shape)} ".encode() + image.cpu().contiguous().numpy().tobytes())
    return {**asked_how(fingerprint, config), "pixels": pixels.hexdigest()}


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
    write_png(labels_path, labels.astype(np.uint8) if len(masks) < 256 else labels)
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
        "segmentation": segmentation(mask.runs, mask.height, mask.width),
        "area": mask.area,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "predicted_iou": round(mask.predicted_iou, 4),
        "stability_score": round(mask.stability, 4),
        "point_coords": [[round(value, 2) for value in mask.point]],
        "crop_box": [window.x0, window.y0, window.width, window.height],
    }
