"""A capture looked over before any training: what is there, and what is likely to go wrong, in words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sanerf.data.images import load_image, load_kept
from sanerf.data.load import load_scene
from sanerf.data.scene import Scene
from sanerf.errors import UserError

LONG_SIDE = 1024
"""Pictures with a longer side are better trained downscaled on a CPU."""
FEW_VIEWS = 15
"""With fewer views to train on, geometry is rough."""
BLUR_SHARE = 0.35
"""A picture with less than this share of the median sharpness is called blurry."""


@dataclass(frozen=True)
class SceneReport:
    """Facts, problems (each one sentence), and all of it as sentences."""

    facts: dict[str, Any]
    problems: tuple[str, ...]
    sentences: tuple[str, ...]


def check_scene(root: Path) -> SceneReport:
    """Read a scene as `train` would, open every picture, and judge. Raises UserError where it cannot be read at all."""
    scene = load_scene(root)
    sharpness, unreadable = _sharpness(scene)
    problems = [*scene.warnings, *unreadable, *_problems(scene, sharpness)]
    masked = [view for view in scene.views if view.training_mask is not None]
    sizes = sorted({(view.camera.width, view.camera.height) for view in scene.views})
    distances = [float(view.camera.centre.norm()) for view in scene.views]
    facts = {
        "layout": scene.layout,
        "views": len(scene.views),
        "train": len(scene.train),
        "test": len(scene.test),
        "sizes": [list(size) for size in sizes],
        "distorted": any(not view.camera.lens.is_pinhole for view in scene.views),
        "has_alpha": scene.has_alpha,
        "masked": len(masked),
        "file_units_per_world_unit": 1 / scene.world_from_file.scale,
    }
    listed = ", ".join(f"{w}x{h}" for w, h in sizes[:3]) + (", ..." if len(sizes) > 3 else "")
    sentences = [
        f"{root}: {len(scene.views)} views ({listed}) in the {scene.layout} layout, "
        f"{len(scene.train)} to train on and {len(scene.test)} held out.",
        f"Cameras stand {min(distances):.2f} to {max(distances):.2f} from the centre, in units of the normalised world "
        f"({facts['file_units_per_world_unit']:.3g} units of the file).",
        *([f"{len(masked)} views have masks of pixels that are not learnt from."] if masked else []),
        *problems,
    ]
    if not problems:
        sentences.append("Nothing stands out.")
    return SceneReport(facts, tuple(problems), tuple(sentences))


def _sharpness(scene: Scene) -> tuple[dict[str, float], list[str]]:
    """Mean squared gradient of each readable picture at a common small size, and a sentence for each other one."""
    out, unreadable = {}, []
    for view in scene.views:
        shrink = max(view.camera.width, view.camera.height) / 256
        size = (max(2, round(view.camera.width / shrink)), max(2, round(view.camera.height / shrink)))
        try:
            load_kept(view, size)
            grey = load_image(view, size).float().mean(-1)
        except UserError as error:
            unreadable.append(str(error))
            continue
        out[view.name] = float(grey.diff(dim=0).square().mean() + grey.diff(dim=1).square().mean())
    return out, unreadable


def _problems(scene: Scene, sharpness: dict[str, float]) -> list[str]:
    out = []
    if len(scene.train) < FEW_VIEWS:
        out.append(f"Only {len(scene.train)} views to train on: geometry will be rough; 30 or more are better.")
    longest = max(max(view.camera.width, view.camera.height) for view in scene.views)
    if longest > LONG_SIDE:
        out.append(f"Pictures are up to {longest} pixels long: on a CPU train with --downscale {-(-longest // 640)}.")
    if sharpness:
        median = float(np.median(list(sharpness.values())))
        blurry = [name for name, value in sharpness.items() if value < BLUR_SHARE * median]
        if blurry and len(blurry) < len(sharpness) / 2:
            out.append(f"{len(blurry)} pictures look blurry next to the others: {', '.join(blurry[:5])}.")
    centres = torch.stack([view.camera.centre for view in scene.views])
    if float((centres - centres.mean(0)).norm(dim=1).max()) < 1e-6:
        out.append("All cameras stand at the same place: without parallax there is no depth.")
    return out
