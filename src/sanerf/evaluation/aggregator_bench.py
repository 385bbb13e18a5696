"""The benchmark of the mask aggregator: given masks of training views are lifted, held-out views scored.

A job is one run, one kind of masks, one arm and one seed. The seed draws the noise and the aggregator's chances; arms
of the same seed get the same masks. Nothing is written into the run.
"""

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

import sanerf.aggregate
import sanerf.fields.object
from sanerf.aggregate.view_masks import masks_from_files
from sanerf.evaluation.aggregator_arms import Arm
from sanerf.evaluation.aggregator_cases import Case, GivenMasks, Noise, job_key, truth_of, write_given_masks
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.masks import MaskCounts, count_masks
from sanerf.evaluation.noisy_masks import MaskNoise
from sanerf.evaluation.run_evaluation import ScoredView, evaluate_run
from sanerf.progress import Progress
from sanerf.run.lifting import Lifting, aggregate_masks
from sanerf.run.samples import lay_rays
from sanerf.run.segmentation import Segmentation
from sanerf.run.stages import Stages
from sanerf.run.views import training_cameras
from sanerf.segmenter.coco_rle import to_coco

PROTOCOL_VERSION = 2
"""Raised whenever the same aggregator would get other figures, or what is kept of them has another form."""
WORST_KEPT = 6
SAMPLES = "samples.safetensors"
"""In the benchmark's folder while it works: the samples of the last job's rays, which most next jobs share."""
METRICS = ("iou", "boundary_iou", "acc")


@dataclass(frozen=True)
class WorstView:
    """An object in a held-out view, and what was rendered of it: run lengths in COCO's form (`coco_rle`)."""

    object: str
    view: int
    iou: float
    mask: dict[str, Any]


@dataclass(frozen=True)
class JobResult:
    """What one job came to.

    `objects` has the metrics of each object in held-out views, pooled over them; `given` and `given_own` those of the
    masks that were lifted, in training views: of all, and of those that show the object itself. `seconds` are of
    fitting, reviews among it.
    """

    run: str
    noise: Noise
    arm: str
    seed: int
    seconds: float
    objects: dict[str, dict[str, float]]
    given: dict[str, dict[str, float]]
    given_own: dict[str, dict[str, float]]
    worst: list[WorstView]

    def mean(self, metric: str, of: str = "objects") -> float:
        """A metric's mean over objects, nan over none; `of` is "objects", "given" or "given_own"."""
        values = [scores[metric] for scores in getattr(self, of).values()]
        return sum(values) / len(values) if values else math.nan


def bench_aggregator(
    cases: Sequence[Case],
    *,
    arms: dict[str, Arm],
    noises: Sequence[Noise],
    seeds: Sequence[int],
    out: Path,
    kept: KeptLines,
    progress: Progress,
) -> list[JobResult]:
    """The results of all jobs; those that `kept` has are not computed again. The masks that were lifted stay in
    `out`/masks."""
    results, version = [], aggregator_version()
    jobs = len(cases) * len(arms) * len(noises) * len(seeds)
    progress("jobs", 0, jobs)
    for case in cases:
        digest = case.digest()
        for seed, noise in itertools.product(seeds, noises):
            parameters = MaskNoise() if noise == "noisy" else None
            folder = out / "masks" / f"{case.run.path.resolve().name}-{digest[:8]}-{noise}-{seed}"
            given: GivenMasks | None = None
            for name, arm in arms.items():
                settings = arm.settings(case.run.config.aggregate)
                device = case.renderer.density_grid.device.type
                key = job_key(digest, PROTOCOL_VERSION, version, parameters, seed, settings, device)
                result = _from_json(kept.get(key))
                if result is None:
                    given = given or write_given_masks(case, folder, parameters, seed)
                    own_case = replace(case, run=replace(case.run, config=replace(case.run.config, aggregate=settings)))
                    result = _lift_and_score(
                        own_case, given, noise=noise, seed=seed, arm=name, samples=out / SAMPLES, progress=progress
                    )
                    kept.add(key, asdict(result))
                results.append(replace(result, run=case.label, arm=name))
                progress("jobs", len(results), jobs)
    (out / SAMPLES).unlink(missing_ok=True)
    return results


def aggregator_version() -> str:
    """A digest of the sources of the aggregator and the object field: figures of others are not taken over."""
    out = hashlib.sha256()
    modules = [path for folder in sanerf.aggregate.__path__ for path in Path(folder).glob("*.py")]
    for path in (*sorted(modules), Path(sanerf.fields.object.__file__)):
        out.update(path.read_bytes())
    return out.hexdigest()


def _from_json(content: dict[str, Any] | None) -> JobResult | None:
    """What `asdict` made of a result; None where its fields are not those of today's."""
    if content is None:
        return None
    try:
        return JobResult(**{**content, "worst": [WorstView(**worst) for worst in content["worst"]]})
    except (KeyError, TypeError):
        return None


def _lift_and_score(
    case: Case, given: GivenMasks, *, noise: Noise, seed: int, arm: str, samples: Path, progress: Progress
) -> JobResult:
    run, names = case.run, list(case.truth.names)
    stages = Stages(progress, "aggregate")
    masks = masks_from_files(given.folder, names, run.scene, training_cameras(run))
    stages.end("decode")
    lifting, generator = Lifting(run, case.renderer, names, stages), torch.Generator().manual_seed(seed)
    total_rays = run.config.aggregate.total_rays
    rays = lay_rays(run, case.renderer, kept=samples, total_rays=total_rays, generator=generator, stages=stages)
    field, _ = aggregate_masks(lifting, rays, masks, None, generator)
    views: list[WorstView] = []

    def on_view(scored: ScoredView) -> None:
        for name in names:
            truth = truth_of(case, scored.index, name)
            if truth is not None and bool(truth.any()):
                mask = scored.rendered.mask(name, *truth.shape)
                views.append(WorstView(name, scored.index, count_masks(mask, truth).iou, to_coco(mask.numpy())))

    segmentation = Segmentation(run.path, tuple(names), field, {})
    scores = evaluate_run(
        run,
        case.renderer,
        segmentations=[segmentation],
        views=run.scene.test,
        true_masks=case.truth,
        on_view=on_view,
    )
    return JobResult(
        run=case.label,
        noise=noise,
        arm=arm,
        seed=seed,
        seconds=stages.seconds["aggregate"],
        objects={name: _metrics(score.counts) for name, score in scores.objects.items()},
        given={name: _metrics(counts) for name, counts in given.all.items() if counts.pixels},
        given_own={name: _metrics(counts) for name, counts in given.own.items() if counts.pixels},
        worst=sorted(views, key=lambda view: view.iou)[:WORST_KEPT],
    )


def _metrics(counts: MaskCounts) -> dict[str, float]:
    return {metric: getattr(counts, metric) for metric in METRICS}
