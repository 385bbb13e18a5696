"""Pictures and prompts into SAM's square input frame, and masks back out of it.

The input frame is a square of `side` pixels: the picture is resized so that its longer side fills it and padded right
and bottom. Own code instead of transformers' image processor because that resizes differently where torchvision is
installed; values here are bit-identical to its pillow backend everywhere (tested).

Coordinates are continuous, pixel (0, 0) centred at (0.5, 0.5), so a prompt at x lies at `x * new_width / width` in the
frame; transformers adds half a pixel to what it is given, which is therefore taken off first.
"""

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


def frame_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of the resized picture within the input frame."""
    scale = side * 1.0 / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def sam_pixel_values(image: UInt8[Tensor, "h w 3"], side: int) -> Float32[Tensor, "1 3 side side"]:
    """The normalised, zero-padded input frame of one sRGB picture, on the CPU."""
    height, width = frame_size(image.shape[0], image.shape[1], side)
    resized = Image.fromarray(image.cpu().numpy()).resize((width, height), resample=Image.Resampling.BILINEAR)
    # Scaled in float64 and rounded once: the pillow backend's own order, needed for equality to the last bit.
    unit = (np.asarray(resized).astype(np.float64) * (1 / 255)).astype(np.float32)
    normalised = torch.from_numpy((unit - _MEAN) / _STD).permute(2, 0, 1)[None]
    return F.pad(normalised, (0, side - width, 0, side - height)).contiguous()


def frame_coordinates(xy: Float[Tensor, "points 2"], height: int, width: int, side: int) -> Float32[Tensor, "points 2"]:
    """Picture coordinates as transformers wants them, which is half a pixel less than in the input frame."""
    new_height, new_width = frame_size(height, width, side)
    scale = torch.tensor([new_width / width, new_height / height], dtype=torch.float64)
    return (xy.cpu().double() * scale - 0.5).float()


def frame_mask(
    mask_logits: Float[Tensor, "mh mw"], height: int, width: int, side: int
) -> Float32[Tensor, "1 1 small small"]:
    """A previous mask of the whole picture as SAM's mask prompt, a quarter of the frame's resolution.

    The padding, which is no picture, is filled with the logit that says background as firmly as the mask says anything.
    """
    new_height, new_width = frame_size(height, width, side)
    logits = mask_logits.float()[None, None]
    resized = F.interpolate(logits, (new_height, new_width), mode="bilinear", align_corners=False, antialias=True)
    background = -float(logits.abs().max())
    padded = F.pad(resized, (0, side - new_width, 0, side - new_height), value=background)
    return F.avg_pool2d(padded, MASK_STRIDE)


def picture_masks(
    small_logits: Float[Tensor, "hypotheses small small"], height: int, width: int, side: int
) -> Float[Tensor, "hypotheses h w"]:
    """SAM's mask logits at the picture's own resolution: to the frame, padding off, to the picture, all bilinear."""
    new_height, new_width = frame_size(height, width, side)
    frame = F.interpolate(small_logits[None], (side, side), mode="bilinear", align_corners=False)
    content = frame[..., :new_height, :new_width]
    return F.interpolate(content, (height, width), mode="bilinear", align_corners=False)[0]


def model_inputs(
    prompts: list[ViewPrompts], height: int, width: int, side: int, device: torch.device
) -> dict[str, Tensor]:
    """Keyword arguments of a SAM model for prompts of one kind: equal click counts, all or none with a box or a mask.

    A mask prompt stands alone, since the model shares one mask between all prompts of a call.
    """
    first = prompts[0]
    inputs = {}
    if len(first.labels):
        points = [frame_coordinates(prompt.points, height, width, side) for prompt in prompts]
        inputs["input_points"] = torch.stack(points)[None]
        inputs["input_labels"] = torch.stack([prompt.labels.cpu().long() for prompt in prompts])[None]
    boxes = [prompt.box for prompt in prompts if prompt.box is not None]
    if boxes:
        corners = frame_coordinates(torch.cat([box.reshape(2, 2) for box in boxes]), height, width, side)
        inputs["input_boxes"] = corners.reshape(1, len(boxes), 4)
    if first.mask_logits is not None:
        assert len(prompts) == 1, len(prompts)
        inputs["input_masks"] = frame_mask(first.mask_logits, height, width, side)
    assert inputs, "a prompt needs a point, a box or a mask"
    return {key: value.to(device) for key, value in inputs.items()}
