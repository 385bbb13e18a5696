"""The first masks of a `segment` call: its prompts in the world, and the decoder's answer in each training view."""

from dataclasses import dataclass
from pathlib import Path

import torch

from sanerf.aggregate.view_masks import Prompting, ViewMasks, decode_views, masks_from_files
from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera
from sanerf.prompts.file import PromptSet
from sanerf.prompts.lift import LiftedPrompts, lift_objects
from sanerf.render.images import Renderer
from sanerf.run.containers import ContainerKind, FeatureContainer, FieldFeatures, check_container, open_container
from sanerf.run.folder import Run
from sanerf.run.stages import Stages
from sanerf.run.views import run_cameras, training_cameras
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.protocol import ImageFeatures, Segmenter, ViewPrompts
from sanerf.segmenter.refine import decode_chosen
from sanerf.shapes import Bool

MASKS_PREFIX = "masks:"


@dataclass(frozen=True)
class MaskSource:
    """What a `segment` call decodes with."""

    segmenter: str
    """as `--segmenter` has it"""
    container: ContainerKind = "cache"
    """where features come from"""
    refine: int = 0
    """times that each prompt's mask goes back to the decoder at most"""

    def check(self) -> None:
        """UserError for what can be told from the words alone."""
        if self.refine and self.segmenter.startswith(MASKS_PREFIX):
            raise UserError(f"--refine gives masks back to a decoder; {self.segmenter} has none")
        check_container(self.container, self.segmenter)


@dataclass(frozen=True)
class Decoder:
    """A segmenter with the features of a run's views."""

    segmenter: Segmenter
    container: FeatureContainer
    run: Run

    def features(self, view: int) -> ImageFeatures:
        return self.container.features(view)


def open_decoder(run: Run, renderer: Renderer, segmenter: str, container: ContainerKind = "cache") -> Decoder:
    """The segmenter of a `--segmenter` text with a container, which keeps in the run folder what it learns. UserError
    where they cannot be had."""
    loaded = load_segmenter(segmenter, renderer.density_grid.device)
    return Decoder(loaded, open_container(container, loaded, run, renderer), run)


def lift_prompts(
    prompts: PromptSet,
    decoder: Decoder,
    *,
    cameras: list[Camera],
    renderer: Renderer,
    refine: int = 0,
    stages: Stages | None = None,
) -> list[LiftedPrompts]:
    """All objects' prompts in the world. Boxes are decoded in the view they were drawn in, of which alone features are
    asked, and only once all clicks are known to be good; their masks are fed back up to `refine` times. A feature field
    has to be learnt before; `stages` are told of that."""

    def mask_of_box(view: int, box: ViewPrompts) -> Bool[torch.Tensor, "h w"]:
        if stages is not None and isinstance(decoder.container, FieldFeatures):
            stages.end("decode")
            decoder.container.prepare(stages)
        (chosen,) = decode_chosen(decoder.segmenter, decoder.features(view), [box], rounds=refine)
        return (chosen.mask_logits > 0).cpu()

    return lift_objects(prompts.objects, decoder.run.scene, cameras, renderer, mask_of_box)


def first_masks(
    run: Run, renderer: Renderer, prompts: PromptSet, source: MaskSource, *, stages: Stages
) -> tuple[Prompting | None, ViewMasks]:
    """The decoder of a source with the prompts, and its masks of all objects; none where they come from files."""
    names = [entry.name for entry in prompts.objects]
    if source.segmenter.startswith(MASKS_PREFIX):
        folder = Path(source.segmenter.removeprefix(MASKS_PREFIX))
        prompting, masks = None, masks_from_files(folder, names, run.scene, training_cameras(run))
    else:
        decoder = open_decoder(run, renderer, source.segmenter, source.container)
        prompting, masks = decode_prompts(decoder, prompts, renderer, stages, source.refine)
    check_masks(masks, names)
    stages.end("decode")
    return prompting, masks


def decode_prompts(
    decoder: Decoder, prompts: PromptSet, renderer: Renderer, stages: Stages, refine: int
) -> tuple[Prompting, ViewMasks]:
    """The prompts of all objects in the world, and their masks in the training views where those are seen."""
    # Encoding takes minutes: a click on empty space must be refused before.
    cameras = run_cameras(decoder.run)
    lifted = lift_prompts(prompts, decoder, cameras=cameras, renderer=renderer, refine=refine, stages=stages)
    training = training_cameras(decoder.run)
    decoder.container.prepare(stages)
    on_decoded = stages.listener("decode")
    prompting = Prompting(decoder.segmenter, decoder.features, lifted, training, renderer, refine)
    return prompting, decode_views(prompting, on_progress=on_decoded)


def check_masks(masks: ViewMasks, names: list[str]) -> None:
    for name in names:
        if not any(name in of_view for of_view in masks.values()):
            raise UserError(
                f"no training view sees the object {name!r}: its prompts are hidden everywhere; click again"
            )
        if not any(bool((of_view[name].probability > 0.5).any()) for of_view in masks.values() if name in of_view):
            raise UserError(f"the masks of the object {name!r} are empty in every view; click again")
