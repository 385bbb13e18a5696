"""SAM 2 and 2.1 (Ravi et al. 2024) as a segmenter of single pictures, transformers' `Sam2Model`.

One encode leaves three maps: `image_embeddings` (channels, grid, grid) at stride 16, which carries the embedding that
says "no memory of other frames", and the finer `stride_4` and `stride_8` that the decoder adds while it upscales. The
decoder proposes three masks a prompt. Its object score, by which video frames are called empty, says nothing here: the
authors' image predictor leaves it aside too, since who clicks on an object sees it.
"""

from typing import Any

import torch
from torch import Tensor

from sanerf.segmenter.family import FamilySegmenter, Member, load_member
from sanerf.segmenter.precision import Precision
from sanerf.segmenter.preprocess import sam2_pixel_values

_MAPS = ("stride_4", "stride_8", "image_embeddings")
"""In the order that transformers gives and takes them."""


def load_sam2(source: str, device: torch.device, *, precision: Precision = "auto") -> FamilySegmenter:
    """SAM 2 from a folder, a checkpoint of its authors or a hub name; UserError where that fails."""
    return load_member(SAM2, source, device, precision)


def _encode(model: Any, pixels: Tensor) -> dict[str, Tensor]:
    levels = model.get_image_embeddings(pixels)
    return {name: level[0].contiguous() for name, level in zip(_MAPS, levels, strict=True)}


def _decode(model: Any, maps: dict[str, Tensor], inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Three masks a prompt, in the decoder's order."""
    out = model(image_embeddings=[maps[name][None] for name in _MAPS], multimask_output=True, **inputs)
    return out.pred_masks[0], out.iou_scores[0]


SAM2 = Member(
    name="sam2",
    model_class="Sam2Model",
    maps=_MAPS,
    stretched=True,
    feedback_limit=32.0,
    input_side=lambda model: model.config.prompt_encoder_config.image_size,
    map_sides=lambda model: tuple(model.config.prompt_encoder_config.image_size // stride for stride in (4, 8, 16)),
    pixel_values=sam2_pixel_values,
    encode=_encode,
    decode=_decode,
)
