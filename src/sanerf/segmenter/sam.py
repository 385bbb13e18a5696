"""SAM (Kirillov et al. 2023) behind the segmenter protocol, through transformers' `SamModel` (paper, Eq. 4).

One encode leaves one map, `image_embeddings` (channels, grid, grid). The decoder proposes three masks a prompt.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sanerf.segmenter.precision import Precision, encode_maps, encoder_dtype
from sanerf.segmenter.preprocess import (
    Frame,
    has_mask,
    model_inputs,
    network_masks,
    picture_masks,
    sam_pixel_values,
)
from sanerf.segmenter.pretrained import load_pretrained, model_fingerprint
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts
from sanerf.shapes import UInt8

_PROMPTS_A_CALL = 32
"""A prompt of ViT-H SAM takes about 25 MB in the decoder, so a call stays under 1 GB."""

DecodeCall = Callable[[dict[str, Tensor]], tuple[Tensor, Tensor]]
"""Model inputs of some prompts to their mask logits (prompts, hypotheses, small, small) and IoUs."""

MaskSize = Callable[[Tensor, Frame], Tensor]
"""`picture_masks` or `network_masks`: mask logits of the decoder's own resolution to those that are answered."""


def load_sam(source: str, device: torch.device, *, precision: Precision = "auto") -> "SamSegmenter":
    """SAM from a folder, a checkpoint of its authors or a hub name; UserError where that fails."""
    return SamSegmenter(load_pretrained("SamModel", source, device), encoder_dtype(precision, device))


class SamSegmenter:
    """A `Segmenter` over transformers' `SamModel`, on the model's device."""

    name = "sam"

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32):
        """`model` is a transformers `SamModel`, frozen and in evaluation mode; its encoder counts in `dtype`."""
        self._model = model
        self._dtype = dtype
        self._side = model.config.vision_config.image_size
        self._fingerprint = model_fingerprint(model, self.name, dtype)

    @property
    def fingerprint(self) -> str:
        """A digest of configuration and weights."""
        return self._fingerprint

    @torch.no_grad()
    def encode(self, image: UInt8[Tensor, "h w 3"]) -> ImageFeatures:
        """Features of one sRGB picture, on the model's device."""
        pixels = sam_pixel_values(image, self._side).to(self._model.device)
        maps = encode_maps(
            lambda: {"image_embeddings": self._model.get_image_embeddings(pixels)[0]},
            device=pixels.device,
            dtype=self._dtype,
        )
        return ImageFeatures(maps, image.shape[0], image.shape[1])

    def decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """Three masks a prompt, in the decoder's order; gradients reach the features."""
        return self._decode(features, prompts, picture_masks)

    def decode_small(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """The same at a quarter of the input frame's resolution."""
        return self._decode(features, prompts, network_masks)

    def _decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts], masks: MaskSize) -> list[MaskHypotheses]:
        embeddings = features.maps["image_embeddings"].to(self._model.device)[None]

        def call(inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            out = self._model(image_embeddings=embeddings, multimask_output=True, **inputs)
            return out.pred_masks[0], out.iou_scores[0]

        frame = Frame(features.height, features.width, self._side)
        return decode_in_groups(call, prompts, frame=frame, device=self._model.device, masks=masks)


def decode_in_groups(
    call: DecodeCall, prompts: Sequence[ViewPrompts], *, frame: Frame, device: torch.device, masks: MaskSize
) -> list[MaskHypotheses]:
    """Decode prompts of one picture, those of one kind together, and return the answers in order.

    Prompts of different click counts are never padded to one length: SAM's padding tokens are attended to, so that an
    answer would depend on its neighbours (a relative change of 5e-4 on a random model).
    """
    answers: dict[int, MaskHypotheses] = {}
    for indices in _groups(prompts):
        small_logits, predicted_iou = call(model_inputs([prompts[i] for i in indices], frame, device))
        for i, logits, iou in zip(indices, small_logits, predicted_iou, strict=True):
            answers[i] = MaskHypotheses(masks(logits, frame), iou, logits)
    return [answers[i] for i in range(len(prompts))]


def _groups(prompts: Sequence[ViewPrompts]) -> list[list[int]]:
    """Indices of prompts that one model call can answer: equal click counts and boxes; mask prompts each alone."""
    groups: dict[tuple[int, bool, int], list[int]] = {}
    for i, prompt in enumerate(prompts):
        alone = i if has_mask(prompt) else -1
        groups.setdefault((len(prompt.labels), prompt.box is not None, alone), []).append(i)
    return [
        indices[start : start + _PROMPTS_A_CALL]
        for indices in groups.values()
        for start in range(0, len(indices), _PROMPTS_A_CALL)
    ]
