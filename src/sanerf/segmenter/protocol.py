"""What every 2D segmenter can do: encode a picture once, decode prompts many times (paper, section 3.1 and Eq. 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from sanerf.shapes import Float, Int, UInt8


@dataclass(frozen=True)
class ImageFeatures:
    """What one encode leaves behind for one picture; the feature cache stores exactly this.

    `maps` are the segmenter's own named tensors (any shapes, floating point). `height` and `width` are the encoded
    picture's: prompts and masks are in its pixels.
    """

    maps: dict[str, Tensor]
    height: int
    width: int


@dataclass(frozen=True)
class ViewPrompts:
    """The prompts of one object in one view, in pixels (x, y) of the encoded picture, pixel (0, 0) centred at (.5, .5).

    `labels` are 1 inside, 0 outside. `box` is (x0, y0, x1, y1). A mask comes in one of two forms: `mask_logits` is one
    of the whole picture at any resolution, from anywhere; `low_res_logits` is `MaskHypotheses.low_res_logits` of the
    same segmenter and picture, which goes back as it came. At least one point, a box or a mask must be there.
    """

    points: Float[Tensor, "clicks 2"]
    labels: Int[Tensor, "clicks"]
    box: Float[Tensor, "4"] | None = None
    mask_logits: Float[Tensor, "mh mw"] | None = None
    low_res_logits: Float[Tensor, "ph pw"] | None = None


@dataclass(frozen=True)
class MaskHypotheses:
    """A decoder's answers to one `ViewPrompts`, at the encoded picture's resolution; a logit above 0 is object.

    `low_res_logits` are the same masks as the decoder itself takes them back, in its own frame (SAM's quarter of the
    input frame, `mini`'s stride 2); None where a segmenter gives none.
    """

    mask_logits: Float[Tensor, "hypotheses h w"]
    predicted_iou: Float[Tensor, "hypotheses"]
    low_res_logits: Float[Tensor, "hypotheses ph pw"] | None = None


@runtime_checkable
class Segmenter(Protocol):
    """A promptable segmenter. `fingerprint` changes whenever the features would: it keys the cache."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def encode(self, image: UInt8[Tensor, "h w 3"]) -> ImageFeatures:
        """Features of one sRGB picture."""
        ...

    def decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """One answer a prompt, in order; pure: no state from one call to the next."""
        ...


@runtime_checkable
class SmallMaskSegmenter(Segmenter, Protocol):
    """A segmenter that also gives its masks as its network leaves them, before they are enlarged to the picture.

    For whoever asks for far more masks than will be kept: on a picture of a megapixel enlarging takes `mini` as long as
    everything else in the decoder.
    """

    def decode_small(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        """As `decode`, with masks at the network's own resolution, which cover the whole picture and no padding."""
        ...
