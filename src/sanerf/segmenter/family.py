"""SAM, SAM-HQ and SAM 2 behind the segmenter protocol, through transformers' models (paper, Eq. 4).

What the three have in common is here; what is a member's own (`sam.py`, `sam_hq.py`, `sam2.py`) is a `Member`.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from sanerf.errors import UserError
from sanerf.segmenter.frame import MapFrame
from sanerf.segmenter.precision import Precision, encode_maps, encoder_dtype
from sanerf.segmenter.preprocess import Frame, has_mask, model_inputs, network_masks, picture_masks
from sanerf.segmenter.pretrained import load_pretrained, model_fingerprint
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts
from sanerf.shapes import Float32, UInt8

_PROMPTS_A_CALL = 32
"""A prompt of ViT-H SAM takes about 25 MB in the decoder, so a call stays under 1 GB."""

DecodeCall = Callable[[dict[str, Tensor]], tuple[Tensor, Tensor]]
"""Model inputs of some prompts to their mask logits (prompts, hypotheses, small, small) and IoUs."""

MaskSize = Callable[[Tensor, Frame], Tensor]
"""`picture_masks` or `network_masks`: mask logits of the decoder's own resolution to those that are answered."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """What one member of the family has of its own. `model` is its transformers model."""

    name: str
    """as `--segmenter` has it"""
    model_class: str
    """of transformers"""
    maps: tuple[str, ...]
    """the maps that an encode leaves and the decoder needs"""
    beyond_a_field: str = ""
    """what of them a distilled feature field has not, in words; empty where it has all"""
    stretched: bool = False
    """whether a picture is stretched to the whole input frame"""
    feedback_limit: float = math.inf
    """the bound of low-resolution logits that the authors' predictor feeds back"""
    input_side: Callable[[Any], int]
    """of the model, in pixels"""
    map_sides: Callable[[Any], tuple[int, ...]]
    """of the model, rows or columns of each of the maps"""
    pixel_values: Callable[[UInt8[Tensor, "h w 3"], int], Float32[Tensor, "1 3 side side"]]
    """a picture as the input frame of this side"""
    encode: Callable[[Any, Tensor], dict[str, Tensor]]
    """model and input frame to `maps`, without the axis of the batch"""
    decode: Callable[[Any, dict[str, Tensor], dict[str, Tensor]], tuple[Tensor, Tensor]]
    """model, `maps` on its device and a `DecodeCall`'s inputs to what that gives"""
    while_decoding: Callable[[Any], AbstractContextManager[None]] | None = None
    """what the model needs around its decodes, if anything"""


def load_member(member: Member, source: str, device: torch.device, precision: Precision) -> "FamilySegmenter":
    """A member from a folder, a checkpoint of its authors or a hub name; UserError where that fails."""
    model = load_pretrained(member.model_class, source, device)
    return FamilySegmenter(member, model, encoder_dtype(precision, device))


class FamilySegmenter:
    """A `Segmenter` over a transformers model, on the model's device."""

    def __init__(self, member: Member, model: Any, dtype: torch.dtype = torch.float32):
        """`model` is of `member.model_class`, frozen and in evaluation mode; its encoder counts in `dtype`."""
        self._member = member
        self._model = model
        self._dtype = dtype
        self._side = member.input_side(model)
        self._fingerprint = model_fingerprint(model, member.name, dtype)
        # What `while_decoding` does is done to the model that all threads share: one decode at a time.
        self._alone = Lock() if member.while_decoding is not None else nullcontext()

    @property
    def name(self) -> str:
        return self._member.name

    @property
    def fingerprint(self) -> str:
        """A digest of configuration, weights and precision."""
        return self._fingerprint

    @torch.no_grad()
    def encode(self, image: UInt8[Tensor, "h w 3"]) -> ImageFeatures:
        """Features of one sRGB picture, on the model's device."""
        pixels = self._member.pixel_values(image, self._side).to(self._model.device)
        maps = encode_maps(lambda: self._member.encode(self._model, pixels), device=pixels.device, dtype=self._dtype)
        return ImageFeatures(maps, image.shape[0], image.shape[1])

    def decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """The masks that the member gives a prompt (SAM and SAM 2 three, SAM-HQ one); gradients reach the features.

        Raises UserError where the features lack one of the member's maps.
        """
        return self._decode(features, prompts, picture_masks)

    def decode_small(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """The same at a quarter of the input frame's resolution."""
        return self._decode(features, prompts, network_masks)

    def map_frame(self, height: int, width: int) -> MapFrame:
        """Where the maps of a picture of that size lie. UserError where one of them is beyond a feature field."""
        member, side = self._member, self._side
        if member.beyond_a_field:
            raise UserError(f"{member.name} decodes only {_wanted(member)}")
        frame = Frame(height, width, side, stretched=member.stretched)
        sides = zip(member.maps, member.map_sides(self._model), strict=True)
        sizes = {name: (of_map, of_map) for name, of_map in sides}
        return MapFrame(side * height / frame.rows, side * width / frame.columns, height, width, sizes)

    def _decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts], masks: MaskSize) -> list[MaskHypotheses]:
        member, model = self._member, self._model
        if not set(member.maps) <= set(features.maps):
            raise UserError(f"{member.name} decodes only {_wanted(member)}")
        maps = {name: features.maps[name].to(model.device) for name in member.maps}

        def call(inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            return member.decode(model, maps, inputs)

        frame = Frame(features.height, features.width, self._side, stretched=member.stretched)
        around = nullcontext() if member.while_decoding is None else member.while_decoding(model)
        with self._alone, around:
            return decode_in_groups(
                call, prompts, frame=frame, device=model.device, masks=masks, feedback_limit=member.feedback_limit
            )


def _wanted(member: Member) -> str:
    if not member.beyond_a_field:
        return f"features with the maps {', '.join(member.maps)}"
    return (
        f"the features of its own encoder, with {member.beyond_a_field} that a feature field does not hold; use "
        "--container cache, or --segmenter sam"
    )


def decode_in_groups(
    call: DecodeCall,
    prompts: Sequence[ViewPrompts],
    *,
    frame: Frame,
    device: torch.device,
    masks: MaskSize,
    feedback_limit: float,
) -> list[MaskHypotheses]:
    """Decode prompts of one picture, those of one kind together, and return the answers in order.

    Prompts of different click counts are never padded to one length: SAM's padding tokens are attended to, so that an
    answer would depend on its neighbours (a relative change of 5e-4 on a random model).
    """
    answers: dict[int, MaskHypotheses] = {}
    for indices in _groups(prompts):
        small_logits, predicted_iou = call(model_inputs([prompts[i] for i in indices], frame, device))
        for i, logits, iou in zip(indices, small_logits, predicted_iou, strict=True):
            answers[i] = MaskHypotheses(masks(logits, frame), iou, logits.clamp(-feedback_limit, feedback_limit))
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
