"""Unpack the downloaded packages into plain files that the recipe reads: HDRIs, backgrounds, prints, cut-outs, meshes.

    python assets.py --packages DIR --out DIR        (needs bpy, for reading EXR)

`--packages` holds the unpacked npm packages `@lobehub/fluent-emoji-3d` (emoji/) and `@pmndrs/assets` (hdri/) and the
wheel of `pybullet` (bullet/). Writes hdris/*.exr, backgrounds/*.npy (tone-mapped equirectangular pictures, uint8),
prints/*.jpg (crops of them to print on things), meshes/*.obj, cutouts.npy (n x 192 x 192 x 4, uint8).
"""

from __future__ import annotations

import argparse
import base64
import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

CUTOUT_SIDE = 192
PRINTS_EACH = 6
EXCLUDED_MESHES = re.compile(r"col|vhacd|plane|collision|terrain|samurai|stadium|lego|heightmap", re.IGNORECASE)


def write_hdris(package: Path, bpy_worlds: Path, out: Path) -> None:
    """The base64 modules decoded, and Blender's own environments but the bundled scene's."""
    for module in sorted(package.rglob("*.exr.js")):
        encoded = module.read_text().split("base64,", 1)[1].split("'", 1)[0].split('"', 1)[0]
        (out / f"pmndrs_{module.name[:-3]}").write_bytes(base64.b64decode(encoded))
    for path in bpy_worlds.glob("*.exr"):
        if path.stem != "courtyard":
            shutil.copy(path, out / f"blender_{path.name}")


def tone_map(path: Path) -> np.ndarray:
    """An EXR as an sRGB picture (H x W x 3, uint8), exposed so that its median is a middle grey."""
    import bpy

    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    linear = np.maximum(pixels.reshape(height, width, 4)[::-1, :, :3], 0)
    linear = linear * (0.22 / max(float(np.median(linear)), 1e-3))
    linear = linear * (1 + linear / 16.0) / (1 + linear * 0.6)
    srgb = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-8) ** (1 / 2.4) - 0.055)
    return np.rint(255 * np.clip(srgb, 0, 1)).astype(np.uint8)


def write_cutouts(package: Path, out: Path) -> None:
    """Every cut-out whose alpha covers something, at one size, straight alpha."""
    kept = []
    for path in sorted(package.rglob("*.webp")):
        picture = Image.open(path).convert("RGBA").resize((CUTOUT_SIDE, CUTOUT_SIDE), Image.Resampling.LANCZOS)
        pixels = np.asarray(picture)
        if 0.03 < (pixels[..., 3] > 127).mean() < 0.98:
            kept.append(pixels)
    np.save(out, np.stack(kept))


def write_meshes(package: Path, out: Path) -> None:
    """The meshes that are things: no collision hulls, planes or scenery, and none that a benchmark shows."""
    for path in sorted(package.rglob("*.obj")):
        if not EXCLUDED_MESHES.search(path.name) and 2_000 < path.stat().st_size < 4_000_000:
            shutil.copy(path, out / f"{path.parent.name}_{path.name}")


def main() -> None:
    import bpy

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    for name in ("hdris", "backgrounds", "prints", "meshes"):
        (args.out / name).mkdir(parents=True, exist_ok=True)
    worlds = Path(bpy.utils.resource_path("LOCAL")) / "datafiles" / "studiolights" / "world"
    write_hdris(args.packages / "hdri", worlds, args.out / "hdris")
    random = np.random.default_rng(0)
    for path in sorted((args.out / "hdris").glob("*.exr")):
        picture = tone_map(path)
        np.save(args.out / "backgrounds" / f"{path.stem}.npy", picture)
        for k in range(PRINTS_EACH):
            side = int(random.integers(picture.shape[0] // 5, picture.shape[0] // 2))
            y = int(random.integers(picture.shape[0] // 4, picture.shape[0] - side))
            x = int(random.integers(0, picture.shape[1] - side))
            crop = Image.fromarray(picture[y : y + side, x : x + side])
            crop.save(args.out / "prints" / f"{path.stem}_{k}.jpg", quality=92)
    write_meshes(args.packages / "bullet", args.out / "meshes")
    write_cutouts(args.packages / "emoji", args.out / "cutouts.npy")


if __name__ == "__main__":
    main()
