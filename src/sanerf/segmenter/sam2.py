"""SAM 2 and 2.1 (Ravi et al. 2024) as a segmenter of single pictures, through transformers' `Sam2Model`.

One encode leaves three maps: `image_embeddings` (channels, grid, grid) at stride 16, which carries the embedding that
says "no memory of other frames", and the finer `stride_4` and `stride_8` that the decoder adds while it upscales. The
decoder proposes three masks a prompt. Its object score, by which video frames are called empty, says nothing here: the
authors' image predictor leaves it aside too, since who clicks on an object sees it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sanerf.errors import UserError
from sanerf.segmenter.precision import Precision, encode_maps, encoder_dtype
from sanerf.segmenter.preprocess import Frame, network_masks, picture_masks, sam2_pixel_values
from sanerf.segmenter.pretrained import load_pretrained, model_fingerprint
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts
from sanerf.segmenter.sam import MaskSize, decode_in_groups
from sanerf.shapes import Float, UInt8

_MAPS = ("stride_4", "stride_8", "image_embeddings")
"""In the order that transformers gives and takes them."""
_FEEDBACK_LIMIT = 32.0


def load_sam2(source: str, device: torch.device, *, precision: Precision = "auto") -> "Sam2Segmenter":
    """SAM 2 from a folder, a checkpoint of its authors or a hub name; UserError where that fails."""
    return Sam2Segmenter(load_pretrained("Sam2Model", source, device), encoder_dtype(precision, device))


class Sam2Segmenter:
    """A `Segmenter` over transformers' `Sam2Model`, on the model's device."""

    name = "sam2"

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32):
        """`model` is a transformers `Sam2Model`, frozen and in evaluation mode; its encoder counts in `dtype`."""
        self._model = model
        self._dtype = dtype
        self._side = model.config.prompt_encoder_config.image_size
        self._fingerprint = model_fingerprint(model, self.name, dtype)

    @property
    def fingerprint(self) -> str:
        """A digest of configuration and weights."""
        return self._fingerprint

    @torch.no_grad()
    def encode(self, image: UInt8[Tensor, "h w 3"]) -> ImageFeatures:
        """Features of one sRGB picture, on the model's device."""
        pixels = sam2_pixel_values(image, self._side).to(self._model.device)

        def encode() -> dict[str, Tensor]:
            levels = self._model.get_image_embeddings(pixels)
            return {name: level[0].contiguous() for name, level in zip(_MAPS, levels, strict=True)}

        maps = encode_maps(encode, device=pixels.device, dtype=self._dtype)
        return ImageFeatures(maps, image.shape[0], image.shape[1])

    def decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """Three masks a prompt, in the decoder's order; gradients reach the features.

        Raises UserError where the features lack the finer levels.
        """
        return self._decode(features, prompts, picture_masks)

    def decode_small(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """The same at a quarter of the input frame's resolution."""
        return self._decode(features, prompts, network_masks)

    def _decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts], masks: MaskSize) -> list[MaskHypotheses]:
        if not set(_MAPS) <= set(features.maps):
            raise UserError(
                "sam2 decodes only the features of its own encoder, with the finer levels that a feature field does "
                "not hold; use --container cache, or --segmenter sam"
            )
        levels = [features.maps[name].to(self._model.device)[None] for name in _MAPS]

        def call(inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            out = self._model(image_embeddings=levels, multimask_output=True, **inputs)
            return out.pred_masks[0], out.iou_scores[0]

        frame = Frame(features.height, features.width, self._side, stretched=True)
        answers = decode_in_groups(call, prompts, frame=frame, device=self._model.device, masks=masks)
        return [replace(answer, low_res_logits=_limited(answer.low_res_logits)) for answer in answers]


def _limited(low_res_logits: Float[Tensor, "hypotheses ph pw"] | None) -> Float[Tensor, "hypotheses ph pw"]:
    """Logits to be fed back, within the bounds that the authors' image predictor sets."""
    assert low_res_logits is not None
    return low_res_logits.clamp(-_FEEDBACK_LIMIT, _FEEDBACK_LIMIT)
