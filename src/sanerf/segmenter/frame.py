"""Where a picture's feature maps lie, for whoever wants features of a place without encoding a picture there."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sanerf.segmenter.protocol import Segmenter
from sanerf.shapes import Float, Int64


@dataclass(frozen=True)
class MapFrame:
    """The area that all maps of one picture cover, from the picture's upper left corner, in its pixels.

    Beyond the picture's own `picture_height` and `picture_width` the maps show padding. `sizes` are each map's rows and
    columns, which divide the area evenly.
    """

    height: float
    width: float
    picture_height: int
    picture_width: int
    sizes: dict[str, tuple[int, int]]

    def cells(self, name: str, xy: Float[Tensor, "points 2"]) -> Int64[Tensor, "points"]:
        """The row-major cell of a map that each pixel (x, y) of the picture lies in."""
        rows, columns = self.sizes[name]
        column = (xy[:, 0] * (columns / self.width)).long().clamp(0, columns - 1)
        row = (xy[:, 1] * (rows / self.height)).long().clamp(0, rows - 1)
        return row * columns + column

    def centres(self, rows: int, columns: int) -> tuple[Float[Tensor, "points 2"], Int64[Tensor, "points"]]:
        """Centres (x, y) of `rows` x `columns` parts of the area, row-major, those that lie on the picture, and which
        parts they are."""
        y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
        xy = torch.stack([x * (self.width / columns), y * (self.height / rows)], dim=-1).reshape(-1, 2)
        part = ((xy[:, 0] < self.picture_width) & (xy[:, 1] < self.picture_height)).nonzero()[:, 0]
        return xy[part], part


@runtime_checkable
class DistillableSegmenter(Segmenter, Protocol):
    """A segmenter whose maps a feature field can learn: each is (channels, rows, columns) over one area."""

    def map_frame(self, height: int, width: int) -> MapFrame:
        """Where the maps of a picture of that size lie. UserError where the decoder needs what no field can learn."""
        ...
