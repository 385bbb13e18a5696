"""The run folder: what `train` makes and later commands add to.

run.json                  format version, configuration, scene (cameras and picture paths)
checkpoint.safetensors    training so far, until it is done
radiance.safetensors      the trained field and its density grid; one of another program with its settings as metadata
train.jsonl               the training curve
features/                 the feature cache
feature_fields/           what was distilled from it (`feature_fields.py`)
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
_OPTIONS = {
    "seed": "--seed",
    "downscale": "--downscale",
    "training.steps": "--steps",
    "training.blurred_weight": "--blurred",
    "training.transients": "--transients",
}
"""The options of `train` that say a key of the configuration."""


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
    def feature_fields(self) -> Path:
        return self.path / "feature_fields"

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
    """A new run folder, or the one that is there if it is of the same scene and configuration; the scene may have been
    moved since, and the run then takes its pictures from the new place.

    Raises UserError where the folder holds something else.
    """
    if (path / "run.json").exists():
        run = open_run(path)
        changed = _differences(to_json(run.config), to_json(config)) + _scene_differences(run.scene, scene)
        if not changed:
            if run.scene.root.resolve() != scene.root.resolve():
                run = Run(path, scene, config)
                write_run(run)
            return run
        if run.trained:
            raise UserError(
                f"{path} holds a finished run, which cannot be trained further, and this one differs from it in "
                f"{', '.join(changed)}; choose another --out"
            )
        if run.checkpoint.exists():
            raise UserError(f"{path} holds another run (it differs in {', '.join(changed)}); choose another --out")
        # Of a call that failed before it learnt anything: nothing is lost.
    elif path.is_dir() and holds_files(path):
        raise UserError(f"{path} is not empty and no run; choose another --out")
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; choose another --out")
    run = Run(path, scene, config)
    write_run(run)
    return run


def write_run(run: Run) -> None:
    """Write run.json, whole or not at all."""
    scene, config = scene_to_json(run.scene), to_json(run.config)
    write_json(run.path / "run.json", {"format_version": FORMAT_VERSION, "config": config, "scene": scene})


def _differences(old: dict[str, Any], new: dict[str, Any], where: str = "") -> list[str]:
    """What differs between two configurations of the same shape, by the option that says it or, where there is none,
    by the key, as "--steps (3000, now 500)"."""
    out = []
    for key, value in new.items():
        name = f"{where}{key}"
        if isinstance(value, dict):
            out += _differences(old[key], value, f"{name}.")
        elif old[key] != value:
            out.append(f"{_OPTIONS.get(name, name)} ({_shown(old[key])}, now {_shown(value)})")
    return out


def _shown(value: Any) -> str:
    """A value as the options of `train` write it."""
    words = {True: "on", False: "off"}
    return "not bounded" if value is None else words[value] if isinstance(value, bool) else str(value)


def _scene_differences(old: Scene, new: Scene) -> list[str]:
    """What differs between two scenes besides the place of their folders; another split may change all the rest, for
    a scene of cut-outs is scaled to its training views."""
    before, now = scene_to_json(old), scene_to_json(new)
    for document in (before, now):
        del document["root"], document["warnings"]
    if before == now:
        return []
    if [(v["name"], v["size"]) for v in before["views"]] != [(v["name"], v["size"]) for v in now["views"]]:
        return ["the scene's pictures"]
    if before["test"] == now["test"]:
        return ["the scene"]
    others = " others" if len(old.test) == len(new.test) else ""
    return [f"--holdout ({len(old.test)} views, now {len(new.test)}{others})"]


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
