"""The first masks of a `segment` call: its prompts in the world, and the decoder's answer in each training view."""

from dataclasses import dataclass
from pathlib import Path

import torch

from sanerf.aggregate.view_masks import Prompting, ViewMasks, decode_views, masks_from_files
from sanerf.data.images import downscaled_size, load_image
from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera, resized
from sanerf.prompts.file import PromptSet
from sanerf.prompts.lift import LiftedPrompts, lift_objects
from sanerf.render.images import Renderer, render_image
from sanerf.render.pictures import to_bytes
from sanerf.run.folder import Run
from sanerf.run.stages import Stages
from sanerf.segmenter.cache import FeatureCache
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.protocol import ImageFeatures, Segmenter, ViewPrompts
from sanerf.segmenter.refine import decode_chosen
from sanerf.shapes import Bool, UInt8

MASKS_PREFIX = "masks:"


def run_cameras(run: Run) -> list[Camera]:
    """All views' cameras at the run's resolution."""
    sizes = [downscaled_size(view.camera, run.config.downscale) for view in run.scene.views]
    return [resized(view.camera, *size) for view, size in zip(run.scene.views, sizes, strict=True)]


def training_cameras(run: Run) -> dict[int, Camera]:
    """The training views' cameras at the run's resolution, by view index."""
    cameras = run_cameras(run)
    return {view: cameras[view] for view in run.scene.train}


def run_image(run: Run, view: int) -> UInt8[torch.Tensor, "h w 3"]:
    """A view's photograph at the run's resolution."""
    of_view = run.scene.views[view]
    return load_image(of_view, downscaled_size(of_view.camera, run.config.downscale))


@dataclass(frozen=True)
class Decoder:
    """A segmenter with its feature cache over the run's photographs."""

    segmenter: Segmenter
    cache: FeatureCache
    run: Run

    def features(self, view: int) -> ImageFeatures:
        return self.cache.features(run_image(self.run, view))


def open_decoder(run: Run, segmenter: str, device: torch.device) -> Decoder:
    """The segmenter of a `--segmenter` text, caching in the run folder. UserError where it cannot be had."""
    loaded = load_segmenter(segmenter, device)
    return Decoder(loaded, FeatureCache(loaded, run.features), run)


def lift_prompts(
    prompts: PromptSet, decoder: Decoder, *, cameras: list[Camera], renderer: Renderer, refine: int = 0
) -> list[LiftedPrompts]:
    """All objects' prompts in the world. Boxes are decoded in the view they were drawn in, of which alone features are
    asked, and only once all clicks are known to be good; their masks are fed back up to `refine` times. A held-out
    view's photograph is for testing: there a box is decoded in the rendered picture."""

    def mask_of_box(view: int, box: ViewPrompts) -> Bool[torch.Tensor, "h w"]:
        if view in decoder.run.scene.test:
            picture = render_image(renderer, cameras[view], decoder.run.background).rgb
            features = decoder.segmenter.encode(torch.from_numpy(to_bytes(picture)))
        else:
            features = decoder.features(view)
        (chosen,) = decode_chosen(decoder.segmenter, features, [box], rounds=refine)
        return (chosen.mask_logits > 0).cpu()

    return lift_objects(prompts.objects, decoder.run.scene, cameras, renderer, mask_of_box)


def check_refine(segmenter: str, refine: int) -> None:
    """Raise UserError where masks shall go back to a decoder and there is none."""
    if refine and segmenter.startswith(MASKS_PREFIX):
        raise UserError(f"--refine gives masks back to a decoder; {segmenter} has none")


def first_masks(
    run: Run, renderer: Renderer, prompts: PromptSet, segmenter: str, *, refine: int, stages: Stages
) -> tuple[Prompting | None, ViewMasks]:
    """The decoder of a `--segmenter` text with the prompts, and its masks of all objects; without one where they come
    from files."""
    names = [entry.name for entry in prompts.objects]
    if segmenter.startswith(MASKS_PREFIX):
        folder = Path(segmenter.removeprefix(MASKS_PREFIX))
        prompting, masks = None, masks_from_files(folder, names, run.scene, training_cameras(run))
    else:
        decoder = open_decoder(run, segmenter, renderer.density_grid.device)
        prompting, masks = decode_prompts(decoder, prompts, renderer, stages, refine)
    check_masks(masks, names)
    stages.end("decode")
    return prompting, masks


def decode_prompts(
    decoder: Decoder, prompts: PromptSet, renderer: Renderer, stages: Stages, refine: int
) -> tuple[Prompting, ViewMasks]:
    """The prompts of all objects in the world, and their masks in the training views where those are seen."""
    # Encoding takes minutes: a click on empty space must be refused before.
    lifted = lift_prompts(prompts, decoder, cameras=run_cameras(decoder.run), renderer=renderer, refine=refine)
    training = training_cameras(decoder.run)
    on_encoded = stages.listener("encode")
    on_encoded(0, len(training))
    images = (run_image(decoder.run, view) for view in training)
    decoder.cache.encode_all(images, lambda done: on_encoded(done, len(training)))
    stages.end("encode")
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
