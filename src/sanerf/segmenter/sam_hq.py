"""SAM-HQ (Ke et al. 2023), transformers' `SamHQModel`.

One encode leaves two maps: `image_embeddings` (channels, grid, grid) as SAM's, and `vit_features` (grid, grid, width),
the tokens after the encoder's first global attention, which SAM-HQ's decoder fuses in for sharp boundaries. Without
them transformers would silently return other masks; here that is an error. A distilled feature field has no
`vit_features`, which is why the paper pairs SAM-HQ with the feature cache (section 3.1).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sanerf.segmenter.family import FamilySegmenter, Member, load_member
from sanerf.segmenter.precision import Precision
from sanerf.segmenter.preprocess import sam_pixel_values


def load_sam_hq(source: str, device: torch.device, *, precision: Precision = "auto") -> FamilySegmenter:
    """SAM-HQ from a folder, a checkpoint of its authors or a hub name; UserError where that fails."""
    return load_member(SAM_HQ, source, device, precision)


def _encode(model: Any, pixels: Tensor) -> dict[str, Tensor]:
    embeddings, intermediate = model.get_image_embeddings(pixels)
    return {"image_embeddings": embeddings[0], "vit_features": intermediate[0][0]}


def _decode(model: Any, maps: dict[str, Tensor], inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """One mask a prompt: the best of SAM's three by predicted IoU plus the high-quality one, as its authors do."""
    out = model(
        image_embeddings=maps["image_embeddings"][None],
        intermediate_embeddings=[maps["vit_features"][None]],
        multimask_output=True,
        **inputs,
    )
    # transformers sorts the three by predicted IoU and adds the high-quality mask to each; the first is meant.
    return out.pred_masks[0, :, :1], out.iou_scores[0, :, :1]


@contextmanager
def attended_upscaling(mask_decoder: Any) -> Iterator[None]:
    """Within, transformers' SAM-HQ decoder upscales the image embedding that has attended to the prompt.

    As of transformers 5.23 its forward drops that tensor and upscales the encoder's own embedding, rows and columns
    swapped, so that masks come out wrong; the SAM-HQ authors' code and transformers' `SamModel` do it as done here.
    Where the forward is right the exchange changes nothing.
    """
    attended: list[Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: tuple, outputs: tuple) -> None:
        attended[:] = [outputs[1]]

    def exchange(_module: torch.nn.Module, inputs: tuple) -> tuple:
        # (prompts, 1, grid * grid, channels), tokens in row-major order, to the layout of a picture
        return (attended[0].transpose(2, 3).reshape(inputs[0].shape),)

    handles = [
        mask_decoder.transformer.register_forward_hook(keep),
        mask_decoder.upscale_conv1.register_forward_pre_hook(exchange),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


SAM_HQ = Member(
    name="sam-hq",
    model_class="SamHQModel",
    maps=("image_embeddings", "vit_features"),
    beyond_a_field="the early ViT features",
    input_side=lambda model: model.config.vision_config.image_size,
    map_sides=lambda model: (model.config.vision_config.image_size // model.config.vision_config.patch_size,) * 2,
    pixel_values=sam_pixel_values,
    encode=_encode,
    decode=_decode,
    while_decoding=lambda model: attended_upscaling(model.mask_decoder),
)
