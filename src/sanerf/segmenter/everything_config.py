"""What `everything` asks a segmenter, and which of the answers it keeps."""

from dataclasses import dataclass

from sanerf.errors import UserError
from sanerf.segmenter.mask_sets import Overlap
from sanerf.segmenter.protocol import Segmenter

MOST_LAYERS = 4
"""Of windows: the last has 256."""
MOST_POINTS = 1024
"""Along a side: a million clicks."""


@dataclass(frozen=True)
class EverythingConfig:
    """Which clicks are asked and which masks stay. The defaults are those of SAM's authors, but for `overlap`."""

    points: int = 32
    """clicks along each side of the grid"""
    layers: int = 0
    """layers of windows: 1 looks at 4 parts of the picture too, 2 at 16 more"""
    window_overlap: float = 512 / 1500
    """what the windows of the first layer share, of the picture's shorter side"""
    window_margin: float = 0.02
    """masks that come so near to a window's inner edge, in parts of its longer side, are left to its neighbour"""
    points_divisor: float = 2.0
    """each layer's grid has so many times fewer clicks along a side than the one before"""
    predicted_iou: float = 0.88
    """masks must have more of it"""
    stability: float = 0.95
    """masks must have as much of it, or more"""
    stability_offset: float = 1.0
    """the logit, above and below 0, of the stability score"""
    duplicate_iou: float = 0.7
    """of two masks with a higher IoU the one of lower predicted IoU goes"""
    overlap: Overlap = "mask"
    """IoU of the pixels or of the boxes; crossing wires have one box and are two things"""
    least_share: float = 1e-4
    """the smallest mask, and the smallest island or hole in one, in parts of the picture's area"""
    prompts_a_call: int = 64
    """clicks that go to the decoder together, fewer where their masks would take more than 256 MiB"""

    def __post_init__(self) -> None:
        if not 1 <= self.points <= MOST_POINTS or self.prompts_a_call < 1:
            raise UserError(
                f"a grid of {self.points} points along a side, {self.prompts_a_call} a call; expected 1 to "
                f"{MOST_POINTS}, and 1 or more"
            )
        if not 0 <= self.layers <= MOST_LAYERS:
            raise UserError(f"{self.layers} layers of windows; expected 0 to {MOST_LAYERS}")
        shares = ("window_overlap", "window_margin", "predicted_iou", "stability", "duplicate_iou", "least_share")
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; expected 0 to 1")
        if self.points_divisor < 1 or self.stability_offset < 0:
            raise UserError(
                f"points_divisor is {self.points_divisor} and stability_offset {self.stability_offset}; expected at "
                "least 1 and 0"
            )

    def grid_side(self, layer: int) -> int:
        """Clicks along a side of the grid in each window of a layer, the whole picture's being layer 0."""
        return max(1, int(self.points / self.points_divisor**layer))

    @property
    def clicks(self) -> int:
        """Clicks in a picture, all windows together."""
        return sum(4**layer * self.grid_side(layer) ** 2 for layer in range(self.layers + 1))


PRESETS = {
    "mini": EverythingConfig(
        points=16, predicted_iou=0.5, stability=0.5, stability_offset=0.5, least_share=5e-4, prompts_a_call=16
    ),
    "sam": EverythingConfig(),
    "sam-hq": EverythingConfig(),
    "sam2": EverythingConfig(predicted_iou=0.8),
}
"""By the segmenter's name. `mini`'s were measured (docs/segmenters.md), the others are their authors'."""


def preset(segmenter: Segmenter) -> EverythingConfig:
    """What suits a segmenter: its family's, or else the defaults."""
    return PRESETS.get(segmenter.name, EverythingConfig())
