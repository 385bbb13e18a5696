"""`import-field`: a scene and a field that another program trained to a run folder like one of `train`."""

import math
from pathlib import Path

import torch

from sanerf.adapters.load import load_field
from sanerf.data.scene import Scene
from sanerf.errors import UserError
from sanerf.fields.protocol import Field
from sanerf.kernels.backend import Kernels
from sanerf.progress import OnPart
from sanerf.render.asked_grid import ask_density_grid
from sanerf.render.images import Renderer
from sanerf.run.config import RunConfig
from sanerf.run.folder import Run, create_run, save_foreign_field
from sanerf.run.lock import holds_files, run_lock
from sanerf.run.training import rendering_plan


def field_renderer(
    field: Field,
    scene: Scene,
    *,
    config: RunConfig,
    kernels: Kernels,
    device: torch.device,
    on_part: OnPart | None = None,
) -> Renderer:
    """A renderer of any field in the world of `scene`; its density grid is what the field answers when asked."""
    unbounded = math.isinf(scene.far)
    generator = torch.Generator().manual_seed(config.seed)
    grid = ask_density_grid(field, config.sampling.grid_side, unbounded, device, generator, on_part)
    return Renderer(field, grid, rendering_plan(config, scene.near, scene.far, unbounded), kernels)


def import_run(
    scene: Scene,
    path: Path,
    *,
    config: RunConfig,
    out: Path,
    kernels: Kernels,
    device: torch.device,
    on_part: OnPart | None = None,
) -> Run:
    """Make the run folder `out` with the foreign field at `path`, on which the other commands work.

    The folder holds the field itself; `path` is not needed afterwards. Raises UserError for files that cannot be used,
    for a field that is empty where the scene is, and for a folder that holds a run already or that another process
    works on.
    """
    field = load_field(path, scene.world_from_file, scene=scene.root).to(device)
    # Before the field is asked, which takes minutes.
    with run_lock(out):
        if out.exists() and (not out.is_dir() or holds_files(out)):
            raise UserError(f"{out} is not empty; choose another --out")
        renderer = field_renderer(field, scene, config=config, kernels=kernels, device=device, on_part=on_part)
        if not bool((renderer.density_grid > 1e-2).any()):
            raise UserError(f"the field in {path} is empty where the scene is; was it trained on {scene.root}?")
        run = create_run(out, scene, config)
        save_foreign_field(run, field, renderer.density_grid)
    return run
