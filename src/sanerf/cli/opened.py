"""Opening a run folder for a command."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sanerf.cli.console import CommonOptions, open_device

if TYPE_CHECKING:
    from sanerf.render.images import Renderer
    from sanerf.run.folder import Run
    from sanerf.run.segmentation import Segmentation


@dataclass(frozen=True)
class OpenedRun:
    """A run with its renderer and its segmentations, newest first."""

    run: "Run"
    renderer: "Renderer"
    segmentations: "list[Segmentation]"


def open_trained(path: Path, options: CommonOptions, *, with_objects: bool = True) -> OpenedRun:
    """Open a trained run on the device of `--device`, with what was segmented in it. UserError where that cannot be."""
    from sanerf.kernels.backend import kernels_for
    from sanerf.run.folder import load_renderer, open_run
    from sanerf.run.segmentation import load_segmentations

    run = open_run(path)
    device = open_device(options)
    kernels = kernels_for("auto", device)
    segmentations = load_segmentations(run, kernels, device) if with_objects else []
    return OpenedRun(run, load_renderer(run, kernels, device), segmentations)
