"""The prompt decoder of `mini`: clicks, a box and a previous mask, with the picture's maps, to three masks.

Prompts enter twice, as in RITM (Sofiiuk et al., 2021) and SAM (Kirillov et al., 2023) together: as dense maps at every
stride (discs at the clicks, the box's inside, the previous mask) and as tokens that attend to the picture and it to
them. A third cue is the likeness of each pixel's embedding to that of each click. The masks are read at stride 2 from
a stride-4 map, two by two pixels at a time.

Frames: points and boxes in pixels of the network's input, pixel (0, 0) centred at (.5, .5). Labels are 1 inside,
0 outside, -1 for padding. A prompt without a box has `box` nan, one without a previous mask has `previous` all zero.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sanerf.segmenter.mini.network import CHANNELS, WideBlock, upsample
from sanerf.shapes import Float, Int

HYPOTHESES = 3
WIDTH = CHANNELS["f16"]
HEADS = 4
LIKENESS_GROUPS, LIKENESS_CHANNELS = 4, 16
DISC_RADII = (5.0, 40.0)
"""Standard deviations, in pixels, of the bumps at the clicks."""
SLOPE = 0.1
PROMPT_MAPS = 2 * len(DISC_RADII) + 4


def prompt_maps(
    points: Float[Tensor, "n clicks 2"],
    labels: Int[Tensor, "n clicks"],
    box: Float[Tensor, "n 4"],
    previous: Float[Tensor, "n ph pw"],
    stride: int,
    size: tuple[int, int],
) -> Float[Tensor, "n maps h w"]:
    """The prompts as pictures of `size` = (h, w) at `stride`.

    In order: bumps of each radius at the positive clicks, the same at the negative ones, the box's inside, whether
    there is a box, the previous mask in [-1, 1], whether there is one.
    """
    h, w = size
    x = (torch.arange(w, device=points.device, dtype=points.dtype) + 0.5) * stride
    y = (torch.arange(h, device=points.device, dtype=points.dtype) + 0.5) * stride
    dx2, dy2 = (x - points[..., :1]) ** 2, (y - points[..., 1:]) ** 2
    maps = []
    for label in (1, 0):
        there = (labels == label)[..., None, None].to(points.dtype)
        for radius in DISC_RADII:
            scale = -0.5 / radius**2
            bumps = torch.exp(scale * dy2)[..., :, None] * torch.exp(scale * dx2)[..., None, :]
            maps.append((bumps * there).amax(1))
    has_box = torch.isfinite(box).all(-1)
    x0, y0, x1, y1 = torch.nan_to_num(box)[:, :, None].unbind(1)
    inside_x = torch.sigmoid((x - x0) * 2 / stride) * torch.sigmoid((x1 - x) * 2 / stride)
    inside_y = torch.sigmoid((y - y0) * 2 / stride) * torch.sigmoid((y1 - y) * 2 / stride)
    flag = has_box.to(points.dtype)[:, None, None]
    maps += [inside_y[:, :, None] * inside_x[:, None, :] * flag, flag.expand(-1, h, w)]
    resized = F.interpolate(torch.tanh(previous / 3.0)[:, None], size=size, mode="bilinear", antialias=True)[:, 0]
    has_previous = (previous != 0).flatten(1).any(1).to(points.dtype)[:, None, None]
    maps += [resized, has_previous.expand(-1, h, w)]
    return torch.stack(maps, 1)


def sample_at(
    features: Float[Tensor, "n c h w"], points: Float[Tensor, "n clicks 2"], stride: int
) -> Float[Tensor, "n clicks c"]:
    """Bilinear look-up at points in pixels."""
    h, w = features.shape[-2:]
    grid = 2 * points / points.new_tensor([w * stride, h * stride]) - 1
    found = F.grid_sample(features, grid[:, None], mode="bilinear", padding_mode="border", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


def likeness(
    embedding: Float[Tensor, "n c h w"],
    points: Float[Tensor, "n clicks 2"],
    labels: Int[Tensor, "n clicks"],
    stride: int,
) -> Float[Tensor, "n maps h w"]:
    """Each pixel's greatest cosine with a positive click, then a negative one, in each channel group; 0 if none."""
    n, _, h, w = embedding.shape
    unit = F.normalize(embedding.view(n, LIKENESS_GROUPS, LIKENESS_CHANNELS, h * w), dim=2, eps=1e-4)
    at = sample_at(unit.view(n, -1, h, w), points, stride).view(n, -1, LIKENESS_GROUPS, LIKENESS_CHANNELS)
    cosine = torch.einsum("nkgc,ngcp->nkgp", F.normalize(at, dim=-1, eps=1e-4), unit)
    found = []
    for label in (1, 0):
        there = (labels == label)[..., None, None]
        best = cosine.masked_fill(~there, -2.0).amax(1)
        found.append(torch.where(best > -1.5, best, torch.zeros_like(best)))
    return torch.cat(found, 1).view(n, 2 * LIKENESS_GROUPS, h, w)


