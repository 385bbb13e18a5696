"""A folder to a `Scene`: find the layout by its files, read it, normalise it, split it."""

from dataclasses import replace
from pathlib import Path

from sanerf.data.blender import read_blender
from sanerf.data.capture import Capture
from sanerf.data.colmap import find_model, read_colmap
from sanerf.data.front3d import is_front3d, read_front3d
from sanerf.data.images import pictures_in
from sanerf.data.llff import read_llff
from sanerf.data.messy_rooms import is_messy_rooms, read_messy_rooms
from sanerf.data.normalise import normalise
from sanerf.data.panoptic_lifting import is_panoptic_lifting, read_panoptic_lifting
from sanerf.data.scene import Scene
from sanerf.data.silhouettes import scaled_to_silhouettes
from sanerf.data.transforms_json import read_transforms
from sanerf.errors import UserError

_DEFAULT_HOLDOUT = "every:8"


class NoSceneError(UserError):
    """A folder has the files of no layout: it is no scene, rather than a broken one."""


def load_scene(root: Path, *, holdout: str | None = None) -> Scene:
    """The scene in the folder `root`, in any supported layout.

    `holdout` says which views are kept for testing: "every:N" (each Nth in order of name, the first among them),
    "none", or the path of a text file with one view name a line. By default the scene's own split, where its files
    give one, else "every:8". Raises UserError, one sentence, for whatever cannot be used.
    """
    capture = read_capture(root)
    normalisation = normalise(capture)
    views = tuple(
        replace(view, camera=normalisation.world_from_file.apply_to_camera(view.camera)) for view in capture.views
    )
    scene = Scene(
        root=capture.root,
        layout=capture.layout,
        views=views,
        train=tuple(range(len(views))),
        test=(),
        world_from_file=normalisation.world_from_file,
        near=normalisation.near,
        far=normalisation.far,
        has_alpha=capture.has_alpha,
        warnings=capture.warnings,
    )
    return scaled_to_silhouettes(_split(scene, capture, holdout))


def read_capture(root: Path) -> Capture:
    """The photographs and cameras of a scene folder, in its own frame."""
    if not root.exists():
        raise UserError(f"there is no folder {root}")
    if not root.is_dir():
        raise UserError(f"{root} is a file; expected the folder of a scene")
    # Before transforms.json, which in such a folder may be that of the distorted pictures it was made of.
    if is_panoptic_lifting(root):
        return read_panoptic_lifting(root)
    if (root / "transforms.json").is_file():
        return read_transforms(root)
    if (root / "transforms_train.json").is_file():
        return read_blender(root)
    if (root / "poses_bounds.npy").is_file():
        return read_llff(root)
    if is_front3d(root):
        return read_front3d(root)
    if is_messy_rooms(root):
        return read_messy_rooms(root)
    if find_model(root) is not None:
        return read_colmap(root)
    if any(pictures_in(folder) for folder in (root, root / "images")):
        raise NoSceneError(f"{root} has pictures but no camera poses; `sanerf process {root} --out SCENE` finds them")
    raise NoSceneError(
        f"{root} is no scene: expected transforms.json, transforms_train.json, poses_bounds.npy or a COLMAP model in "
        "sparse/0"
    )


def _split(scene: Scene, capture: Capture, holdout: str | None) -> Scene:
    if holdout is None and capture.train is not None and capture.test is not None:
        test = {scene.view_index(name) for name in capture.test}
        train = {scene.view_index(name) for name in capture.train} - test
    else:
        test = _held_out(scene, holdout or _DEFAULT_HOLDOUT)
        train = set(range(len(scene.views))) - test
    if not train:
        raise UserError(f"no view of {scene.root} is left to train on: all {len(test)} are held out")
    return replace(scene, train=tuple(sorted(train)), test=tuple(sorted(test)))


def _held_out(scene: Scene, holdout: str) -> set[int]:
    if holdout == "none":
        return set()
    if holdout.startswith("every:"):
        step = holdout.removeprefix("every:")
        if not step.isdecimal() or int(step) < 2:
            raise UserError(f"holdout is {holdout!r}; expected every:N with a whole N of at least 2")
        return set(range(0, len(scene.views), int(step)))
    expected = "expected every:8, none or a text file of view names"
    try:
        lines = Path(holdout).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise UserError(f"holdout is {holdout!r}, and there is no such file; {expected}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"holdout is {holdout!r}, which cannot be read as text; {expected}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise UserError(f"holdout is {holdout!r}, which names no view; where none shall be held out, say none")
    return {scene.view_index(name) for name in names}
