"""A job of the benchmark of methods: one method answers the prompts of one scene with one seed, and is scored.

What a method is told has no exact mask in it (`methods.Task`), and its masks are written before the exact ones are
read. Nothing is written into the run.
"""

import hashlib
import shutil
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from sanerf.data.images import load_mask
from sanerf.errors import UserError
from sanerf.evaluation.masks import MaskCounts, count_masks
from sanerf.evaluation.methods import Method, MethodAnswer, Task
from sanerf.evaluation.methods_scenes import BenchScene
from sanerf.files import atomic_folder, write_png, write_text
from sanerf.kernels.backend import kernels_for
from sanerf.peak_memory import PeakMemory
from sanerf.progress import Progress
from sanerf.run.folder import Run, load_renderer
from sanerf.run.segmentation import margin_mask
from sanerf.run.views import run_cameras

METRICS = ("iou", "acc", "boundary_iou")
MASKS, WORK, KEY_FILE = "masks", "work", ".job"


@dataclass(frozen=True)
class BenchSetup:
    """What all jobs have in common: the segmenter's text, the kind of device, the benchmark's folder, and the peak of
    memory of the process that the benchmark was called in."""

    segmenter: str
    device: str
    out: Path
    memory: PeakMemory = field(default_factory=PeakMemory, compare=False)

    def shared_run(self, run: Run) -> Run:
        """A run as the folder of what all its jobs share: the features of its training views, and the feature field
        learnt from them."""
        of = hashlib.sha256(f"{self.segmenter} {run.path.resolve()}".encode()).hexdigest()[:16]
        return replace(run, path=self.out / WORK / "features" / of)


@dataclass(frozen=True)
class Job:
    """One scene, one method, one seed, and the key under which its result is kept."""

    scene: BenchScene
    name: str
    method: Method
    seed: int
    key: str

    @property
    def folder(self) -> Path:
        """Where its masks lie, below the benchmark's: METHOD-SEED/SCENE, so that METHOD-SEED is a `masks:` method.
        `KEY_FILE` says whose they are: the same method may have been asked with another segmenter."""
        return Path(MASKS) / f"{self.name}-{self.seed}" / self.scene.label


@dataclass(frozen=True)
class ScoredMask:
    """An object in a view; `answered` is false where the method gave no mask, which counts as an empty one."""

    object: str
    view: int
    iou: float
    answered: bool


@dataclass(frozen=True)
class JobResult:
    """What a job came to.

    `objects` has the `METRICS` of each object, pooled over views (paper, section 4.2) or as means over views, as the
    scene says. `memory_gb` is the most that the process held, what other jobs left there included; None where the
    system cannot tell.
    """

    scene: str
    group: str
    method: str
    seed: int
    seconds: dict[str, float]
    memory_gb: float | None
    objects: dict[str, dict[str, float]]
    masks: list[ScoredMask]
    folder: str


@dataclass(frozen=True)
class Failure:
    """A job that could not be done, and the sentence that says why. It is tried again by the next call."""

    scene: str
    method: str
    seed: int
    why: str


@dataclass(frozen=True)
class JobRunner:
    """Does one job: asks the method, writes its masks, and only then reads the exact ones."""

    bench: BenchSetup

    def __call__(self, job: Job, progress: Progress) -> JobResult | Failure:
        scene = job.scene
        self.bench.memory.begin_part()
        own = self._own_run(job)
        try:
            device = torch.device(self.bench.device)
            renderer = load_renderer(scene.run, kernels_for("auto", device), device)
            cameras = run_cameras(scene.run)
            task = Task(
                scene=scene.label,
                run=own,
                renderer=renderer,
                prompts=scene.prompts,
                segmenter=self.bench.segmenter,
                cameras={view: cameras[view] for view in scene.views},
                seed=job.seed,
                progress=progress,
            )
            answer = job.method.answer(task)
            memory = self.bench.memory.of_part_gb()
            objects, masks = write_and_score(scene, answer, self.bench.out / job.folder, job.key)
        except UserError as error:
            return Failure(scene.label, job.name, job.seed, str(error))
        finally:
            shutil.rmtree(own.path, ignore_errors=True)
        seconds = {stage: round(value, 3) for stage, value in answer.seconds.items()}
        return JobResult(
            scene.label, scene.group, job.name, job.seed, seconds, memory, objects, masks, job.folder.as_posix()
        )

    def _own_run(self, job: Job) -> Run:
        """The trained run as a folder of the job's own, with the scene's features and feature field in it. Where the
        system knows no links they are encoded and learnt anew."""
        own = replace(job.scene.run, path=self.bench.out / WORK / "jobs" / job.key[:16])
        shared = self.bench.shared_run(job.scene.run)
        shutil.rmtree(own.path, ignore_errors=True)
        own.path.mkdir(parents=True)
        with suppress(OSError):
            for kept, link in ((shared.features, own.features), (shared.feature_fields, own.feature_fields)):
                link.symlink_to(kept.resolve(), target_is_directory=True)
                kept.mkdir(parents=True, exist_ok=True)
        return own


def write_and_score(
    scene: BenchScene, answer: MethodAnswer, folder: Path, key: str
) -> tuple[dict[str, dict[str, float]], list[ScoredMask]]:
    """Write an answer's masks to `folder`/NAME/STEM.png and its job's key beside them, then hold them against the exact
    ones, at the exact ones' resolution; by object its metrics, and each mask. An answer of no mask is an empty mask."""
    run, paths = scene.run, {name: scene.truth.paths(name, scene.run.scene, scene.views) for name in scene.truth.names}
    margins = answer.margins
    with atomic_folder(folder) as written:
        write_text(written / KEY_FILE, key)
        for view, of_view in margins.items():
            for name, margin in of_view.items():
                write_png(written / name / f"{run.scene.output_stem(view)}.png", (margin > 0).cpu().numpy())
    objects, masks = {}, []
    for name, of_object in paths.items():
        counts = []
        for view, path in of_object.items():
            truth, margin = load_mask(path), margins.get(view, {}).get(name)
            mask = torch.zeros_like(truth) if margin is None else margin_mask(margin, *truth.shape)
            counts.append(count_masks(mask, truth))
            masks.append(ScoredMask(name, view, counts[-1].iou, margin is not None))
        objects[name] = averaged_metrics(counts, scene.averaged)
    return objects, masks


def averaged_metrics(counts: Sequence[MaskCounts], averaged: str) -> dict[str, float]:
    """An object's metrics: "objects" pools the counts of its views before dividing, "views" takes the means of
    theirs."""
    averaged_over = [sum(counts, MaskCounts())] if averaged == "objects" else counts
    return {metric: statistics.fmean(getattr(one, metric) for one in averaged_over) for metric in METRICS}
