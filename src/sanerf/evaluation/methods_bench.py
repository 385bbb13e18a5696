"""The benchmark of methods: each answers the same prompts in the held-out views of trained runs, and is scored there.

A job is one scene, one method and one seed. What a method is told has no exact mask in it (`methods.Task`), and its
masks are written before the exact ones are read. Nothing is written into the run.
"""

import hashlib
import itertools
import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

import sanerf
from sanerf.data.images import load_mask
from sanerf.errors import UserError
from sanerf.evaluation import job_memory
from sanerf.evaluation.aggregator_cases import job_key
from sanerf.evaluation.engines import Engine
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.masks import MaskCounts, count_masks
from sanerf.evaluation.methods import Answer, Method, Task
from sanerf.evaluation.methods_scenes import BenchScene
from sanerf.files import atomic_folder, write_png
from sanerf.kernels.backend import kernels_for
from sanerf.progress import Progress
from sanerf.run.folder import Run, load_renderer
from sanerf.run.segmentation import margin_mask
from sanerf.run.views import run_cameras, run_image
from sanerf.segmenter.cache import FeatureCache
from sanerf.segmenter.load import load_segmenter

PROTOCOL_VERSION = 1
"""Raised whenever the same masks would get other figures, or what is kept of them has another form."""
METRICS = ("iou", "acc", "boundary_iou")
MASKS, WORK = "masks", "work"


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
        """Where its masks lie, below the benchmark's: METHOD-SEED/SCENE, so that METHOD-SEED is a `masks:` method."""
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
    system cannot tell. `key` is that of its scene, method and seed.
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
class Bench:
    """What all jobs have in common: the segmenter's text, the kind of device, and the benchmark's folder."""

    segmenter: str
    device: str
    out: Path


def bench_methods(
    scenes: Sequence[BenchScene],
    *,
    methods: dict[str, Method],
    seeds: Sequence[int],
    bench: Bench,
    kept: KeptLines,
    engine: Engine,
    progress: Progress,
) -> tuple[list[JobResult], list[Failure], dict[str, float]]:
    """The results of all jobs, the failures, and by scene the seconds that encoding its training views took, once for
    all methods. What `kept` has is not done again."""
    asks = any(method.asks_segmenter for method in methods.values())
    fingerprint = load_segmenter(bench.segmenter, torch.device("cpu")).fingerprint if asks else ""
    jobs, digests = [], {scene.label: scene.digest() for scene in scenes}
    for scene, (name, method) in itertools.product(scenes, methods.items()):
        version = sources_version(method.rooms)
        asked = fingerprint if method.asks_segmenter else ""
        for seed in seeds if method.by_chance else seeds[:1]:
            answers = files_digest(method.reads(scene.label))
            rules = (
                PROTOCOL_VERSION,
                version,
                asked,
                answers,
                bench.device,
                name,
                method.what,
                seed * method.by_chance,
            )
            jobs.append(Job(scene, name, method, seed, job_key(digests[scene.label], scene.averaged, *rules)))
    done = {job.key: result for job in jobs if (result := _kept_result(kept, job, bench.out)) is not None}
    left = [job for job in jobs if job.key not in done]

    encoded: dict[str, float] = {}
    new = []
    for scene in scenes:
        key = job_key(digests[scene.label], "encode", fingerprint, bench.device)
        before = kept.get(key)
        if before is not None:
            encoded[scene.label] = before["seconds"]
        if any(job.scene.label == scene.label and job.method.asks_segmenter for job in left):
            if before is None:
                # What an interrupted call encoded was not timed whole.
                shutil.rmtree(_shared(bench, scene), ignore_errors=True)
            new.append((scene, key))

    def on_encoded(item: tuple[BenchScene, str], seconds: float | Failure) -> None:
        if isinstance(seconds, float) and item[0].label not in encoded:
            kept.add(item[1], {"seconds": seconds})
            encoded[item[0].label] = seconds

    engine(_Encoding(bench, progress), new, on_encoded)

    failures: list[Failure] = []
    progress("jobs", len(done), len(jobs))

    def on_done(job: Job, result: JobResult | Failure) -> None:
        if isinstance(result, Failure):
            failures.append(result)
        else:
            kept.add(job.key, asdict(result))
            done[job.key] = result
        progress("jobs", len(done) + len(failures), len(jobs))

    engine(JobRunner(bench, progress), left, on_done)
    shutil.rmtree(bench.out / WORK / "jobs", ignore_errors=True)
    results = [done[job.key] for job in jobs if job.key in done]
    return results, failures, encoded


