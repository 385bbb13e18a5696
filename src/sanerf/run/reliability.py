"""How much each part of each training view is believed: less where it is blurred, or shows what the others do not.

A view that is blurred next to its neighbours (`data.sharpness`) would teach the field its blur, and counts less as a
whole. Somebody who walks through some of the views leaves errors there that no field explains: each view is divided
into cells, and a cell whose colour errors, smoothed with its neighbours', stand out against what is usual counts less
(the idea of RobustNeRF, Sabour et al. 2023; with remembered errors in place of those of patches). It goes on being
looked at, and counts again when its errors go.

What is usual is the error up to which the cells hold half of the sum of all errors: empty background has no part in it,
and passers-by only once they make half of all that is wrong; in a view that is worse than the others all over, its own
median. So sharp texture, whose errors are larger everywhere, keeps its weight.
"""

import torch
from torch import Tensor, nn

from sanerf.data.pixels import PixelBank
from sanerf.data.sharpness import BLUR_SHARE
from sanerf.run.config import TrainingConfig
from sanerf.run.parallel import ALONE, Ranks
from sanerf.shapes import Float, Int64

MOST_CELLS = 2**18
CELL_SIDE = 8
"""Pixels."""
STEPS_BETWEEN_WEIGHTS = 100
"""After so many steps weights are made anew."""
ERROR_DECAY = 0.8
"""What remains of a cell's errors then: an average over about 500 steps."""
_PRIOR_RAYS = 4.0


class Reliability(nn.Module):
    """Weights of the pixels of the training views, and the errors that they come from.

    A cell is `side` pixels square: 8, or as many as keep all views' cells below `MOST_CELLS`.
    """

    error: Tensor
    rays: Tensor
    cell_weight: Tensor
    view_weight: Tensor

    def __init__(self, bank: PixelBank, config: TrainingConfig):
        super().__init__()
        self.config = config
        views = len(bank.sizes)
        height, width = (int(side) for side in bank.sizes.amax(dim=0))
        assert views <= MOST_CELLS, views
        self.side = CELL_SIDE
        while views * -(-height // self.side) * -(-width // self.side) > MOST_CELLS:
            self.side += 1
        cells = (views, -(-height // self.side), -(-width // self.side))
        self.register_buffer("error", torch.zeros(cells))
        self.register_buffer("rays", torch.zeros(cells))
        self.register_buffer("cell_weight", torch.ones(cells))
        self.register_buffer("view_weight", blur_weights(bank.sharpness.cpu(), config.blurred_weight), persistent=False)

    def cells(
        self, bank: PixelBank, pixels: Int64[Tensor, "rays"], view: Int64[Tensor, "rays"]
    ) -> Int64[Tensor, "rays"]:
        """The flat indices of the cells that pixels of the bank lie in."""
        place, width = bank.place_of(pixels, view), bank.sizes[view, 1]
        row, column = place // width // self.side, place % width // self.side
        _, rows, columns = self.error.shape
        return (view * rows + row) * columns + column

    def weights(self, cells: Int64[Tensor, "rays"], view: Int64[Tensor, "rays"]) -> Float[Tensor, "rays"]:
        """What to multiply the losses of rays with, in [0, 1]."""
        return self.view_weight[view] * self.cell_weight.view(-1)[cells]

    def remember_errors(
        self, cells: Int64[Tensor, "rays"], squared_errors: Float[Tensor, "rays"], *, step: int, ranks: Ranks = ALONE
    ) -> None:
        """Remember the mean squared colour errors of step `step`'s rays; now and then make weights of them.

        Each of `ranks` gives those of its own rays, and all remember all. Sums on CUDA depend on the order in which its
        threads come, so what is made of them is taken from the first process.
        """
        if not self.config.transients:
            return
        cells, squared_errors = ranks.gather(cells), ranks.gather(squared_errors)
        self.error.view(-1).index_add_(0, cells, squared_errors.sqrt())
        self.rays.view(-1).index_add_(0, cells, torch.ones_like(squared_errors))
        if (step + 1) % STEPS_BETWEEN_WEIGHTS == 0:
            if step + 1 >= self.config.transient_delay:
                self.cell_weight.copy_(cell_weights(self.error, self.rays, self.config.transient_error))
            self.error *= ERROR_DECAY
            self.rays *= ERROR_DECAY
            ranks.take_from_first(self.error, self.cell_weight)


def blur_weights(sharpness: Float[Tensor, "views"], least: float) -> Float[Tensor, "views"]:
    """One for views with at least `BLUR_SHARE` of their neighbours' sharpness, then its square, not below `least`."""
    return (sharpness / BLUR_SHARE).clamp(max=1.0).square().clamp(min=least)


def cell_weights(
    error: Float[Tensor, "views rows columns"], rays: Float[Tensor, "views rows columns"], usual_times: float
) -> Float[Tensor, "views rows columns"]:
    """Weights from sums of errors and numbers of rays: one up to `usual_times` the usual error, then falling with its
    eighth power: a cell five times as wrong as others has lost its say, and one of a fine texture hardly any."""
    smooth_error, smooth_rays = _around(error), _around(rays)
    prior = _PRIOR_RAYS * error.sum() / rays.sum().clamp(min=1.0)
    mean = (smooth_error + prior) / (smooth_rays + _PRIOR_RAYS)
    seen = rays > 0
    ordered, order = mean[seen].sort()
    below = error[seen][order].cumsum(0)
    if not float(below[-1:].sum()) > 0:
        return torch.ones_like(error)
    usual = ordered[torch.searchsorted(below, below[-1:] / 2)]
    of_view = torch.where(seen, mean, torch.nan).flatten(1).nanmedian(dim=1).values.nan_to_num()
    bound = usual_times * torch.maximum(usual, of_view)[:, None, None]
    return (bound / mean).clamp(max=1.0).pow(8)


def _around(cells: Float[Tensor, "views rows columns"]) -> Float[Tensor, "views rows columns"]:
    """Sums over each cell and its neighbours."""
    return 9 * torch.nn.functional.avg_pool2d(cells[:, None], 3, stride=1, padding=1)[:, 0]
