"""Which of an object's clicks speak in which view.

A click inside the object is inside it from wherever it is seen. One outside is mostly set at the object's edge, and
what lies under such a pixel is the object as often as what is behind it: in other views it would fall on the object and
spoil masks that were good. It is heard there only where it lies deep in what is shown of the object, or far from it.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from sanerf.geometry.cameras import Camera, project
from sanerf.prompts.lift import IN_SPACE, LiftedPrompts
from sanerf.segmenter.regions import edge_distance
from sanerf.shapes import Bool

CLEARANCE = 0.01
"""What is nearer to an edge, or to a click outside of the object, than this share of the picture's diagonal is not sure
to be on the side that it seems to be on."""


def said_in(lifted: LiftedPrompts, view: int, far: Bool[torch.Tensor, "points"]) -> LiftedPrompts:
    """What of an object's prompts is said in a view: its own points, those given in space, and those of other views
    that are `far`-reaching."""
    said = far | torch.tensor([own in (view, IN_SPACE) for own in lifted.views], dtype=torch.bool)
    views = tuple(own for own, kept in zip(lifted.views, said.tolist(), strict=True) if kept)
    return replace(lifted, p_world=lifted.p_world[said], labels=lifted.labels[said], views=views)


def far_reaching(
    lifted: LiftedPrompts, cameras: dict[int, Camera], shown_in: Callable[[int], Bool[torch.Tensor, "h w"]]
) -> Bool[torch.Tensor, "points"]:
    """Which points speak in other views, too: all that are inside the object, and of those outside the ones that are
    farther than `CLEARANCE` from the edge of what `shown_in(view)` shows of it in the view they were clicked in, and
    those of views that `cameras` lack.
    """
    far = lifted.labels == 1
    for view in dict.fromkeys(lifted.views):
        outside = [point for point, own in enumerate(lifted.views) if own == view and not far[point]]
        if not outside or view == IN_SPACE:
            continue
        if view not in cameras:
            far[outside] = True
            continue
        shown = shown_in(view).numpy()
        # Of pixels inside how far the outside is, of pixels outside how far the inside.
        depth = edge_distance(shown) + edge_distance(~shown)
        xy, _ = project(cameras[view], lifted.p_world[outside])
        for point, (x, y) in zip(outside, xy.tolist(), strict=True):
            # A click on the picture's last edge may come back a hair beyond it.
            column, row = min(int(x), cameras[view].width - 1), min(int(y), cameras[view].height - 1)
            far[point] = float(depth[row, column]) > CLEARANCE * math.hypot(*shown.shape)
    return far
