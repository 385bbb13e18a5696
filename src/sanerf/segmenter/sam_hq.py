"""SAM-HQ (Ke et al. 2023) behind the segmenter protocol, through transformers' `SamHQModel`.

One encode leaves two maps: `image_embeddings` (channels, grid, grid) as SAM's, and `vit_features` (grid, grid, width),
the tokens after the encoder's first global attention, which SAM-HQ's decoder fuses in for sharp boundaries. Without
them transformers would silently return other masks; here that is an error. A distilled feature field has no
`vit_features`, which is why the paper pairs SAM-HQ with the feature cache (section 3.1).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from sanerf.errors import UserError
from sanerf.segmenter.precision import Precision, encode_maps, encoder_dtype
from sanerf.segmenter.preprocess import Frame, network_masks, picture_masks, sam_pixel_values
from sanerf.segmenter.pretrained import load_pretrained, model_fingerprint
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts
from sanerf.segmenter.sam import MaskSize, decode_in_groups
from sanerf.shapes import UInt8


def load_sam_hq(source: str, device: torch.device, *, precision: Precision = "auto") -> "SamHqSegmenter":
    """SAM-HQ from a folder, a checkpoint of its authors or a hub name; UserError where that fails."""
    return SamHqSegmenter(load_pretrained("SamHQModel", source, device), encoder_dtype(precision, device))


class SamHqSegmenter:
    """A `Segmenter` over transformers' `SamHQModel`, on the model's device."""

    name = "sam-hq"

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32):
        """`model` is a transformers `SamHQModel`, frozen and in evaluation mode; its encoder counts in `dtype`."""
        self._model = model
        self._dtype = dtype
        self._side = model.config.vision_config.image_size
        self._fingerprint = model_fingerprint(model, self.name, dtype)
        # The hooks of `attended_upscaling` are on the model that all threads share: one decode at a time.
        self._decoding = Lock()

    @property
    def fingerprint(self) -> str:
        """A digest of configuration and weights."""
        return self._fingerprint

    @torch.no_grad()
    def encode(self, image: UInt8[Tensor, "h w 3"]) -> ImageFeatures:
        """Features of one sRGB picture, on the model's device."""
        pixels = sam_pixel_values(image, self._side).to(self._model.device)

        def encode() -> dict[str, Tensor]:
            embeddings, intermediate = self._model.get_image_embeddings(pixels)
            return {"image_embeddings": embeddings[0], "vit_features": intermediate[0][0]}

        maps = encode_maps(encode, device=pixels.device, dtype=self._dtype)
        return ImageFeatures(maps, image.shape[0], image.shape[1])

    def decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """One mask a prompt: the best of SAM's three by predicted IoU plus the high-quality one, as its authors do.

        Raises UserError where the features have no `vit_features`.
        """
        return self._decode(features, prompts, picture_masks)

    def decode_small(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """The same at a quarter of the input frame's resolution."""
        return self._decode(features, prompts, network_masks)

    def _decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts], masks: MaskSize) -> list[MaskHypotheses]:
        if "vit_features" not in features.maps:
            raise UserError(
                "sam-hq decodes only the features of its own encoder, with the early ViT features that a feature field "
                "does not hold; use --container cache, or --segmenter sam"
            )
        embeddings = features.maps["image_embeddings"].to(self._model.device)[None]
        early = [features.maps["vit_features"].to(self._model.device)[None]]

        def call(inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            out = self._model(
                image_embeddings=embeddings, intermediate_embeddings=early, multimask_output=True, **inputs
            )
            # transformers sorts the three by predicted IoU and adds the high-quality mask to each; the first is meant.
            return out.pred_masks[0, :, :1], out.iou_scores[0, :, :1]

        with self._decoding, attended_upscaling(self._model.mask_decoder):
            frame = Frame(features.height, features.width, self._side)
            return decode_in_groups(call, prompts, frame=frame, device=self._model.device, masks=masks)


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
