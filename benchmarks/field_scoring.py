"""What a trained field is worth on held-out views, by the functions of `sanerf evaluate`, and pictures to look at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sanerf.data.images import load_mask
from sanerf.data.mask_files import mask_paths
from sanerf.evaluation.masks import resized_mask
from sanerf.evaluation.metrics import SquaredError, squared_error
from sanerf.evaluation.run_evaluation import ScoredView, evaluate_run
from sanerf.fields.radiance import RadianceField
from sanerf.files import atomic_write, read_tensors
from sanerf.kernels.backend import Kernels
from sanerf.render.images import Renderer
from sanerf.render.pictures import colour_depth, to_bytes
from sanerf.run.folder import Run
from sanerf.run.training import CHECKPOINT_VERSION, rendering_plan

STRIP_HEIGHT = 300
"""Pixels of a picture in a strip."""


@dataclass(frozen=True)
class FieldScore:
    """The scores over held-out views; `inside` is the PSNR of all pixels in their masks, None without masks."""

    psnr: float
    ssim: float
    inside: float | None


def score_field(run: Run, renderer: Renderer, masks: Path | None, strip: Path) -> FieldScore:
    """Score all held-out views, and write two of them, photo, rendering and depth side by side, as the JPEG `strip`.

    `masks` has one mask a view, found and shrunk to the rendering as `evaluate` does it.
    """
    views = run.scene.test
    paths = {} if masks is None else mask_paths(masks.parent, masks.name, run.scene, views)
    inside, shown = SquaredError(), {views[0], views[len(views) // 2]}
    rows: list[np.ndarray] = []

    def on_view(scored: ScoredView) -> None:
        nonlocal inside
        rgb = scored.rendered.image.rgb.cpu()
        if scored.index in paths:
            mask = resized_mask(load_mask(paths[scored.index]), rgb.shape[0], rgb.shape[1])
            inside += squared_error(rgb, scored.photo, mask)
        if scored.index in shown:
            rows.append(strip_row(scored))

    scores = evaluate_run(run, renderer, segmentations=[], views=views, true_masks=None, on_view=on_view)
    write_strip(strip, rows)
    return FieldScore(scores.psnr, scores.ssim, inside.psnr if inside.values else None)


def psnr_of(run: Run, renderer: Renderer, views: Sequence[int]) -> float:
    """The PSNR of some views."""
    return evaluate_run(run, renderer, segmentations=[], views=views, true_masks=None).psnr


def checkpoint_renderer(run: Run, checkpoint: Path, kernels: Kernels) -> tuple[Renderer, float]:
    """The field as it was at a checkpoint of its training, ready to render, and its seconds of training by then.

    Nothing else of the checkpoint is looked at: what training alone needs may hang on the pictures.
    """
    tensors, metadata = read_tensors(checkpoint, "train again")
    assert metadata["version"] == CHECKPOINT_VERSION, metadata
    field = RadianceField(run.config.radiance, kernels, torch.Generator()).to(kernels.device)
    prefix = "field."
    field.load_state_dict({name.removeprefix(prefix): of for name, of in tensors.items() if name.startswith(prefix)})
    plan = rendering_plan(run.config, run.scene.near, run.scene.far, math.isinf(run.scene.far))
    density_grid = tensors["density_grid"].to(kernels.device)
    return Renderer(field.requires_grad_(False), density_grid, plan, kernels), float(metadata["seconds"])


def strip_row(scored: ScoredView) -> np.ndarray:
    """Photo, rendering and depth side by side, each `STRIP_HEIGHT` high; grey where nothing is hit."""
    image = scored.rendered.image
    solid = image.accumulation.cpu().numpy() > 0.5
    # From the camera on, so that fog before it is seen as such: bright, wherever it is.
    depth = colour_depth(np.where(solid, image.depth_z.cpu().numpy(), np.nan), near=0.0)
    return np.concatenate([to_height(part) for part in (to_bytes(scored.photo), to_bytes(image.rgb), depth)], axis=1)


def to_height(picture: np.ndarray) -> np.ndarray:
    width = max(1, round(picture.shape[1] * STRIP_HEIGHT / picture.shape[0]))
    return np.asarray(Image.fromarray(picture).resize((width, STRIP_HEIGHT), Image.Resampling.LANCZOS))


def write_strip(path: Path, rows: Sequence[np.ndarray]) -> None:
    """The rows below each other as a JPEG; narrower ones are filled with white."""
    width = max(row.shape[1] for row in rows)
    filled = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    with atomic_write(path) as temporary:
        Image.fromarray(np.concatenate(filled)).save(temporary, format="JPEG", quality=90)
