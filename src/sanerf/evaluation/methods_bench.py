"""The benchmark of methods: each answers the same prompts in the held-out views of trained runs, and is scored there.

Its jobs (`methods_jobs`) are what scenes, methods and seeds make; one that is kept under the digest of all that it
depends on is not done again.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from sanerf.evaluation.aggregator_cases import job_key
from sanerf.evaluation.engines import Engine
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.methods import Method
from sanerf.evaluation.methods_features import FeatureTimes, Seconds, containers, make_features
from sanerf.evaluation.methods_jobs import KEY_FILE, WORK, BenchSetup, Failure, Job, JobResult, JobRunner, ScoredMask
from sanerf.evaluation.methods_scenes import BenchScene
from sanerf.evaluation.sources import files_digest, sources_version
from sanerf.progress import Progress
from sanerf.segmenter.load import load_segmenter

PROTOCOL_VERSION = 1
"""Raised whenever the same masks would get other figures, or what is kept of them has another form."""


@dataclass(frozen=True)
class Outcome:
    """What the benchmark came to.

    `groups` has the group of each scene that was asked, and `methods` the names of the methods, in their order. `once`
    has, by scene, the seconds of the stages that were done once for all methods.
    """

    groups: dict[str, str]
    methods: tuple[str, ...]
    results: list[JobResult] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    once: dict[str, Seconds] = field(default_factory=dict)

    def failed(self, method: str, scenes: Sequence[str]) -> bool:
        """Whether a method has failed in one of some scenes, with any seed."""
        return any(failure.method == method and failure.scene in scenes for failure in self.failures)


def bench_methods(
    scenes: Sequence[BenchScene],
    *,
    methods: dict[str, Method],
    seeds: Sequence[int],
    bench: BenchSetup,
    kept: KeptLines,
    engine: Engine,
    progress: Progress,
) -> Outcome:
    """All jobs' results and failures. What `kept` has is not done again."""
    asks = any(method.container is not None for method in methods.values())
    fingerprint = load_segmenter(bench.segmenter, torch.device("cpu")).fingerprint if asks else ""
    jobs: list[Job] = []
    for scene in scenes:
        jobs += _jobs_of(scene, methods, seeds, fingerprint=fingerprint, device=bench.device)
    done = {job.key: result for job in jobs if (result := _kept_result(kept, job, bench.out)) is not None}
    left = [job for job in jobs if job.key not in done]
    times = FeatureTimes.of_scenes(scenes, containers(methods.values()), kept=kept, asked=(fingerprint, bench.device))
    methods_left = ((scene, [job.method for job in left if job.scene is scene]) for scene in scenes)
    wanted = [(scene, kinds) for scene, asked in methods_left if (kinds := containers(asked))]
    make_features(wanted, bench=bench, times=times, engine=engine, progress=progress)
    failures: list[Failure] = []
    progress("jobs", len(done), len(jobs))
    for job, result in engine(JobRunner(bench), left, progress):
        if isinstance(result, Failure):
            failures.append(result)
        else:
            kept.add(job.key, asdict(result))
            done[job.key] = result
        progress("jobs", len(done) + len(failures), len(jobs))
    shutil.rmtree(bench.out / WORK / "jobs", ignore_errors=True)
    groups = {scene.label: scene.group for scene in scenes}
    once = {scene.label: seconds for scene in scenes if (seconds := times.of(scene))}
    return Outcome(groups, tuple(methods), [done[job.key] for job in jobs if job.key in done], failures, once)


def _jobs_of(
    scene: BenchScene, methods: dict[str, Method], seeds: Sequence[int], *, fingerprint: str, device: str
) -> list[Job]:
    jobs, digest = [], scene.digest()
    for name, method in methods.items():
        asked = fingerprint if method.container is not None else ""
        depends_on = (sources_version(method.rooms), asked, files_digest(method.reads(scene.label)))
        for seed in seeds if method.by_chance else seeds[:1]:
            rules = (PROTOCOL_VERSION, *depends_on, device, name, method.what, seed * method.by_chance)
            jobs.append(Job(scene, name, method, seed, job_key(digest, scene.averaged, *rules)))
    return jobs


def _kept_result(kept: KeptLines, job: Job, out: Path) -> JobResult | None:
    """What is kept of a job; None where its masks are not there any more, or another job's are, or the fields are not
    those of today's. Names that are not part of the key are this call's."""
    content = kept.get(job.key)
    if content is None:
        return None
    try:
        result = JobResult(**{**content, "masks": [ScoredMask(**mask) for mask in content["masks"]]})
        owner = (out / result.folder / KEY_FILE).read_text(encoding="utf-8")
    except (KeyError, TypeError, OSError, ValueError):
        return None
    if owner != job.key:
        return None
    return replace(result, scene=job.scene.label, group=job.scene.group, method=job.name, seed=job.seed)
