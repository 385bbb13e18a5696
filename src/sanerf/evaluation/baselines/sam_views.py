"""The baseline "SAM": prompts carried to each view and decoded there, each view on its own, nothing fused.

The prompts are those that a segmentation was asked with; they are lifted and projected as ours are (Eq. 6): only the
fusion differs. `evaluation.run_evaluation` decodes and scores, in what is rendered of a view or in its photograph.
"""

from collections.abc import Sequence

from sanerf.errors import UserError
from sanerf.evaluation.run_evaluation import DecoderAlone, SeenPicture
from sanerf.prompts.file import PromptSet
from sanerf.render.images import Renderer
from sanerf.run.decoding import MASKS_PREFIX, lift_prompts, open_decoder
from sanerf.run.folder import Run
from sanerf.run.joined import kept_prompts
from sanerf.run.segmentation import Segmentation, find_object
from sanerf.run.views import run_cameras


def stored_decoder_alone(
    run: Run, renderer: Renderer, segmentations: Sequence[Segmentation], names: Sequence[str], sees: SeenPicture
) -> DecoderAlone:
    """The decoder and the prompts that some of a run's objects were segmented with, for `evaluate_run`.

    UserError where their masks came from files, and where they were asked of several segmenters.
    """
    owners = {name: find_object(segmentations, name, run) for name in names}
    segmenters = {owner.record.get("segmenter", MASKS_PREFIX) for owner in owners.values()}
    if len(segmenters) != 1:
        raise UserError(f"the objects were asked of {', '.join(sorted(segmenters))}; score those of one with --name")
    (segmenter,) = segmenters
    if segmenter.startswith(MASKS_PREFIX):
        raise UserError("the objects' masks came from files; there is no decoder to be scored alone")
    prompts = PromptSet(tuple(kept_prompts(owner, name) for name, owner in owners.items()))
    decoder = open_decoder(run, renderer, segmenter)
    lifted = lift_prompts(prompts, decoder, cameras=run_cameras(run), renderer=renderer)
    return DecoderAlone(decoder.segmenter, lifted, sees)
