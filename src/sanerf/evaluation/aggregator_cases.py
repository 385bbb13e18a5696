"""What the mask aggregator's benchmark starts from: a trained run, exact masks of its views, and those spoilt by noise.

Masks are lifted from a folder that holds those of training views alone, so that no held-out mask can be learnt from.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch

from sanerf.data.images import load_mask
from sanerf.data.mask_files import mask_paths
from sanerf.errors import UserError
from sanerf.evaluation.masks import MaskCounts, count_masks
from sanerf.evaluation.noisy_masks import MaskNoise, noisy_view, view_fates, view_generator
from sanerf.evaluation.run_evaluation import TrueMasks
from sanerf.files import atomic_folder, write_png
from sanerf.render.images import Renderer
from sanerf.run.folder import Run
from sanerf.shapes import Bool

Noise = Literal["none", "noisy"]
ONE_OBJECT = "object"
"""The name of the object whose masks lie in the masks folder itself."""


@dataclass(frozen=True)
class Case:
    """A trained run and the exact masks of its objects; `label` is how the user named it."""

    label: str
    run: Run
    renderer: Renderer
    truth: TrueMasks

    def mask_files(self, views: Sequence[int]) -> dict[int, dict[str, Path]]:
        """The mask files by view, then by object, for those of `views` that have one."""
        return mask_files(self.run, self.truth, views)

    def digest(self) -> str:
        """Of the trained field, the run's cameras and settings, and the bytes of all masks."""
        return run_digest(self.run, self.mask_files((*self.run.scene.train, *self.run.scene.test)))


def mask_files(run: Run, truth: TrueMasks, views: Sequence[int]) -> dict[int, dict[str, Path]]:
    """The files of exact masks by view, then by object, for those of `views` that have one."""
    out: dict[int, dict[str, Path]] = {}
    for name in truth.names:
        for view, path in truth.paths(name, run.scene, views).items():
            out.setdefault(view, {})[name] = path
    return out


def run_digest(run: Run, masks: dict[int, dict[str, Path]]) -> str:
    """Of a trained field, the run's cameras and settings, and the bytes of some masks, by view and object."""
    out = hashlib.sha256()
    for path in (run.radiance, run.path / "run.json"):
        out.update(hashlib.sha256(path.read_bytes()).digest())
    for view, of_view in masks.items():
        for name, path in of_view.items():
            out.update(json.dumps([view, name, hashlib.sha256(path.read_bytes()).hexdigest()]).encode())
    return out.hexdigest()


def find_truth(run: Run, masks: Path | None, objects: Sequence[str]) -> TrueMasks:
    """The exact masks of a run: in `masks`, else in the folder masks/ of its scene; of `objects`, else of all there.

    UserError where there are none, and where an object has none in a training view or none in a test view.
    """
    folder = run.scene.root / "masks" if masks is None else masks
    if not folder.is_dir():
        advice = "; name another with --masks" if masks is None else ""
        raise UserError(f"there is no folder of exact masks {folder}{advice}")
    known = sorted(path.name for path in folder.iterdir() if path.is_dir() and any(path.rglob("*.png")))
    names = tuple(dict.fromkeys(objects)) or tuple(known) or (ONE_OBJECT,)
    truth = TrueMasks(folder, names)
    for name in names:
        for what, views in (("training", run.scene.train), ("held-out", run.scene.test)):
            if not mask_paths(folder, name, run.scene, views, single_object=len(names) == 1):
                raise UserError(f"{folder} has no mask of {name!r} in any {what} view of {run.path}")
    return truth


@dataclass(frozen=True)
class GivenMasks:
    """The `folder` of the masks that are lifted, and how far they are from the exact ones, by object, pooled over
    training views: of `all` that there are, and of those that show the object itself."""

    folder: Path
    all: dict[str, MaskCounts]
    own: dict[str, MaskCounts]


def write_given_masks(case: Case, folder: Path, noise: MaskNoise | None, seed: int) -> GivenMasks:
    """Write the masks of the training views to `folder`, DIR/NAME/STEM.png: exact, or with noise. UserError where one
    view's masks are of several sizes."""
    scene, files = case.run.scene, case.mask_files(case.run.scene.train)
    stems = {name: [scene.output_stem(view) for view in files if name in files[view]] for name in case.truth.names}
    fates = {name: {} if noise is None else view_fates(noise, seed, name, stems[name]) for name in stems}
    everything = {name: MaskCounts() for name in stems}
    own = dict(everything)
    with atomic_folder(folder) as written:
        for view, of_view in files.items():
            stem, truths = scene.output_stem(view), {name: load_mask(path) for name, path in of_view.items()}
            if len({truth.shape for truth in truths.values()}) > 1:
                raise UserError(f"the masks of {scene.views[view].name} in {case.truth.directory} differ in size")
            for name, truth in truths.items():
                fate = fates[name].get(stem, "own")
                generator = view_generator(seed, name, stem)
                given = truth if noise is None else noisy_view(noise, truths, name, fate, generator)
                if given is None:
                    continue
                counts = count_masks(given, truth)
                everything[name] += counts
                own[name] += counts if fate == "own" else MaskCounts()
                write_png(written / name / f"{stem}.png", given.numpy())
    return GivenMasks(folder, everything, own)


def job_key(case_digest: str, *parts: object) -> str:
    """A digest of all that a job depends on."""
    return hashlib.sha256(json.dumps([case_digest, *parts], default=asdict).encode()).hexdigest()


def truth_of(case: Case, view: int, name: str) -> Bool[torch.Tensor, "h w"] | None:
    """The exact mask of an object in a view, None where there is no file."""
    path = case.truth.paths(name, case.run.scene, [view]).get(view)
    return None if path is None else load_mask(path)
