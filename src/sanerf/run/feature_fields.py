"""A run's feature fields: learnt once for each segmenter, and kept in the run folder.

One safetensors file a segmenter and radiance field in `feature_fields/`, about 24 MB. In its name and its metadata
stands a SHA-256 over all that it depends on: the segmenter's fingerprint, the radiance field with its samples, the
settings. Where that is another, or the file is damaged, the field is learnt anew; a process that is cut off leaves no
half of one.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from sanerf.aggregate.distill import build_cell_bank, distill, map_moments
from sanerf.aggregate.ray_bank import RayBank
from sanerf.aggregate.sample_cache import samples_key
from sanerf.errors import UserError
from sanerf.fields.feature import FeatureField, MapMoments
from sanerf.files import read_tensors, write_tensors
from sanerf.progress import OnPart
from sanerf.render.images import Renderer
from sanerf.run.folder import Run
from sanerf.run.samples import sample_cache, training_renderer
from sanerf.run.views import training_cameras
from sanerf.segmenter.frame import DistillableSegmenter
from sanerf.segmenter.protocol import ImageFeatures

_FORMAT = "sanerf-feature-field-1"

_log = logging.getLogger("sanerf")


def learn_feature_field(
    run: Run,
    renderer: Renderer,
    segmenter: DistillableSegmenter,
    *,
    rays: RayBank,
    features_of: Callable[[int], ImageFeatures],
    on_progress: OnPart,
) -> FeatureField:
    """Learn a field from the training views' features on the bank's rays, and keep it in the run folder.

    `on_progress` is told the steps. It is kept only where a digest can say of which radiance field it is.
    """
    frames = {view: segmenter.map_frame(of.height, of.width) for view, of in training_cameras(run).items()}
    maps = tuple(next(iter(frames.values())).sizes)
    moments = map_moments((features_of(view) for view in frames), maps)
    bank = build_cell_bank(rays, features_of, frames, maps)
    generator = torch.Generator().manual_seed(run.config.seed)
    field = FeatureField(run.config.feature, moments, renderer.kernels, generator).to(renderer.density_grid.device)
    distill(field, bank, run.config.distillation, generator, on_step=lambda step, steps, loss: on_progress(step, steps))
    key = _key(run, renderer, segmenter)
    if key is not None:
        _write(_path(run, key), field, key)
    return field


def stored_feature_field(run: Run, renderer: Renderer, segmenter: DistillableSegmenter) -> FeatureField | None:
    """The field that an earlier call has kept, on the renderer's device; None where there is none of this kind."""
    key = _key(run, renderer, segmenter)
    if key is None:
        return None
    try:
        tensors, metadata = read_tensors(_path(run, key), "delete it")
    except UserError:
        return None
    if metadata != _metadata(key, tensors):
        return None
    names = [name.removeprefix("mean_") for name in tensors if name.startswith("mean_")]
    moments = {
        name: MapMoments(tensors[f"mean_{name}"], float(tensors[f"spread_{name}"]), tensors[f"padding_{name}"])
        for name in names
    }
    field = FeatureField(run.config.feature, moments, renderer.kernels, torch.Generator())
    field.load_state_dict(tensors)
    return field.to(renderer.density_grid.device)


def _path(run: Run, key: str) -> Path:
    return run.feature_fields / f"{key[:16]}.safetensors"


def _key(run: Run, renderer: Renderer, segmenter: DistillableSegmenter) -> str | None:
    """A digest of all that a field depends on; None where the radiance field is somebody's Python code."""
    samples = sample_cache(run.samples, renderer.field)
    if samples is None:
        return None
    settings: tuple[object, ...] = (
        _FORMAT,
        segmenter.fingerprint,
        samples.field_settings,
        run.config.feature,
        run.config.distillation,
        run.config.aggregate.total_rays,
        run.config.aggregate.weight_threshold,
        run.config.seed,
    )
    return samples_key(training_renderer(run, renderer), training_cameras(run).values(), *settings)


def _write(path: Path, field: FeatureField, key: str) -> None:
    tensors = {name: value.detach().cpu().contiguous() for name, value in field.state_dict().items()}
    try:
        write_tensors(path, tensors, _metadata(key, tensors))
    except UserError as error:
        # Work that was done is not lost for want of room.
        _log.warning("%s; the feature field is learnt again next time", error)


def _metadata(key: str, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return {"sanerf": json.dumps({"format": _FORMAT, "key": key, "checksum": digest.hexdigest()})}