def position_code(where: Float[Tensor, "*batch 2"], size: tuple[int, int]) -> Float[Tensor, "*batch c"]:
    """Sines and cosines of positions in pixels, wavelengths from 8 pixels to 4096: `WIDTH` channels."""
    waves = WIDTH // 4
    rates = 2 * math.pi / torch.exp2(torch.linspace(3, 12, waves, device=where.device, dtype=where.dtype))
    angle = (where[..., None] * rates).flatten(-2)
    return torch.cat([angle.sin(), angle.cos()], -1)


class Attention(nn.Module):
    """Multi-head attention in a narrower space; `keep` marks the keys that count."""

    def __init__(self, inner: int):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, inner) for _ in range(3))
        self.out = nn.Linear(inner, WIDTH)

    def forward(
        self,
        query: Float[Tensor, "n q c"],
        key: Float[Tensor, "n k c"],
        value: Float[Tensor, "n k c"],
        keep: Tensor | None = None,
    ) -> Float[Tensor, "n q c"]:
        heads = [
            m(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for m, x in ((self.query, query), (self.key, key), (self.value, value))
        ]
        mask = None if keep is None else keep[:, None, None, :]
        mixed = F.scaled_dot_product_attention(*heads, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(-2))


class TwoWayLayer(nn.Module):
    """Tokens to themselves, tokens to picture, a perceptron, picture to tokens (SAM's layer), all pre-normed."""

    def __init__(self):
        super().__init__()
        self.among, self.look, self.tell = Attention(WIDTH), Attention(WIDTH // 2), Attention(WIDTH // 2)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(5))
        self.perceptron = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(
        self, tokens: Tensor, codes: Tensor, picture: Tensor, picture_codes: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor]:
        n1, n2, n3, n4, n5 = self.norms
        t = n1(tokens)
        tokens = tokens + self.among(t + codes, t + codes, t, keep)
        p = n2(picture)
        tokens = tokens + self.look(n3(tokens) + codes, p + picture_codes, p)
        tokens = tokens + self.perceptron(n4(tokens))
        t = n5(tokens)
        return tokens, picture + self.tell(p + picture_codes, t + codes, t, keep)


class PromptDecoder(nn.Module):
    """Maps and prompts (one row each) in; mask logits at stride 2, their predicted IoU and a coarse mask out."""

    def __init__(self):
        super().__init__()
        middle, fine, likes = CHANNELS["f8"], CHANNELS["f4"], 2 * LIKENESS_GROUPS
        self.embed = nn.Conv2d(middle, LIKENESS_GROUPS * LIKENESS_CHANNELS, 1)
        self.prompt16 = nn.Conv2d(PROMPT_MAPS + likes, WIDTH, 3, padding=1)
        self.answers = nn.Parameter(0.02 * torch.randn(1 + HYPOTHESES, WIDTH))
        self.kinds = nn.Parameter(0.02 * torch.randn(5, WIDTH))
        self.click_content = nn.Linear(WIDTH + middle, WIDTH)
        self.mask_content = nn.Linear(WIDTH, WIDTH)
        self.layers = nn.ModuleList(TwoWayLayer() for _ in range(2))
        self.mix16 = nn.ModuleList(WideBlock(WIDTH, 7, 2) for _ in range(2))
        self.down8 = nn.Conv2d(WIDTH, middle, 1)
        self.prompt8 = nn.Conv2d(PROMPT_MAPS + likes, middle, 3, padding=1)
        self.mix8 = nn.ModuleList(WideBlock(middle, 5, 2) for _ in range(2))
        self.coarse = nn.Conv2d(middle, HYPOTHESES, 1)
        self.down4 = nn.Conv2d(middle, fine, 1)
        self.prompt4 = nn.Conv2d(PROMPT_MAPS, fine, 3, padding=1)
        self.mix4 = nn.Conv2d(fine, fine, 3, padding=1)
        self.masks = nn.Conv2d(fine, 4 * HYPOTHESES, 3, padding=1)
        self.hyper = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, fine))
        self.iou = nn.Sequential(nn.Linear(2 * WIDTH + 2 * fine + 2, WIDTH), nn.GELU(), nn.Linear(WIDTH, 1))

    def _tokens(self, f16, f8, points, labels, box, previous) -> tuple[Tensor, Tensor, Tensor]:
        """Answer tokens, clicks, box corners and the previous mask's mean feature: content, position, which count."""
        n, size = len(points), (f16.shape[-2] * 16, f16.shape[-1] * 16)
        content = self.click_content(torch.cat([sample_at(f16, points, 16), sample_at(f8, points, 8)], -1))
        clicks = content + self.kinds[:2][labels.clamp(min=0)]
        corners = torch.nan_to_num(box).view(n, 2, 2)
        has_box = torch.isfinite(box).all(-1, keepdim=True).expand(-1, 2)
        inside = F.interpolate(torch.sigmoid(previous)[:, None], size=f16.shape[-2:], mode="bilinear", antialias=True)
        mean = (f16 * inside).sum((2, 3)) / (inside.sum((2, 3)) + 1e-3)
        has_previous = (previous != 0).flatten(1).any(1, keepdim=True)
        memory = (self.mask_content(mean) + self.kinds[4])[:, None]
        tokens = torch.cat([self.answers.expand(n, -1, -1), clicks, self.kinds[2:4].expand(n, -1, -1), memory], 1)
        where = torch.cat([position_code(points, size), position_code(corners, size)], 1)
        codes = torch.cat([where.new_zeros(n, 1 + HYPOTHESES, WIDTH), where, where.new_zeros(n, 1, WIDTH)], 1)
        keep = torch.cat([labels.new_ones(n, 1 + HYPOTHESES).bool(), labels >= 0, has_box, has_previous], 1)
        return tokens, codes, keep

    def forward(
        self,
        maps: dict[str, Tensor],
        points: Float[Tensor, "n clicks 2"],
        labels: Int[Tensor, "n clicks"],
        box: Float[Tensor, "n 4"],
        previous: Float[Tensor, "n ph pw"],
    ) -> tuple[Float[Tensor, "n hypotheses h2 w2"], Float[Tensor, "n hypotheses"], Float[Tensor, "n hypotheses h8 w8"]]:
        """`maps` have one row a prompt."""
        f16, f8, f4 = maps["f16"], maps["f8"], maps["f4"]
        like = likeness(self.embed(f8), points, labels, 8)
        at16, at8, at4 = (
            prompt_maps(points, labels, box, previous, s, (m.shape[-2], m.shape[-1]))
            for s, m in ((16, f16), (8, f8), (4, f4))
        )
        x16 = f16 + self.prompt16(torch.cat([at16, F.max_pool2d(like, 2)], 1))
        tokens, codes, keep = self._tokens(f16, f8, points, labels, box, previous)
        h, w = f16.shape[-2:]
        ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        centres = (torch.stack([xs, ys], -1).to(points) + 0.5) * 16
        picture_codes = position_code(centres.view(-1, 2), (h, w))
        for layer, mix in zip(self.layers, self.mix16, strict=True):
            tokens, flat = layer(tokens, codes, x16.flatten(2).transpose(1, 2), picture_codes, keep)
            x16 = mix(flat.transpose(1, 2).unflatten(2, (h, w)))
        x8 = F.leaky_relu(upsample(self.down8(x16)) + f8 + self.prompt8(torch.cat([like, at8], 1)), SLOPE)
        for mix in self.mix8:
            x8 = mix(x8)
        x4 = F.leaky_relu(upsample(self.down4(x8)) + f4 + self.prompt4(at4), SLOPE)
        x4 = x4 + F.leaky_relu(self.mix4(x4), SLOPE)
        offsets = torch.einsum("nkc,nchw->nkhw", self.hyper(tokens[:, 1 : 1 + HYPOTHESES]), x4)
        coarse = self.coarse(x8)
        logits = F.pixel_shuffle(self.masks(x4) + offsets.repeat_interleave(4, 1), 2) + upsample(coarse, 4)
        return logits, self._predict_iou(tokens, x4, logits), coarse

    def _predict_iou(self, tokens: Tensor, x4: Tensor, logits: Tensor) -> Float[Tensor, "n hypotheses"]:
        """From the answer tokens, each mask's mean feature inside and on its doubtful rim, and how much is doubtful."""
        inside = torch.sigmoid(F.avg_pool2d(logits.detach(), 2)).flatten(2)
        rim = 4 * inside * (1 - inside)
        flat = x4.detach().flatten(2).transpose(1, 2)
        area, doubt = inside.sum(-1, keepdim=True), rim.sum(-1, keepdim=True)
        means = [inside @ flat / (area + 1e-2), rim @ flat / (doubt + 1e-2)]
        sizes = [torch.log1p(area) / 5, doubt / (area + doubt + 1e-2)]
        everyone = tokens[:, :1].expand(-1, HYPOTHESES, -1)
        features = torch.cat([everyone, tokens[:, 1 : 1 + HYPOTHESES], *means, *sizes], -1)
        return torch.sigmoid(self.iou(features)[..., 0])
