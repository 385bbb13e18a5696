"""What all games of clicks on one run share: the segmenter's features, the rays that vote, and the truth on them.

The answer to clicks is that of `aggregate.corrections` on some of the training views, for one object alone: the vote of
`sanerf segment --instant`, and once more with the clicks and the vote as prompts. It is scored where it is
rendered anyway, on the lattices of the rays that vote: exact masks are read at the very same pixels, so that a lattice
costs precision and no bias.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from sanerf.aggregate.corrections import CorrectedAnswer, vote_and_correct
from sanerf.aggregate.ray_bank import RayBank, build_ray_bank
from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.sample_cache import SampleCache
from sanerf.aggregate.view_masks import Prompting
from sanerf.data.images import load_mask
from sanerf.evaluation.aggregator_cases import Case
from sanerf.evaluation.clicking import Click, deepest
from sanerf.evaluation.clicks_users import ViewClick, shown_mask
from sanerf.evaluation.masks import MaskCounts, count_masks, resized_mask
from sanerf.geometry.cameras import Camera
from sanerf.progress import Progress
from sanerf.prompts.lift import LiftedPrompts, lift_pixels, on_solid
from sanerf.prompts.project import LEAST_ACCUMULATION
from sanerf.run.samples import sample_cache, training_renderer
from sanerf.run.segment_run import INSTANT_RAYS
from sanerf.run.views import run_cameras, run_image
from sanerf.segmenter.cache import FeatureCache
from sanerf.segmenter.protocol import ImageFeatures, Segmenter
from sanerf.shapes import Bool


@dataclass(frozen=True)
class ClickScene:
    """A run ready to be clicked in. `cameras` are those of the training views that take part, `rays` theirs, `held_out`
    those of the views that were never shown."""

    case: Case
    segmenter: Segmenter
    features_of: Callable[[int], ImageFeatures]
    cameras: dict[int, Camera]
    rays: RayBank
    held_out: RayBank

    def solid(self) -> dict[int, Bool[torch.Tensor, "rows columns"]]:
        """Where the lattices' pixels end on something."""
        ends = self.rays.accumulation.cpu() >= LEAST_ACCUMULATION
        return {view: ends[of.rays].reshape(of.rows, of.columns) for view, of in self.rays.lattices.items()}

    def truth(self, name: str, views: Sequence[int]) -> dict[int, Bool[torch.Tensor, "h w"]]:
        """An object's exact masks at the run's resolution, in those of `views` that have one."""
        cameras, paths = run_cameras(self.case.run), self.case.truth.paths(name, self.case.run.scene, views)
        return {
            view: resized_mask(load_mask(path), cameras[view].height, cameras[view].width)
            for view, path in paths.items()
        }


def open_click_scene(case: Case, segmenter: Segmenter, every: int, folder: Path, progress: Progress) -> ClickScene:
    """A run's `every`-th training view, from the first, and its held-out views. What has to be computed once, features
    and samples, is kept in `folder`."""
    run, cameras = case.run, run_cameras(case.run)
    views = run.scene.train[::every]
    cache = FeatureCache(segmenter, folder / "features")
    cache.encode_all((run_image(run, view) for view in views), lambda done: progress("encode", done, len(views)))
    # As dense as the rays of `--instant`, which are spread over all training views.
    density = min(run.config.aggregate.total_rays, INSTANT_RAYS) / sum(
        _pixels(cameras[view]) for view in run.scene.train
    )

    def rays(of: Sequence[int], file: str) -> RayBank:
        kept = sample_cache(folder / file, case.renderer.field)
        return _bank(case, {view: cameras[view] for view in of}, density, kept, progress)

    return ClickScene(
        case,
        segmenter,
        lambda view: cache.features(run_image(run, view)),
        {view: cameras[view] for view in views},
        rays(views, "samples.safetensors"),
        rays(run.scene.test, "held_out_samples.safetensors"),
    )


def _bank(
    case: Case, cameras: dict[int, Camera], density: float, cache: SampleCache | None, progress: Progress
) -> RayBank:
    return build_ray_bank(
        cameras,
        training_renderer(case.run, case.renderer),
        total_rays=max(1, round(density * sum(map(_pixels, cameras.values())))),
        weight_threshold=case.run.config.aggregate.weight_threshold,
        # Where the lattices begin is no part of what seeds are for: all clickers play on the same.
        generator=torch.Generator().manual_seed(0),
        cache=cache,
        on_progress=lambda done, total: progress("sample", done, total),
    )


def _pixels(camera: Camera) -> int:
    return camera.width * camera.height


def first_click(scene: ClickScene, truth: dict[int, Bool[torch.Tensor, "h w"]]) -> ViewClick | None:
    """The point deepest in the exact mask in the view, of those that have one, where that is largest, the first of
    equals; None for an object that is solid nowhere in it."""
    view = max(truth, key=lambda view: int(truth[view].sum()))
    passed: list[Click] = []
    mask = truth[view].numpy()
    while len(passed) < mask.sum():
        (x, y), _ = deepest(mask, passed)
        if bool(on_solid(scene.case.renderer, scene.cameras[view], torch.tensor([[x, y]]))[0]):
            return ViewClick(view, x, y, 1)
        passed.append(Click(x, y, 1))
    return None


def with_click(scene: ClickScene, lifted: LiftedPrompts, click: ViewClick) -> LiftedPrompts:
    """An object's clicks in the world with one more; as they are where that is on empty space, which `sanerf segment`
    refuses."""
    camera, stem = scene.cameras[click.view], scene.case.run.scene.views[click.view].name
    xy = torch.tensor([[click.x, click.y]])
    if not bool(on_solid(scene.case.renderer, camera, xy)[0]):
        return lifted
    points = torch.cat([lifted.p_world, lift_pixels(scene.case.renderer, camera, xy, stem)])
    return replace(
        lifted,
        p_world=points,
        labels=torch.cat([lifted.labels, torch.tensor([click.label])]),
        views=(*lifted.views, click.view),
    )


def answer_clicks(scene: ClickScene, lifted: LiftedPrompts) -> CorrectedAnswer:
    """The instant answer to an object's clicks."""
    return vote_and_correct(prompting(scene, lifted), scene.rays)


def prompting(scene: ClickScene, lifted: LiftedPrompts) -> Prompting:
    """The scene's decoder asked about one object."""
    return Prompting(scene.segmenter, scene.features_of, [lifted], scene.cameras, scene.case.renderer)


def score(
    rendered: dict[int, RenderedIdentities], truth: dict[int, Bool[torch.Tensor, "h w"]]
) -> dict[int, MaskCounts]:
    """The counts of each view that has an exact mask, on its lattice."""
    return {
        view: count_masks(shown_mask(rendered[view]), rendered[view].lattice.pick(mask)) for view, mask in truth.items()
    }
