"""The most memory that training holds on thousands of large pictures, and on one very large one.

    python benchmarks/memory.py [--views 2000] [--size 1024] [--steps 50] [--seed 0] [--out FILE.md]

Made for it, on a ring of cameras: `--views` JPEGs of `--size` x `--size` pixels, 40 different ones under many names.
`sanerf train` runs on all of them in a process of its own, whose largest resident memory the system then tells; once
with one set of intrinsics for all, and once with each view's own, which takes the most memory. The third row is three
photographs of a hundred megapixels with `--downscale 8`.
"""

import argparse
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from linked_copy import linked_copy
from PIL import Image
from report_header import RESULTS, OtherPrograms, cores_text, facts_at_start, header, table

from sanerf.errors import UserError
from sanerf.files import write_json, write_text

DISTINCT = 40
BAR = 4.0
"""Gigabytes (1e9 bytes) that training on 2,000 views of a megapixel may hold."""
LARGE = (12_000, 8_400)
COLUMNS = ("scene", "peak memory, GB", f"bar: {BAR:g} GB")


@dataclass(frozen=True)
class Measured:
    """One training: its scene in words, and its peak memory (1e9 bytes)."""

    scene: str
    peak: float


def write_scene(root: Path, views: int, size: tuple[int, int], seed: int, *, own_intrinsics: bool) -> None:
    """A ring of cameras that look at the origin, and pictures of chance: coarse patches with a fine grain."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    width, height = size
    frames = []
    for view in range(views):
        name = f"images/{view:05d}.jpg"
        if view < DISTINCT:
            patches = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            grain = rng.integers(0, 24, (height // 8, width // 8, 1), dtype=np.uint8)
            picture = Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)
            fine = Image.fromarray(grain.repeat(3, axis=2)).resize(size, Image.Resampling.NEAREST)
            Image.blend(picture, fine, 0.3).save(root / name, quality=90)
        else:
            linked_copy(root / f"images/{view % DISTINCT:05d}.jpg", root / name)
        frame: dict[str, object] = {
            "file_path": name,
            "transform_matrix": world_from_cam_on_ring(2 * math.pi * view / views),
        }
        if own_intrinsics:
            frame |= {"fl_x": 1.1 * width + 0.01 * view, "fl_y": 1.1 * width + 0.01 * view}
        frames.append(frame)
    content = {"w": width, "h": height, "fl_x": 1.1 * width, "fl_y": 1.1 * width, "cx": width / 2, "cy": height / 2}
    write_json(root / "transforms.json", {**content, "frames": frames})


def world_from_cam_on_ring(angle: float) -> list[list[float]]:
    """world_from_cam of a camera at distance 1 in the plane z = 0, looking at the origin, with OpenGL's axes."""
    sin, cos = math.sin(angle), math.cos(angle)
    return [[-sin, 0.0, cos, cos], [cos, 0.0, sin, sin], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]


def measure(words: str, scene: Path, run: Path, steps: int, downscale: int, seed: int) -> Measured:
    """`sanerf train` in a process of its own."""
    call = [sys.executable, "-m", "sanerf.cli.main", "train", str(scene), "--out", str(run), "--steps", str(steps)]
    call += ["--downscale", str(downscale), "--seed", str(seed), "--holdout", "none", "--device", "cpu"]
    child = subprocess.Popen(call, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise UserError(f"the training of {words} ended with exit code {child.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Measured(words, usage.ru_maxrss * unit / 1e9)


def report(results: Sequence[Measured], facts: dict[str, object]) -> str:
    """What was run where, and the table."""
    rows = [(one.scene, f"{one.peak:.2f}", "held" if one.peak < BAR else "missed") for one in results]
    return "\n".join([*header("Memory of training", facts), *table(COLUMNS, rows)]) + "\n"


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--views", type=int, default=2000)
    parser.add_argument("--size", type=int, default=1024, help="pixels a side")
    parser.add_argument("--large", type=int, nargs=2, default=LARGE, help="width and height of the large photographs")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="by default benchmarks/results/memory.md")
    options = parser.parse_args(given)
    facts, others = facts_at_start(torch.device("cpu"), options.seed), OtherPrograms()
    facts["steps"] = options.steps
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for own in (False, True):
            words = f"{options.views:,} views of {options.size} x {options.size}"
            words += ", each with its own intrinsics" if own else ""
            scene, run = Path(folder, f"scene_{own}"), Path(folder, f"run_{own}")
            size = (options.size, options.size)
            write_scene(scene, options.views, size, options.seed, own_intrinsics=own)
            results.append(measure(words, scene, run, options.steps, 1, options.seed))
            shutil.rmtree(scene)
        width, height = options.large
        scene = Path(folder, "scene_large")
        write_scene(scene, 3, (width, height), options.seed, own_intrinsics=False)
        words = f"3 photographs of {width} x {height}, `--downscale 8`"
        results.append(measure(words, scene, Path(folder, "run_large"), options.steps, 8, options.seed))
    facts["others' work meanwhile"] = cores_text(others.cores())
    text = report(results, facts)
    print(text)
    write_text(options.out or RESULTS / "memory.md", text)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(f"memory.py: {error}") from error
