"""SAN, segmentation by a distilled encoder (the paper's [13]): features are rendered, and each view is decoded alone.

The prompts, points of the world, are projected into each view where they are not hidden; the segmenter's decoder
answers them on the features that the field renders there. Nothing joins the views' masks in space. Which of the
decoder's hypotheses counts is chosen as in ours (`segmenter.choose`).
"""

from collections.abc import Mapping, Sequence

import torch

from sanerf.aggregate.view_masks import Prompting, ViewMasks, decode_views
from sanerf.geometry.cameras import Camera
from sanerf.progress import OnPart
from sanerf.prompts.lift import LiftedPrompts
from sanerf.render.images import Renderer
from sanerf.run.containers import FieldFeatures
from sanerf.segmenter.protocol import Segmenter


def san_masks(
    segmenter: Segmenter,
    container: FieldFeatures,
    lifted: Sequence[LiftedPrompts],
    cameras: Mapping[int, Camera],
    renderer: Renderer,
    *,
    on_progress: OnPart | None = None,
) -> ViewMasks:
    """The masks of all objects whose prompts are seen, in each of the cameras; no photograph is read.

    `cameras` go by numbers: a training view's own, so that a box that was drawn there is known; any other for views of
    no run.
    """
    prompting = Prompting(
        segmenter, lambda view: container.render_features(cameras[view]), lifted, dict(cameras), renderer
    )
    return decode_views(prompting, [torch.ones_like(entry.labels, dtype=torch.bool) for entry in lifted], on_progress)
