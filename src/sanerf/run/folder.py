"""The run folder: what `train` makes and later commands add to.

run.json                  format version, configuration, scene (cameras and picture paths)
checkpoint.safetensors    training so far, until it is done
radiance.safetensors      the trained field and its density grid; one of another program with its settings as metadata
train.jsonl               the training curve
features/                 the feature cache
samples.safetensors       the samples of `segment`'s rays (`aggregate.sample_cache`); coarse_samples of `--instant`'s
segmentations/ID/         one call of `segment`: object field, prompts, decoded masks
.lock                     while a command writes here (`lock.py`)
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sanerf.adapters.hash_field import HashField
from sanerf.adapters.load import from_stored, to_stored
from sanerf.data.scene import Scene
from sanerf.data.scene_json import scene_from_json, scene_to_json
from sanerf.errors import UserError, on_one_line
from sanerf.fields.protocol import Field
from sanerf.fields.radiance import RadianceField
from sanerf.files import read_tensors, write_json, write_tensors
from sanerf.kernels.backend import Kernels
from sanerf.render.images import Renderer
from sanerf.run.config import RunConfig, from_json, to_json
from sanerf.run.lock import holds_files
from sanerf.run.training import TrainingState, rendering_plan
from sanerf.shapes import Float

FORMAT_VERSION = 2
_READABLE_VERSIONS = ("1", "2")
"""Format 1 knew no lens but OpenCV's."""


@dataclass(frozen=True)
class Run:
    """An opened run folder."""

    path: Path
    scene: Scene
    config: RunConfig

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def radiance(self) -> Path:
        return self.path / "radiance.safetensors"

    @property
    def curve(self) -> Path:
        return self.path / "train.jsonl"

    @property
    def features(self) -> Path:
        return self.path / "features"

    @property
    def samples(self) -> Path:
        return self.path / "samples.safetensors"

    @property
    def coarse_samples(self) -> Path:
        return self.path / "coarse_samples.safetensors"

    @property
    def segmentations(self) -> Path:
        return self.path / "segmentations"

    @property
    def trained(self) -> bool:
        return self.radiance.exists()

    @property
    def background(self) -> tuple[float, float, float]:
        """What stands behind rendered pictures: white where the scene is cut out, black where it is a place."""
        return (1.0, 1.0, 1.0) if self.scene.has_alpha else (0.0, 0.0, 0.0)


def create_run(path: Path, scene: Scene, config: RunConfig) -> Run:
    """A new run folder, or the one that is there if it is of the same scene and configuration.

    Raises UserError where the folder holds something else.
    """
    if (path / "run.json").exists():
        run = open_run(path)
        if run.config == config and scene_to_json(run.scene) == scene_to_json(scene):
            return run
        if run.trained or run.checkpoint.exists():
            changed = ", ".join(_differences(to_json(run.config), to_json(config))) or "the scene"
            raise UserError(f"{path} holds another run (it differs in {changed}); choose another --out")
        # Of a call that failed before it learnt anything: nothing is lost.
    elif path.is_dir() and holds_files(path):
        raise UserError(f"{path} is not empty and no run; choose another --out")
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; choose another --out")
    document = {"format_version": FORMAT_VERSION, "config": to_json(config), "scene": scene_to_json(scene)}
    write_json(path / "run.json", document)
    return Run(path, scene, config)


def _differences(old: dict[str, Any], new: dict[str, Any], where: str = "") -> list[str]:
    """What differs between two configurations of the same shape, as "training.steps (3000, now 500)"."""
    out = []
    for key, value in new.items():
        if isinstance(value, dict):
            out += _differences(old[key], value, f"{where}{key}.")
        elif old[key] != value:
            out.append(f"{where}{key} ({old[key]}, now {value})")
    return out


def open_run(path: Path) -> Run:
    """The run in a folder. UserError where there is none, or one of another version."""
    file = path / "run.json"
    if not file.is_file():
        raise UserError(f"{path} is no run folder: it has no run.json; make one with `sanerf train SCENE --out {path}`")
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        version = document["format_version"]
        if str(version) not in _READABLE_VERSIONS:
            raise UserError(
                f"{path} was written in run format {version}, this sanerf reads formats up to {FORMAT_VERSION}; "
                "use the sanerf that wrote it or train again"
            )
        return Run(path, scene_from_json(document["scene"]), from_json(RunConfig, document["config"]))
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise UserError(f"{file} cannot be read ({error!r}); it is damaged: train again into another folder") from error


def save_radiance(run: Run, state: TrainingState) -> None:
    """Write the trained field."""
    tensors = {f"field.{name}": value for name, value in state.field.state_dict().items()}
    tensors["density_grid"] = state.density_grid
    metadata = {"format_version": str(FORMAT_VERSION), "step": str(state.step), "seconds": repr(state.seconds)}
    write_tensors(run.radiance, tensors, metadata)


def save_foreign_field(run: Run, field: HashField, density_grid: Float[Tensor, "side side side"]) -> None:
    """Write the field of another program in the trained field's place."""
    stored, settings = to_stored(field)
    tensors = {f"field.{name}": value for name, value in stored.items()}
    metadata = {"format_version": str(FORMAT_VERSION), "foreign": settings}
    write_tensors(run.radiance, {**tensors, "density_grid": density_grid}, metadata)


def load_renderer(run: Run, kernels: Kernels, device: torch.device) -> Renderer:
    """The run's trained field, frozen and ready to render. UserError where training has not ended."""
    if not run.trained:
        raise UserError(f"{run.path} is not trained to its end yet; run `sanerf train` with the same --out again")
    advice = "train again into another folder"
    tensors, metadata = read_tensors(run.radiance, advice)
    version = metadata.get("format_version")
    if version not in _READABLE_VERSIONS:
        raise UserError(
            f"{run.radiance} was written in run format {version}, this sanerf reads formats up to {FORMAT_VERSION}; "
            f"use the sanerf that wrote it or {advice}"
        )
    try:
        density_grid = tensors["density_grid"].to(device)
        stored = {k.removeprefix("field."): v for k, v in tensors.items() if k.startswith("field.")}
        field = _stored_field(run, stored, metadata, kernels, device)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{run.radiance} cannot be read ({on_one_line(error)}); {advice}") from error
    unbounded = run.scene.far == float("inf")
    plan = rendering_plan(run.config, run.scene.near, run.scene.far, unbounded)
    return Renderer(field, density_grid, plan, kernels)


def _stored_field(
    run: Run, stored: dict[str, Tensor], metadata: dict[str, str], kernels: Kernels, device: torch.device
) -> Field:
    """Our own field with the run's configuration, or one of another program with its own settings; frozen."""
    if "foreign" in metadata:
        return from_stored(stored, metadata["foreign"]).to(device)
    field = RadianceField(run.config.radiance, kernels, torch.Generator()).to(device)
    field.load_state_dict(stored)
    return field.requires_grad_(False)