def _kept_result(kept: KeptLines, job: Job, out: Path) -> JobResult | None:
    """What is kept of a job; None where its masks are not there any more or the fields are not those of today's. Names
    that are not part of the key are this call's."""
    content = kept.get(job.key)
    if content is None:
        return None
    try:
        result = JobResult(**{**content, "masks": [ScoredMask(**mask) for mask in content["masks"]]})
    except (KeyError, TypeError):
        return None
    if not (out / result.folder).is_dir():
        return None
    return replace(result, scene=job.scene.label, group=job.scene.group, method=job.name, seed=job.seed)


def sources_version(rooms: Sequence[str]) -> str:
    """A digest of the sources in some folders of the package, of the methods themselves and of the counting."""
    package = Path(sanerf.__path__[0])
    modules = [path for room in rooms for path in sorted((package / room).rglob("*.py"))]
    own = package / "evaluation"
    return files_digest([*modules, own / "methods.py", own / "masks.py", own / "run_evaluation.py"])


def files_digest(paths: Sequence[Path]) -> str:
    """Of names and contents."""
    out = hashlib.sha256()
    for path in paths:
        out.update(f"{path.parent.name}/{path.name} {path.stat().st_size} ".encode())
        out.update(path.read_bytes())
    return out.hexdigest()


def _shared(bench: Bench, scene: BenchScene) -> Path:
    """The folder of the features of a scene's training views and of the feature fields learnt from them."""
    return bench.out / WORK / "features" / hashlib.sha256(str(scene.run.path.resolve()).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Encoding:
    """Encodes the training views of a scene."""

    bench: Bench
    progress: Progress

    def __call__(self, item: tuple[BenchScene, str]) -> float | Failure:
        """The seconds it took."""
        scene, began = item[0], time.monotonic()
        run = replace(scene.run, path=_shared(self.bench, scene))
        try:
            cache = FeatureCache(load_segmenter(self.bench.segmenter, torch.device(self.bench.device)), run.features)
            views = run.scene.train
            images = (run_image(run, view) for view in views)
            cache.encode_all(images, lambda done: self.progress("encode", done, len(views)))
        except UserError as error:
            return Failure(scene.label, "encode", 0, str(error))
        return time.monotonic() - began


@dataclass(frozen=True)
class JobRunner:
    """Does one job: asks the method, writes its masks, and only then reads the exact ones."""

    bench: Bench
    progress: Progress

    def __call__(self, job: Job) -> JobResult | Failure:
        scene, remembered = job.scene, job_memory.forget_peak()
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
                progress=self.progress,
            )
            answer = job.method.answer(task)
            memory = job_memory.peak_gb() if remembered else None
            objects, masks = write_and_score(scene, answer, self.bench.out / job.folder)
        except UserError as error:
            return Failure(scene.label, job.name, job.seed, str(error))
        finally:
            shutil.rmtree(own.path, ignore_errors=True)
        seconds = {stage: round(value, 3) for stage, value in answer.seconds.items()}
        return JobResult(
            scene.label, scene.group, job.name, job.seed, seconds, memory, objects, masks, job.folder.as_posix()
        )

    def _own_run(self, job: Job) -> Run:
        """The trained run as a folder of the job's own, with the scene's features and feature fields in it. Where the
        system knows no links they are encoded and learnt anew."""
        path, shared = self.bench.out / WORK / "jobs" / job.key[:16], _shared(self.bench, job.scene)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        shared.mkdir(parents=True, exist_ok=True)
        own = replace(job.scene.run, path=path)
        with suppress(OSError):
            for kept in (own.features, own.feature_fields):
                kept.symlink_to((shared / kept.name).resolve(), target_is_directory=True)
                (shared / kept.name).mkdir(exist_ok=True)
        return own


def write_and_score(
    scene: BenchScene, answer: Answer, folder: Path
) -> tuple[dict[str, dict[str, float]], list[ScoredMask]]:
    """Write an answer's masks to `folder`/NAME/STEM.png, then hold them against the exact ones, at the exact ones'
    resolution; by object its metrics, and each mask. An answer of no mask is an empty mask."""
    run, paths = scene.run, {name: scene.truth.paths(name, scene.run.scene, scene.views) for name in scene.truth.names}
    margins = answer.margins
    with atomic_folder(folder) as written:
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
