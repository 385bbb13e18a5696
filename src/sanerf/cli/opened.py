"""Opening a scene or a run folder for a command, and what a command that makes a run prints of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sanerf.cli.console import CommonOptions, open_device, peak_memory_note, print_result, say
from sanerf.errors import UserError
from sanerf.peak_memory import peak_memory_gb

if TYPE_CHECKING:
    from sanerf.data.scene import Scene
    from sanerf.render.images import Renderer
    from sanerf.run.folder import Run
    from sanerf.run.segmentation import Segmentation


@dataclass(frozen=True)
class OpenedRun:
    """A run with its renderer and its segmentations, newest first."""

    run: "Run"
    renderer: "Renderer"
    segmentations: "list[Segmentation]"


def open_trained(path: Path, options: CommonOptions, *, photographs: bool) -> OpenedRun:
    """Open a trained run on the device of `--device`, with what was segmented in it. UserError where that cannot be,
    or where its `photographs` are needed and not at their place."""
    from sanerf.run.folder import open_run
    from sanerf.run.relink import check_photographs

    run = open_run(path)
    if photographs:
        check_photographs(run)
    return load_trained(run, options)


def load_trained(run: "Run", options: CommonOptions, *, with_objects: bool = True) -> OpenedRun:
    """The same of a run that is open, without its objects if they are not wanted."""
    from sanerf.kernels.backend import kernels_for
    from sanerf.run.folder import load_renderer
    from sanerf.run.segmentation import load_segmentations

    device = open_device(options)
    kernels = kernels_for("auto", device)
    segmentations = load_segmentations(run, kernels, device) if with_objects else []
    return OpenedRun(run, load_renderer(run, kernels, device), segmentations)


def open_scene(path: Path, *, holdout: str | None, downscale: int) -> "Scene":
    """The scene in a folder, its warnings said. UserError where it cannot be read or `--downscale` makes no sense."""
    from sanerf.data.load import load_scene

    if downscale < 1:
        raise UserError(f"--downscale should be at least 1, not {downscale}")
    scene = load_scene(path, holdout=holdout)
    for warning in scene.warnings:
        say(f"note: {warning}")
    return scene


def print_run(options: CommonOptions, run: "Run", done: str) -> None:
    """The result of a command that made a run: how many views it has, and, in words, what was `done` to it."""
    result = {
        "run": str(run.path),
        "train_views": len(run.scene.train),
        "test_views": len(run.scene.test),
        "peak_memory_gb": peak_memory_gb(),
    }
    print_result(options, result, [f"{done}: {run.path} ({peak_memory_note()})"])
