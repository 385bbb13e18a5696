"""`mini` behind the segmenter protocol: pictures are scaled to one long side, prompts and masks follow.

The network sees the picture scaled so that its long side is `long_side` (640 unless told), padded at the right and
bottom to multiples of 32 with grey. Points, boxes and previous masks are given in the picture's own pixels, and the
masks come back in them.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sanerf.errors import UserError
from sanerf.files import read_tensors
from sanerf.segmenter.frame import MapFrame
from sanerf.segmenter.mini.decoder import PromptDecoder
from sanerf.segmenter.mini.network import CHANNELS, ImageEncoder, normalise
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts
from sanerf.shapes import Float, UInt8

FORMAT_VERSION = 1
LONG_SIDE = 640
SIDE_MULTIPLE = 32
PROMPTS_AT_ONCE = 8
PREVIOUS_LIMIT = 12.0
WEIGHTS = Path(__file__).parents[2] / "assets" / "mini.safetensors"


class MiniNetwork(nn.Module):
    """The two halves under one name, as the weights file holds them."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = ImageEncoder(), PromptDecoder()


def network_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """The size (rows, columns) of a picture once scaled, before padding: at least one pixel each."""
    scale = long_side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def preprocess(image: UInt8[Tensor, "h w 3"], long_side: int) -> Float[Tensor, "1 3 h2 w2"]:
    """Scaled (antialiased), normalised and padded to multiples of 32 with the normalised grey, 0."""
    pixels = image.permute(2, 0, 1)[None].float()
    rows, columns = network_size(image.shape[0], image.shape[1], long_side)
    pixels = normalise(F.interpolate(pixels, size=(rows, columns), mode="bilinear", antialias=True))
    return F.pad(pixels, (0, -columns % SIDE_MULTIPLE, 0, -rows % SIDE_MULTIPLE))


