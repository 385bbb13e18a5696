"""`segment --method`: the baselines on a trained run, their answers stored like any other segmentation."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.aggregate.ray_bank import RayBank
from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.errors import UserError
from sanerf.evaluation.baselines.isrf import FeatureCells, FeaturesAt, ISRFConfig, segment_cells, stroke_cells
from sanerf.evaluation.baselines.mask_grid import as_voted_field
from sanerf.evaluation.baselines.one_view import asked_view, first_view, prompts_of_one_view
from sanerf.evaluation.baselines.sa3d import CarriedMask, SA3DConfig, carry_mask
from sanerf.evaluation.baselines.solid_cells import SolidCells, finest_cells
from sanerf.fields.voted import VotedField
from sanerf.geometry.contraction import contract
from sanerf.progress import Progress
from sanerf.prompts.drawings import copy_drawings
from sanerf.prompts.file import PromptSet
from sanerf.prompts.lift import LiftedPrompts
from sanerf.render.images import Renderer
from sanerf.run.containers import FieldFeatures, check_container
from sanerf.run.decoding import MASKS_PREFIX, Decoder, MaskSource, lift_prompts, open_decoder
from sanerf.run.folder import Run
from sanerf.run.lock import run_lock
from sanerf.run.samples import lay_rays
from sanerf.run.segment_run import Answer, Asked, store_answer
from sanerf.run.stages import Stages
from sanerf.run.views import run_cameras, training_cameras
from sanerf.segmenter.protocol import ViewPrompts
from sanerf.segmenter.refine import decode_chosen
from sanerf.shapes import Float

SegmentFunction = Callable[..., Answer]
"""With the signature of `run.segment_run.segment_run`."""


def segment_sa3d(
    run: Run, renderer: Renderer, prompts: PromptSet, source: MaskSource, *, seed: int, progress: Progress
) -> Answer:
    """Segment the objects of a prompt set with SA3D, one after the other, and store them as one segmentation.

    Of each object the prompts of one view are used (`one_view`), whose mask goes back to the decoder up to
    `source.refine` times. The stages are "encode", "decode" (lifting and first masks), "sample", "carry" and "assess".
    Raises UserError as `segment_run` does, and for masks from files: nothing could be asked in the other views.
    """
    check_decoder("sa3d", source)
    with run_lock(run.path):
        kept = copy_drawings(prompts)
        stages, generator = Stages(progress, "carry"), torch.Generator().manual_seed(seed)
        asked = PromptSet(tuple(prompts_of_one_view(entry) for entry in prompts.objects))
        names = [entry.name for entry in asked.objects]
        decoder = open_decoder(run, renderer, source.segmenter, source.container)
        cameras = run_cameras(run)
        lifted = lift_prompts(asked, decoder, cameras=cameras, renderer=renderer, refine=source.refine, stages=stages)
        stages.end("decode")
        decoder.container.prepare(stages)
        starts = [
            _first_mask(of, asked_view(entry, run.scene), decoder, renderer, source.refine)
            for of, entry in zip(lifted, asked.objects, strict=True)
        ]
        stages.end("decode")
        total_rays = run.config.aggregate.total_rays
        rays = lay_rays(run, renderer, kept=run.samples, total_rays=total_rays, generator=generator, stages=stages)
        carried = _carry_all(names, starts, rays, decoder, stages)
        field = as_voted_field([of.grid for of in carried])
        stages.end("carry")
        masks: ViewMasks = {}
        for name, of in zip(names, carried, strict=True):
            for view, mask in of.masks.items():
                masks.setdefault(view, {})[name] = mask
        view_name = [view.name for view in run.scene.views]
        said = {
            "method": "sa3d",
            **vars(source),
            "seed": seed,
            "carried": {
                name: {
                    "first_view": view_name[start],
                    "accepted": len(of.masks),
                    "rejected": [view_name[view] for view in of.rejected],
                    "unseen": [view_name[view] for view in of.unseen],
                }
                for name, (start, _), of in zip(names, starts, carried, strict=True)
            },
        }
        return store_answer(run, Asked(kept, said), field=field, rays=rays, masks=masks, stages=stages)


def segment_isrf(
    run: Run, renderer: Renderer, prompts: PromptSet, source: MaskSource, *, seed: int, progress: Progress
) -> Answer:
    """Segment the objects of a prompt set with ISRF, in features distilled from the segmenter's, and store them as one
    segmentation.

    All views' prompts are strokes; those inside of the other objects are strokes outside of each. The stages are
    "encode", "decode" (lifting and boxes' first masks), "sample", "distil" where the feature field has to be learnt,
    "grow" and "assess". Raises UserError as `segment_run` does, and for a segmenter that no feature field can learn.
    """
    check_decoder("isrf", source)
    check_container("field", source.segmenter)
    with run_lock(run.path):
        kept = copy_drawings(prompts)
        stages, generator = Stages(progress, "grow"), torch.Generator().manual_seed(seed)
        config = ISRFConfig()
        decoder = open_decoder(run, renderer, source.segmenter, "field")
        lifted = lift_prompts(
            prompts, decoder, cameras=run_cameras(run), renderer=renderer, refine=source.refine, stages=stages
        )
        stages.end("decode")
        features_at = distilled_features(decoder, stages)
        total_rays = run.config.aggregate.total_rays
        rays = lay_rays(run, renderer, kept=run.samples, total_rays=total_rays, generator=generator, stages=stages)
        cells = finest_cells(rays.p_world, rays.weights, config.side, config.rays_per_cell)
        regions = segment_cells(FeatureCells.of(cells, features_at), _strokes(cells, lifted, config), config)
        field = VotedField([cells.volume(region) for region in regions])
        stages.end("grow")
        said = {"method": "isrf", **vars(replace(source, container="field")), "seed": seed}
        return store_answer(run, Asked(kept, said), field=field, rays=rays, masks={}, stages=stages)


def distilled_features(decoder: Decoder, stages: Stages) -> FeaturesAt:
    """The features that ISRF compares: those of a feature field, the maps one after the other, each of unit length so
    that none counts for more than another."""
    container = decoder.container
    assert isinstance(container, FieldFeatures), container
    container.prepare(stages)

    def features_at(p_world: Float[Tensor, "points 3"]) -> Float[Tensor, "points channels"]:
        maps = container.features_at(p_world)
        return torch.cat([F.normalize(values, dim=1) for values in maps.values()], dim=1)

    return features_at


def _strokes(cells: SolidCells, lifted: Sequence[LiftedPrompts], config: ISRFConfig) -> list[tuple[Tensor, Tensor]]:
    """The cells under each object's strokes, inside and outside of it."""
    device = cells.key.device
    under = [
        [
            stroke_cells(cells, contract(of.p_world[of.labels == label].to(device)), config.stroke_radius)
            for label in (1, 0)
        ]
        for of in lifted
    ]
    out = []
    for index, (inside, outside) in enumerate(under):
        for other, (of_other, _) in enumerate(under):
            if other != index:
                outside = outside | of_other
        out.append((inside, outside & ~inside))
    return out


def method_of(name: str) -> SegmentFunction:
    """How a baseline segments, by its name on the command line."""
    return {"sa3d": segment_sa3d, "isrf": segment_isrf}[name]


def check_decoder(method: str, source: MaskSource) -> None:
    """Raise UserError where a method that asks a decoder shall work with masks from files, or the source is unsound."""
    if source.segmenter.startswith(MASKS_PREFIX):
        raise UserError(f"--method {method} asks a decoder again in every view; {source.segmenter} has none")
    source.check()


def _first_mask(
    lifted: LiftedPrompts, asked: int | None, decoder: Decoder, renderer: Renderer, refine: int
) -> tuple[int, ViewMask]:
    run = decoder.run
    found = first_view(lifted, asked, run_cameras(run), training_cameras(run), renderer)
    if found is None:
        raise UserError(
            f"no training view sees the object {lifted.name!r}: its prompts are hidden everywhere; click again"
        )
    view, seen = found
    return view, decode_one(decoder, view, seen, refine)


def decode_one(decoder: Decoder, view: int, prompts: ViewPrompts, refine: int = 0) -> ViewMask:
    """A decoder's mask of one object in a view."""
    (chosen,) = decode_chosen(decoder.segmenter, decoder.features(view), [prompts], rounds=refine)
    return ViewMask(torch.sigmoid(chosen.mask_logits).cpu(), chosen.predicted_iou)


def decode_all(decoder: Decoder, view: int, prompts: ViewPrompts) -> list[ViewMask]:
    """All of a decoder's hypotheses."""
    (answer,) = decoder.segmenter.decode(decoder.features(view), [prompts])
    return [
        ViewMask(torch.sigmoid(logits).cpu(), float(predicted))
        for logits, predicted in zip(answer.mask_logits, answer.predicted_iou, strict=True)
    ]


def _carry_all(
    names: list[str], starts: list[tuple[int, ViewMask]], rays: RayBank, decoder: Decoder, stages: Stages
) -> list[CarriedMask]:
    """Each object's mask through all views, on its own."""
    cameras, config = training_cameras(decoder.run), SA3DConfig()
    listener, done = stages.listener("carry"), 0
    total = len(names) * max(1, len(cameras) - 1)

    def on_view() -> None:
        nonlocal done
        done += 1
        listener(done, total)

    out = []
    for name, (view, mask) in zip(names, starts, strict=True):
        of = carry_mask(
            view,
            mask,
            bank=rays,
            cameras=cameras,
            decode=lambda view, prompts: decode_all(decoder, view, prompts),
            config=config,
            on_view=on_view,
        )
        if of is None:
            raise UserError(
                f"there is nothing solid in the mask of the object {name!r} in the view it was asked in; click again"
            )
        out.append(of)
    return out
