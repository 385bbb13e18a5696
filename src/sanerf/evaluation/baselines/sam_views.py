"""The baseline "SAM": prompts carried to each view and decoded there, each view on its own, nothing fused.

The prompts are those that a segmentation was asked with; they are lifted and projected as ours are (Eq. 6): only the
fusion differs. `evaluation.run_evaluation` decodes and scores, in what is rendered of a view or in its photograph.
"""

from collections.abc import Sequence

from sanerf.errors import UserError
from sanerf.evaluation.run_evaluation import DecoderAlone, SeenPicture
from sanerf.prompts.file import ObjectPrompts, PromptSet, prompts_from_json
from sanerf.render.images import Renderer
from sanerf.run.decoding import MASKS_PREFIX, lift_prompts, open_decoder
from sanerf.run.folder import Run
from sanerf.run.segmentation import Segmentation, find_object
from sanerf.run.views import run_cameras


def stored_decoder_alone(
    run: Run, renderer: Renderer, segmentations: Sequence[Segmentation], names: Sequence[str], sees: SeenPicture
) -> DecoderAlone:
    """The decoder and the prompts that some of a run's objects were segmented with, for `evaluate_run`.

    UserError where their masks came from files, and where they were asked of several segmenters.
    """
    segmenters, objects = set(), []
    for name in names:
        segmentation = find_object(segmentations, name, run)
        segmenters.add(segmentation.record.get("segmenter", MASKS_PREFIX))
        objects.append(_stored_prompts(segmentation, name))
    if len(segmenters) != 1:
        raise UserError(f"the objects were asked of {', '.join(sorted(segmenters))}; score those of one with --name")
    (segmenter,) = segmenters
    if segmenter.startswith(MASKS_PREFIX):
        raise UserError("the objects' masks came from files; there is no decoder to be scored alone")
    decoder = open_decoder(run, renderer, segmenter)
    lifted = lift_prompts(PromptSet(tuple(objects)), decoder, cameras=run_cameras(run), renderer=renderer)
    return DecoderAlone(decoder.segmenter, lifted, sees)


def _stored_prompts(segmentation: Segmentation, name: str) -> ObjectPrompts:
    """An object's prompts, with drawings where the segmentation keeps them."""
    stored = prompts_from_json(segmentation.record["prompts"], segmentation.path.absolute())
    return next(entry for entry in stored.objects if entry.name == name)
