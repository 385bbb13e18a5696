"""Pictures and prompts into the square input frame of SAM, SAM-HQ and SAM 2, and masks back out of it.

SAM and SAM-HQ resize a picture so that its longer side fills the frame, and pad right and bottom; SAM 2 stretches it to
the whole frame. Own code instead of transformers' image processors because those need torchvision or resize differently
where it is installed; values here are bit-identical to transformers' pillow backend for SAM (tested).

Coordinates are continuous, pixel (0, 0) centred at (0.5, 0.5), so a prompt at x lies at `x * columns / width` in the
frame; transformers adds half a pixel to what it is given, which is therefore taken off first.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sanerf.segmenter.protocol import ViewPrompts
from sanerf.shapes import Float, Float32, UInt8

_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
MASK_STRIDE = 4
"""SAM's masks, those it gives and those it takes, have a quarter of the input frame's resolution."""


@dataclass(frozen=True)
class Frame:
    """Where a picture of `height` x `width` pixels lies in a model's input frame of `side` x `side` pixels.

    It takes the upper left `rows` x `columns` of the frame: all of it where it is stretched, as for SAM 2.
    """

    height: int
    width: int
    side: int
    stretched: bool = False

    @property
    def rows(self) -> int:
        return self.side if self.stretched else int(self.height * self._scale + 0.5)

    @property
    def columns(self) -> int:
        return self.side if self.stretched else int(self.width * self._scale + 0.5)

    @property
    def _scale(self) -> float:
        return self.side * 1.0 / max(self.height, self.width)


def sam_pixel_values(image: UInt8[Tensor, "h w 3"], side: int) -> Float32[Tensor, "1 3 side side"]:
    """The normalised, zero-padded input frame of one sRGB picture, on the CPU."""
    frame = Frame(image.shape[0], image.shape[1], side)
    resized = Image.fromarray(image.cpu().numpy()).resize((frame.columns, frame.rows), Image.Resampling.BILINEAR)
    # Scaled in float64 and rounded once: the pillow backend's own order, needed for equality to the last bit.
    unit = (np.asarray(resized).astype(np.float64) * (1 / 255)).astype(np.float32)
    normalised = torch.from_numpy((unit - _MEAN) / _STD).permute(2, 0, 1)[None]
    return F.pad(normalised, (0, side - frame.columns, 0, side - frame.rows)).contiguous()


def sam2_pixel_values(image: UInt8[Tensor, "h w 3"], side: int) -> Float32[Tensor, "1 3 side side"]:
    """The normalised, stretched input frame of one sRGB picture, on the CPU, as SAM 2's authors make it."""
    unit = image.cpu().permute(2, 0, 1)[None].float() / 255
    resized = F.interpolate(unit, (side, side), mode="bilinear", align_corners=False, antialias=True)
    return (resized - torch.from_numpy(_MEAN)[:, None, None]) / torch.from_numpy(_STD)[:, None, None]


def frame_coordinates(xy: Float[Tensor, "points 2"], frame: Frame) -> Float32[Tensor, "points 2"]:
    """Picture coordinates as transformers wants them, which is half a pixel less than in the input frame."""
    scale = torch.tensor([frame.columns / frame.width, frame.rows / frame.height], dtype=torch.float64)
    return (xy.cpu().double() * scale - 0.5).float()


def frame_mask(mask_logits: Float[Tensor, "mh mw"], frame: Frame) -> Float32[Tensor, "1 1 small small"]:
    """A previous mask of the whole picture as a mask prompt, a quarter of the frame's resolution.

    The padding, which is no picture, is filled with the logit that says background as firmly as the mask says anything.
    """
    logits = mask_logits.float()[None, None]
    if frame.stretched:
        small = frame.side // MASK_STRIDE
        return F.interpolate(logits, (small, small), mode="bilinear", align_corners=False, antialias=True)
    size = (frame.rows, frame.columns)
    resized = F.interpolate(logits, size, mode="bilinear", align_corners=False, antialias=True)
    background = -float(logits.abs().max())
    padded = F.pad(resized, (0, frame.side - frame.columns, 0, frame.side - frame.rows), value=background)
    return F.avg_pool2d(padded, MASK_STRIDE)


def picture_masks(
    small_logits: Float[Tensor, "hypotheses small small"], frame: Frame
) -> Float[Tensor, "hypotheses h w"]:
    """Mask logits at the picture's own resolution, bilinear as each model's authors do it.

    SAM's go to the frame first, lose the padding there and are resized again; SAM 2's go to the picture at once.
    """
    masks = small_logits[None]
    if not frame.stretched:
        whole = F.interpolate(masks, (frame.side, frame.side), mode="bilinear", align_corners=False)
        masks = whole[..., : frame.rows, : frame.columns]
    return F.interpolate(masks, (frame.height, frame.width), mode="bilinear", align_corners=False)[0]


def has_mask(prompt: ViewPrompts) -> bool:
    """Whether a prompt has a mask, in either form."""
    return prompt.mask_logits is not None or prompt.low_res_logits is not None


def network_masks(
    small_logits: Float[Tensor, "hypotheses small small"], frame: Frame
) -> Float[Tensor, "hypotheses mh mw"]:
    """Mask logits as the network leaves them, without the padding (but for a part of a pixel)."""
    return small_logits[:, : -(-frame.rows // MASK_STRIDE), : -(-frame.columns // MASK_STRIDE)]


def model_inputs(prompts: list[ViewPrompts], frame: Frame, device: torch.device) -> dict[str, Tensor]:
    """Keyword arguments of a model for prompts of one kind: equal click counts, all or none with a box or a mask.

    A mask prompt stands alone, since the model shares one mask between all prompts of a call.
    """
    first = prompts[0]
    inputs = {}
    if len(first.labels):
        points = [frame_coordinates(prompt.points, frame) for prompt in prompts]
        inputs["input_points"] = torch.stack(points)[None]
        inputs["input_labels"] = torch.stack([prompt.labels.cpu().long() for prompt in prompts])[None]
    boxes = [prompt.box for prompt in prompts if prompt.box is not None]
    if boxes:
        corners = frame_coordinates(torch.cat([box.reshape(2, 2) for box in boxes]), frame)
        inputs["input_boxes"] = corners.reshape(1, len(boxes), 4)
    assert first.mask_logits is None or first.low_res_logits is None, "a prompt has one mask"
    if first.mask_logits is not None:
        inputs["input_masks"] = frame_mask(first.mask_logits, frame)
    elif first.low_res_logits is not None:
        inputs["input_masks"] = first.low_res_logits.float()[None, None]
    assert "input_masks" not in inputs or len(prompts) == 1, len(prompts)
    assert inputs, "a prompt needs a point, a box or a mask"
    return {key: value.to(device) for key, value in inputs.items()}
