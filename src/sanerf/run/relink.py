"""A run whose scene was moved: whether its photographs are where it says, and telling it where they are now."""

import os
from dataclasses import replace
from pathlib import Path

from sanerf.data.images import picture_header
from sanerf.data.scene import Scene, View
from sanerf.errors import UserError
from sanerf.run.folder import Run, open_run, write_run
from sanerf.run.lock import run_lock


def check_photographs(run: Run) -> None:
    """Raise UserError where none of the run's photographs is at its place, as after the scene's folder was moved."""
    if not any(view.image_path.is_file() for view in run.scene.views):
        raise UserError(
            f"the photographs of {run.path} are not in {run.scene.root} any more; if that folder was moved, "
            f"`sanerf relink {run.path} SCENE` tells the run where it is now"
        )


def relink_run(path: Path, root: Path) -> Run:
    """Let the run in `path` take its photographs from the scene folder `root`, and write that into it.

    A picture is looked for at its place within the scene's folder; one that lay outside of it at its recorded place,
    else as it lay from there. Raises UserError, and leaves the run as it was, where a picture or a training mask is
    not there, where a picture's size is another than the run's, and where another process works on the run.
    """
    run = open_run(path)
    if not root.is_dir():
        raise UserError(f"there is no folder {root}")
    with run_lock(path):
        old, new = run.scene.root, root.resolve()
        moved = replace(run.scene, root=new, views=tuple(_moved_view(view, old, new) for view in run.scene.views))
        _check_pictures(moved, path)
        run = replace(run, scene=moved)
        write_run(run)
    return run


def _moved_view(view: View, old: Path, new: Path) -> View:
    mask = view.training_mask
    return replace(
        view,
        image_path=_moved(view.image_path, old, new),
        training_mask=None if mask is None else replace(mask, path=_moved(mask.path, old, new)),
    )


def _moved(file: Path, old: Path, new: Path) -> Path:
    if not file.is_relative_to(old) and file.is_file():
        return file
    return Path(os.path.normpath(new / os.path.relpath(file, old)))


def _check_pictures(scene: Scene, path: Path) -> None:
    this = f"{scene.root} is not the scene of {path}"
    files = [view.image_path for view in scene.views]
    files += [view.training_mask.path for view in scene.views if view.training_mask is not None]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise UserError(f"{this}: {len(missing)} of its {len(files)} pictures are not there, such as {missing[0]}")
    for view in scene.views:
        header, camera = picture_header(view.image_path), view.camera
        if (camera.width, camera.height) not in header.possible_sizes:
            raise UserError(
                f"{this}: {view.image_path} has {header.width} x {header.height} pixels, and the run's "
                f"{camera.width} x {camera.height}"
            )
