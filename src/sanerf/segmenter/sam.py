"""SAM (Kirillov et al. 2023), transformers' `SamModel`.

One encode leaves one map, `image_embeddings` (channels, grid, grid). The decoder proposes three masks a prompt.
"""

from typing import Any

import torch
from torch import Tensor

from sanerf.segmenter.family import FamilySegmenter, Member, load_member
from sanerf.segmenter.precision import Precision
from sanerf.segmenter.preprocess import sam_pixel_values


def load_sam(source: str, device: torch.device, *, precision: Precision = "auto") -> FamilySegmenter:
    """SAM from a folder, a checkpoint of its authors or a hub name; UserError where that fails."""
    return load_member(SAM, source, device, precision)


def _encode(model: Any, pixels: Tensor) -> dict[str, Tensor]:
    return {"image_embeddings": model.get_image_embeddings(pixels)[0]}


def _decode(model: Any, maps: dict[str, Tensor], inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Three masks a prompt, in the decoder's order."""
    out = model(image_embeddings=maps["image_embeddings"][None], multimask_output=True, **inputs)
    return out.pred_masks[0], out.iou_scores[0]


SAM = Member(
    name="sam",
    model_class="SamModel",
    maps=("image_embeddings",),
    input_side=lambda model: model.config.vision_config.image_size,
    map_sides=lambda model: (model.config.vision_config.image_size // model.config.vision_config.patch_size,),
    pixel_values=sam_pixel_values,
    encode=_encode,
    decode=_decode,
)