class MiniSegmenter:
    """The built-in segmenter. Pure: two decodes of the same prompts are the same."""

    name = "mini"

    def __init__(self, network: MiniNetwork, device: torch.device, long_side: int = LONG_SIDE):
        if long_side < SIDE_MULTIPLE:
            raise UserError(f"the long side must be at least {SIDE_MULTIPLE} pixels, not {long_side}")
        self._network = network.to(device=device, memory_format=torch.channels_last).eval().requires_grad_(False)  # pyright: ignore[reportCallIssue]
        self._device, self.long_side = device, long_side
        self._fingerprint = _fingerprint(network, long_side)

    @property
    def fingerprint(self) -> str:
        """A digest of the weights and the long side."""
        return self._fingerprint

    @torch.inference_mode()
    def encode(self, image: UInt8[Tensor, "h w 3"]) -> ImageFeatures:
        """The maps of strides 16, 8 and 4 of one sRGB picture, on the segmenter's device."""
        pixels = preprocess(image.to(self._device), self.long_side)
        maps = self._network.encoder(pixels.contiguous(memory_format=torch.channels_last))
        return ImageFeatures({name: x[0].contiguous() for name, x in maps.items()}, image.shape[0], image.shape[1])

    @torch.inference_mode()
    def decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """Three masks a prompt at the picture's resolution, each with its predicted IoU."""
        rows, columns = network_size(features.height, features.width, self.long_side)
        size = (features.height, features.width)
        answers = []
        for logits, predicted in self._answers(features, prompts):
            padded = (2 * logits.shape[-2], 2 * logits.shape[-1])
            full = F.interpolate(logits[None], size=padded, mode="bilinear", align_corners=False)
            full = F.interpolate(full[..., :rows, :columns], size=size, mode="bilinear", antialias=True)[0]
            answers.append(MaskHypotheses(full.contiguous(), predicted, logits))
        return answers

    @torch.inference_mode()
    def decode_small(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """The same at half the network's input; its last row and column may reach a pixel of that into the padding."""
        rows, columns = network_size(features.height, features.width, self.long_side)
        return [
            MaskHypotheses(logits[:, : (rows + 1) // 2, : (columns + 1) // 2].contiguous(), predicted, logits)
            for logits, predicted in self._answers(features, prompts)
        ]

    def map_frame(self, height: int, width: int) -> MapFrame:
        """Where the maps of a picture of that size lie."""
        rows, columns = network_size(height, width, self.long_side)
        padded = rows + -rows % SIDE_MULTIPLE, columns + -columns % SIDE_MULTIPLE
        sizes = {name: (padded[0] // int(name[1:]), padded[1] // int(name[1:])) for name in CHANNELS}
        return MapFrame(padded[0] * height / rows, padded[1] * width / columns, height, width, sizes)

    def _answers(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> Iterator[tuple[Tensor, Tensor]]:
        """Each prompt's logits at half the network's padded input, and their predicted IoU; a few prompts a call."""
        for prompt in prompts:
            _check(prompt)
        maps = {name: x[None].to(self._device, torch.float32) for name, x in features.maps.items()}
        for start in range(0, len(prompts), PROMPTS_AT_ONCE):
            logits, predicted = self._call(features, maps, prompts[start : start + PROMPTS_AT_ONCE])
            yield from zip(logits, predicted.clone(), strict=True)

    def _call(
        self, features: ImageFeatures, maps: dict[str, Tensor], prompts: Sequence[ViewPrompts]
    ) -> tuple[Tensor, Tensor]:
        rows, columns = network_size(features.height, features.width, self.long_side)
        scale = torch.tensor([columns / features.width, rows / features.height], device=self._device)
        padded = (4 * maps["f4"].shape[-2], 4 * maps["f4"].shape[-1])
        n, most = len(prompts), max(1, *(len(prompt.labels) for prompt in prompts))
        points = torch.zeros(n, most, 2, device=self._device)
        labels = torch.full((n, most), -1, dtype=torch.long, device=self._device)
        box = torch.full((n, 4), torch.nan, device=self._device)
        previous = torch.zeros(n, padded[0] // 2, padded[1] // 2, device=self._device)
        for row, prompt in enumerate(prompts):
            count = len(prompt.labels)
            points[row, :count] = prompt.points.to(self._device, torch.float32) * scale
            labels[row, :count] = prompt.labels.to(self._device, torch.long)
            if prompt.box is not None:
                box[row] = prompt.box.to(self._device, torch.float32) * scale.repeat(2)
            if prompt.low_res_logits is not None:
                previous[row] = _limited(prompt.low_res_logits.to(self._device, torch.float32))
            elif prompt.mask_logits is not None:
                previous[row] = _fit_previous(prompt.mask_logits.to(self._device), (rows, columns), padded)
        expanded = {name: x.expand(n, -1, -1, -1) for name, x in maps.items()}
        logits, predicted, _ = self._network.decoder(expanded, points, labels, box, previous)
        return logits, predicted


def _check(prompt: ViewPrompts) -> None:
    if len(prompt.points) != len(prompt.labels):
        raise UserError(f"{len(prompt.points)} points came with {len(prompt.labels)} labels: one label a point")
    masks = [mask for mask in (prompt.mask_logits, prompt.low_res_logits) if mask is not None]
    if len(prompt.labels) == 0 and prompt.box is None and not masks:
        raise UserError("a prompt needs at least one point, a box or a mask")
    if len(masks) > 1:
        raise UserError("a prompt has one mask: mask_logits or low_res_logits, not both")
    if len(prompt.labels) and not bool(((prompt.labels == 0) | (prompt.labels == 1)).all()):
        raise UserError("a point's label is 1 (inside) or 0 (outside)")


def _fit_previous(
    mask_logits: Float[Tensor, "mh mw"], scaled: tuple[int, int], padded: tuple[int, int]
) -> Float[Tensor, "h2 w2"]:
    """A previous mask of the whole picture at the network's stride 2, padding outside; an empty one stays a mask."""
    limited = mask_logits[None, None].float().clamp(-PREVIOUS_LIMIT, PREVIOUS_LIMIT)
    resized = F.interpolate(limited, size=scaled, mode="bilinear", antialias=True)
    whole = F.pad(resized, (0, padded[1] - scaled[1], 0, padded[0] - scaled[0]), value=-PREVIOUS_LIMIT)
    return _limited(F.avg_pool2d(whole, 2)[0, 0])


def _limited(previous: Float[Tensor, "h2 w2"]) -> Float[Tensor, "h2 w2"]:
    """A previous mask as the decoder was trained with, and never all zero, which would mean that there is none."""
    return previous.clamp(-PREVIOUS_LIMIT, PREVIOUS_LIMIT) + 1e-6


def _fingerprint(network: MiniNetwork, long_side: int) -> str:
    digest = hashlib.sha256(json.dumps({"format": FORMAT_VERSION, "long_side": long_side}).encode())
    for name, weights in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(weights.detach().cpu().float().contiguous().numpy().tobytes())
    return f"mini-{digest.hexdigest()[:16]}"


def load_mini(device: torch.device, long_side: int = LONG_SIDE, weights: Path = WEIGHTS) -> MiniSegmenter:
    """The segmenter with the packaged weights (or another file of the same format)."""
    if not weights.is_file():
        raise UserError(f"the weights of the built-in segmenter are not at {weights}: reinstall sanerf")
    tensors, metadata = read_tensors(weights, "reinstall sanerf")
    version = metadata.get("format_version", "none")
    if version != str(FORMAT_VERSION):
        raise UserError(f"{weights} has format version {version}, this sanerf reads {FORMAT_VERSION}: update one")
    network = MiniNetwork()
    network.load_state_dict({name: value.float() for name, value in tensors.items()})
    return MiniSegmenter(network, device, long_side)
