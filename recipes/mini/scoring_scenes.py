"""Render scenes that training never uses, as `sanerf bench segmenter --data` reads them (bpy 5.0); resumable.

    python scoring_scenes.py --out DIR --meshes FOLDER --hdris FOLDER --pictures FOLDER --count 10

Scenes are those of blender_scenes.py with numbers from FIRST_FOR_SCORING on, which that script does not render: other
content, same family of things, materials and lights as the training's. Writes `images/NNNNNN_V.jpg` and, for every
object that covers at least 0.2 % of a view, `masks/objectKK/NNNNNN_V.png`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from blender_scenes import FIRST_FOR_SCORING, VIEWS, list_files, make_scene
from PIL import Image

LEAST_SHARE = 0.002
"""As in train.py, which asks for no smaller objects."""


def split_labels(picture: Path, out: Path) -> int:
    """Write the masks of the labels that lie beside `picture`, then move the picture; the number of masks."""
    labels = np.asarray(Image.open(picture.with_suffix(".png")))
    written = 0
    for label in np.unique(labels[labels > 0]):
        mask = labels == label
        if mask.mean() < LEAST_SHARE:
            continue
        path = out / "masks" / f"object{label:02d}" / f"{picture.stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * 255).save(path)
        written += 1
    (out / "images").mkdir(parents=True, exist_ok=True)
    picture.replace(out / "images" / picture.name)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("out", "meshes", "hdris", "pictures"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10, help=f"scenes, {VIEWS} views each")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    files = list_files(args.meshes, "*.obj"), list_files(args.hdris, "*.exr"), list_files(args.pictures, "*.jpg")
    for number in range(FIRST_FOR_SCORING, FIRST_FOR_SCORING + args.count):
        if (args.out / "images" / f"{number:05d}_{VIEWS - 1}.jpg").exists():
            continue
        with tempfile.TemporaryDirectory(dir=args.out) as rendered:
            make_scene(number, Path(rendered), *files)
            masks = [split_labels(path, args.out) for path in sorted(Path(rendered).glob("*.jpg"))]
        print(f"scene {number}: {sum(masks)} masks", flush=True)


if __name__ == "__main__":
    main()
