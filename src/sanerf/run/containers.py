"""The two feature containers of section 3.1: each view's own features, cached, and a feature field that renders them.

Neither ever reads the photograph of a held-out view: that is for testing.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from sanerf.aggregate.feature_maps import lattice_features, render_features
from sanerf.aggregate.ray_bank import RayBank
from sanerf.errors import UserError
from sanerf.fields.feature import FeatureField
from sanerf.geometry.cameras import Camera
from sanerf.render.images import Renderer, render_image
from sanerf.render.pictures import to_bytes
from sanerf.run.feature_fields import learn_feature_field, stored_feature_field
from sanerf.run.folder import Run
from sanerf.run.samples import lay_rays
from sanerf.run.stages import Stages
from sanerf.run.views import run_cameras, run_image
from sanerf.segmenter.cache import FeatureCache
from sanerf.segmenter.frame import DistillableSegmenter
from sanerf.segmenter.protocol import ImageFeatures, Segmenter
from sanerf.shapes import Float

ContainerKind = Literal["cache", "field"]


@runtime_checkable
class FeatureContainer(Protocol):
    """What a decoder takes its features from."""

    def prepare(self, stages: Stages) -> None:
        """Do all long work, as one stage or more; what is done already is not done again."""
        ...

    def features(self, view: int) -> ImageFeatures:
        """The features of one of the run's views, as if its picture had been encoded."""
        ...


@dataclass(frozen=True)
class CachedFeatures:
    """Each view's own features, encoded once; in a held-out view those of its rendered picture."""

    segmenter: Segmenter
    cache: FeatureCache
    run: Run
    renderer: Renderer

    def prepare(self, stages: Stages) -> None:
        on_encoded = stages.listener("encode")
        training = self.run.scene.train
        on_encoded(0, len(training))
        images = (run_image(self.run, view) for view in training)
        self.cache.encode_all(images, lambda done: on_encoded(done, len(training)))
        stages.end("encode")

    def features(self, view: int) -> ImageFeatures:
        if view in self.run.scene.test:
            picture = render_image(self.renderer, run_cameras(self.run)[view], self.run.background).rgb
            return self.segmenter.encode(torch.from_numpy(to_bytes(picture)))
        return self.cache.features(run_image(self.run, view))


class FieldFeatures:
    """Features rendered from a feature field, which is learnt from the training views' own and kept in the run."""

    def __init__(self, segmenter: Segmenter, cache: FeatureCache, run: Run, renderer: Renderer):
        """UserError where the segmenter's decoder needs what a field cannot hold."""
        self._segmenter = distillable(segmenter)
        self._cached = CachedFeatures(segmenter, cache, run, renderer)
        self._run = run
        self._renderer = renderer
        self._learnt: tuple[FeatureField, RayBank] | None = None

    def prepare(self, stages: Stages) -> None:
        """Stages "encode", "sample" and "distil"; of the first only what is missing, and none of it where a field that
        was learnt before is there."""
        if self._learnt is not None:
            return
        field = stored_feature_field(self._run, self._renderer, self._segmenter)
        if field is None:
            self._cached.prepare(stages)
        rays = self._rays(stages)
        if field is None:
            field = learn_feature_field(
                self._run,
                self._renderer,
                self._segmenter,
                rays=rays,
                features_of=self._cached.features,
                on_progress=stages.listener("distil"),
            )
        stages.end("distil")
        self._learnt = field.requires_grad_(False), rays

    def features(self, view: int) -> ImageFeatures:
        """Of a training view by the rays that the field was learnt on, of any other as `render_features` does."""
        field, rays = self._ready()
        camera = run_cameras(self._run)[view]
        if view not in rays.lattices:
            return self.render_features(camera)
        return lattice_features(field, rays, view, self._segmenter.map_frame(camera.height, camera.width))

    def render_features(self, camera: Camera) -> ImageFeatures:
        """What a camera of the world sees, photographed or not."""
        field, _ = self._ready()
        frame = self._segmenter.map_frame(camera.height, camera.width)
        return render_features(field, self._renderer, camera, frame)

    def features_at(self, p_world: Float[Tensor, "points 3"]) -> dict[str, Tensor]:
        """Each map's features at points of the world, (points c)."""
        field, _ = self._ready()
        with torch.no_grad():
            return field.features_at(p_world)

    def _rays(self, stages: Stages) -> RayBank:
        """Those of a `segment` call with the run's own seed, so that both share the kept samples."""
        run, generator = self._run, torch.Generator().manual_seed(self._run.config.seed)
        total_rays = run.config.aggregate.total_rays
        return lay_rays(
            run, self._renderer, kept=run.samples, total_rays=total_rays, generator=generator, stages=stages
        )

    def _ready(self) -> tuple[FeatureField, RayBank]:
        if self._learnt is None:
            self.prepare(Stages(lambda *_: None))
        assert self._learnt is not None
        return self._learnt


def open_container(kind: ContainerKind, segmenter: Segmenter, run: Run, renderer: Renderer) -> FeatureContainer:
    """A container over the run's photographs. UserError where the segmenter does not go with it."""
    cache = FeatureCache(segmenter, run.features)
    made = FieldFeatures if kind == "field" else CachedFeatures
    return made(segmenter, cache, run, renderer)


def distillable(segmenter: Segmenter) -> DistillableSegmenter:
    """The segmenter, if a feature field can hold all that its decoder needs; UserError if not."""
    if not isinstance(segmenter, DistillableSegmenter):
        raise UserError(f"a feature field cannot learn the features of {segmenter.name}; use --container cache")
    segmenter.map_frame(1, 1)
    return segmenter


def check_container(kind: ContainerKind, segmenter: str) -> None:
    """Raise UserError where a `--segmenter` text does not go with a container, before anything is loaded."""
    if kind == "cache":
        return
    if segmenter.startswith("sam-hq:"):
        raise UserError(
            "--container field does not go with sam-hq: its decoder needs the encoder's early features of the "
            "photograph itself, which are not distilled (paper, section 3.1); use --container cache, or sam:PATH"
        )
    if segmenter.startswith("masks:"):
        raise UserError("--container field is for a decoder's features; ready masks (masks:DIR) have no decoder")
