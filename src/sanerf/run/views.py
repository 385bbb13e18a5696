"""The views of a run at its own resolution: their cameras and photographs."""

import torch

from sanerf.data.images import downscaled_size, load_image
from sanerf.geometry.cameras import Camera, resized
from sanerf.run.folder import Run
from sanerf.shapes import UInt8


def run_cameras(run: Run) -> list[Camera]:
    """All views' cameras at the run's resolution."""
    sizes = [downscaled_size(view.camera, run.config.downscale) for view in run.scene.views]
    return [resized(view.camera, *size) for view, size in zip(run.scene.views, sizes, strict=True)]


def training_cameras(run: Run) -> dict[int, Camera]:
    """The training views' cameras at the run's resolution, by view index."""
    cameras = run_cameras(run)
    return {view: cameras[view] for view in run.scene.train}


def run_image(run: Run, view: int) -> UInt8[torch.Tensor, "h w 3"]:
    """A view's photograph at the run's resolution."""
    of_view = run.scene.views[view]
    return load_image(of_view, downscaled_size(of_view.camera, run.config.downscale))
