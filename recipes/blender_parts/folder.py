"""A scene's folder, written from its renders: pictures as JPEG, masks as 1-bit PNG, JSON files. No Blender needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from blender_parts.views import Observed, View

JPEG_QUALITY = 93


def write_json(path: Path, contents: dict) -> None:
    """Write JSON through a temporary name."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(contents, indent=1) + "\n")
    part.replace(path)


def write_pictures(pictures: Path, views: list[View], out: Path) -> None:
    """JPEGs without chroma subsampling, so that thin coloured parts keep their colour."""
    folder = out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for view in views:
        with Image.open(pictures / f"{view.stem}.png") as picture:
            picture.convert("RGB").save(
                folder / view.file_name, quality=JPEG_QUALITY, subsampling=0, optimize=True, progressive=True
            )


def write_masks(observed: list[Observed], names: list[str], out: Path) -> None:
    """One folder an object, one PNG a view, empty where the object is out of sight."""
    for index, name in enumerate(names, start=1):
        folder = out / "masks" / name
        folder.mkdir(parents=True, exist_ok=True)
        for one in observed:
            Image.fromarray(one.index == index).save(folder / f"{one.view.stem}.png", optimize=True)


def visible_fractions(observed: list[Observed], names: list[str], whole: dict) -> dict[str, list[float]]:
    """Visible area by silhouette area, least and mean over the training views, by object.

    `whole[stem][name]` is the silhouette in pixels with nothing before it.
    """
    seen = [one for one in observed if one.view.stem in whole]
    fractions = {}
    for index, name in enumerate(names, start=1):
        shown = np.array([(one.index == index).sum() for one in seen])
        parts = shown / np.maximum(1, [whole[one.view.stem][name] for one in seen])
        fractions[name] = [round(float(parts.min()), 2), round(float(parts.mean()), 2)]
    return fractions


def contact_sheet(out: Path, stems: list[str], path: Path) -> None:
    """Pictures in rows of four, each beside its masks laid over it in colours."""
    rng = np.random.default_rng(1)
    names = sorted(folder.name for folder in (out / "masks").iterdir())
    colours = rng.integers(60, 256, (len(names), 3))
    tiles = []
    for stem in stems:
        with Image.open(out / "images" / f"{stem}.jpg") as picture:
            plain = np.asarray(picture.convert("RGB")).astype(float)
        painted = 0.45 * plain
        for name, colour in zip(names, colours, strict=True):
            with Image.open(out / "masks" / name / f"{stem}.png") as mask:
                painted[np.asarray(mask, bool)] += 0.55 * colour
        tiles.append(np.concatenate([plain, painted], axis=0))
    rows = [np.concatenate(tiles[k : k + 4], axis=1) for k in range(0, len(tiles), 4)]
    Image.fromarray(np.concatenate(rows, axis=0).astype(np.uint8)).save(path)
