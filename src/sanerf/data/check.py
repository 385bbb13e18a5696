"""A capture looked over before any training: what is there, and what is likely to go wrong, in words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sanerf.data.images import is_picture, open_picture
from sanerf.data.load import load_scene
from sanerf.data.pixels import load_picture, picture_sharpness
from sanerf.data.scene import Scene
from sanerf.data.sharpness import BLUR_SHARE, common_side, relative_sharpness
from sanerf.errors import UserError

LONG_SIDE = 1024
"""Pictures with a longer side are better trained downscaled on a CPU."""
FEW_VIEWS = 15
"""With fewer views to train on, geometry is rough."""


@dataclass(frozen=True)
class SceneReport:
    """Facts, problems (each one sentence), and all of it as sentences."""

    facts: dict[str, Any]
    problems: tuple[str, ...]
    sentences: tuple[str, ...]


def check_scene(root: Path) -> SceneReport:
    """Read a scene as `train` would, open every picture, and judge. Raises UserError where it cannot be read at all;
    if that is for a picture, it names all that cannot."""
    try:
        scene = load_scene(root)
    except UserError as error:
        unreadable = _unreadable(root)
        if any(str(path) in str(error) for path in unreadable):
            raise UserError("; and ".join(unreadable.values())) from error
        raise
    sharp, unreadable = _sharpness(scene)
    problems = [*scene.warnings, *unreadable, *_problems(scene), *_blurred(scene, sharp)]
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


def _unreadable(root: Path) -> dict[Path, str]:
    """A sentence for each picture file in a folder, and in those within, that cannot be read."""
    out = {}
    for path in sorted(path for path in root.rglob("*") if is_picture(path) and path.is_file()):
        try:
            open_picture(path)
        except UserError as error:
            out[path] = str(error)
    return out


def _sharpness(scene: Scene) -> tuple[dict[int, float], list[str]]:
    """The sharpness of every readable view, as training measures it, and a sentence for each unreadable picture."""
    side = common_side([view.camera for view in scene.views])
    sharp, unreadable = {}, []
    for index, view in enumerate(scene.views):
        downscale = max(view.camera.width, view.camera.height) / side
        try:
            sharp[index] = picture_sharpness(load_picture(scene, index, downscale), side)
        except UserError as error:
            unreadable.append(str(error))
    return sharp, unreadable


def _blurred(scene: Scene, sharp: dict[int, float]) -> list[str]:
    """What to say of blurred views: of those to train on, which training compares with each other, and of others."""
    train = [index for index in sharp if index in scene.train]
    out = []
    for kind, among, judged, then in (
        ("pictures", train, train, "`train --blurred 0.1` lets them count less."),
        ("held-out pictures", list(sharp), scene.test, "Scores on them say less."),
    ):
        relative = relative_sharpness([scene.views[i].camera for i in among], [sharp[i] for i in among])
        names = [scene.views[i].name for i, of in zip(among, relative, strict=True) if i in judged and of < BLUR_SHARE]
        if names:
            listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            out.append(f"{len(names)} {kind} look blurry next to the others: {listed}. {then}")
    return out


def _problems(scene: Scene) -> list[str]:
    out = []
    if len(scene.train) < FEW_VIEWS:
        out.append(f"Only {len(scene.train)} views to train on: geometry will be rough; 30 or more are better.")
    longest = max(max(view.camera.width, view.camera.height) for view in scene.views)
    if longest > LONG_SIDE:
        out.append(f"Pictures are up to {longest} pixels long: on a CPU train with --downscale {-(-longest // 640)}.")
    centres = torch.stack([view.camera.centre for view in scene.views])
    if float((centres - centres.mean(0)).norm(dim=1).max()) < 1e-6:
        out.append("All cameras stand at the same place: without parallax there is no depth.")
    return out
