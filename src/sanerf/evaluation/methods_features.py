"""What is done once for all methods of a scene, and timed on its own: its training views are encoded, and the feature
field is learnt from that where a method asks for one.

The seconds are kept like those of jobs. Work that an interrupted call has begun is done anew, so that they are of all
of it.
"""

import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from sanerf.errors import UserError
from sanerf.evaluation.aggregator_cases import job_key, run_digest
from sanerf.evaluation.engines import Engine
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.methods import ALL_ROOMS, Method
from sanerf.evaluation.methods_jobs import BenchSetup
from sanerf.evaluation.methods_scenes import BenchScene
from sanerf.evaluation.sources import sources_version
from sanerf.kernels.backend import kernels_for
from sanerf.progress import Progress
from sanerf.run.containers import ContainerKind, distillable, open_container
from sanerf.run.feature_fields import stored_feature_field
from sanerf.run.folder import Run, load_renderer
from sanerf.run.stages import Stages
from sanerf.run.views import run_image
from sanerf.segmenter.cache import FeatureCache
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.protocol import Segmenter

Seconds = dict[str, float]
"""By stage."""


@dataclass(frozen=True)
class FeatureTimes:
    """The seconds that scenes' containers took, kept under all that those depend on: prompts and masks are no part."""

    kept: KeptLines
    keys: dict[tuple[str, ContainerKind], str]
    """by the scene's label and the container"""

    @classmethod
    def of_scenes(
        cls, scenes: Sequence[BenchScene], kinds: Sequence[ContainerKind], *, kept: KeptLines, asked: Sequence[str]
    ) -> "FeatureTimes":
        """Those of some scenes, by one segmenter on one kind of device, which `asked` are told by."""
        keys: dict[tuple[str, ContainerKind], str] = {}
        for scene in scenes if kinds else ():
            field = run_digest(scene.run, {})
            for kind in kinds:
                version = sources_version(ALL_ROOMS) if kind == "field" else ""
                keys[scene.label, kind] = job_key(field, kind, *asked, version)
        return cls(kept, keys)

    def get(self, scene: BenchScene, kind: ContainerKind) -> Seconds | None:
        """What one took; None where it was not made whole before."""
        return self.kept.get(self.keys[scene.label, kind])

    def add(self, scene: BenchScene, kind: ContainerKind, seconds: Seconds) -> None:
        self.kept.add(self.keys[scene.label, kind], seconds)

    def of(self, scene: BenchScene) -> Seconds:
        """What all of a scene's took, as far as it is known."""
        out: Seconds = {}
        for label, kind in self.keys:
            if label == scene.label:
                out.update(self.get(scene, kind) or {})
        return out


def containers(methods: Collection[Method]) -> list[ContainerKind]:
    """The containers that some methods use; the cache comes first, from which a field is learnt."""
    used = {method.container for method in methods} - {None}
    return [*(["cache"] if used else []), *(["field"] if "field" in used else [])]


@dataclass(frozen=True)
class SceneFeatures:
    """The containers that a scene's jobs take features from, the cache first, and those of them that are `untimed`."""

    scene: BenchScene
    kinds: Sequence[ContainerKind]
    untimed: Sequence[ContainerKind]


@dataclass(frozen=True)
class FeatureMaker:
    """Makes what is missing of a scene's containers, in the folder that its jobs share."""

    bench: BenchSetup

    def __call__(self, item: SceneFeatures, progress: Progress) -> dict[ContainerKind, Seconds]:
        """The seconds of each container, without those that cannot be made: the methods that ask for them say why."""
        run, out = self.bench.shared_run(item.scene.run), {}
        for kind in item.untimed:
            shutil.rmtree(run.features if kind == "cache" else run.feature_fields, ignore_errors=True)
        try:
            segmenter = load_segmenter(self.bench.segmenter, torch.device(self.bench.device))
            for kind in item.kinds:
                out[kind] = (
                    _encode(run, segmenter, progress)
                    if kind == "cache"
                    else self._learn(run, item.scene, segmenter, progress)
                )
        except UserError:
            pass
        return out

    def _learn(self, run: Run, scene: BenchScene, segmenter: Segmenter, progress: Progress) -> Seconds:
        device, stages = torch.device(self.bench.device), Stages(progress)
        renderer = load_renderer(scene.run, kernels_for("auto", device), device)
        if stored_feature_field(run, renderer, distillable(segmenter)) is not None:
            return {}
        run.samples.unlink(missing_ok=True)
        open_container("field", segmenter, run, renderer).prepare(stages)
        run.samples.unlink(missing_ok=True)
        return {stage: stages.seconds[stage] for stage in ("sample", "distil")}


def _encode(run: Run, segmenter: Segmenter, progress: Progress) -> Seconds:
    began, views = time.monotonic(), run.scene.train
    images = (run_image(run, view) for view in views)
    cache = FeatureCache(segmenter, run.features)
    cache.encode_all(images, lambda done: progress("encode", done, len(views)))
    return {"encode": time.monotonic() - began}


def make_features(
    wanted: Sequence[tuple[BenchScene, list[ContainerKind]]],
    *,
    bench: BenchSetup,
    times: FeatureTimes,
    engine: Engine,
    progress: Progress,
) -> None:
    """Make what is missing of the containers that scenes want, and keep the seconds."""
    items = []
    for scene, kinds in wanted:
        items.append(SceneFeatures(scene, kinds, [kind for kind in kinds if times.get(scene, kind) is None]))
    for done, (item, seconds) in enumerate(engine(FeatureMaker(bench), items, progress), start=1):
        for kind in item.untimed:
            if kind in seconds:
                times.add(item.scene, kind, seconds[kind])
        progress("features", done, len(items))
