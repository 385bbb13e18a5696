"""The simulated users of `sanerf bench clicks`: given an answer in all views, in which of them the next click goes.

Those that know the truth click on the views' lattices, where the answer is scored, and on what the radiance field takes
for solid: `sanerf segment` refuses a click on empty space. The label is always the truth's, as a user would answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from sanerf.aggregate.ray_bank import PixelLattice
from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.suggest import InsideClicks, suggest_click
from sanerf.aggregate.view_masks import ViewMasks
from sanerf.errors import UserError
from sanerf.evaluation.clicking import Click, next_click
from sanerf.geometry.cameras import Camera
from sanerf.shapes import Bool


@dataclass(frozen=True)
class ViewClick:
    """A click in a view, in pixels (x, y) of the run's camera; label 1 is object."""

    view: int
    x: float
    y: float
    label: int


@dataclass(frozen=True)
class Situation:
    """One object's answer, after the clicks in `clicked`, and the truth.

    `truth` is of whole pictures at the run's resolution, `solid` of the views' lattices; both by view, for the views
    that may be clicked. The object is the only one, identity 1 in `rendered`. `inside` finds the clicks inside it.
    """

    name: str
    truth: dict[int, Bool[torch.Tensor, "h w"]]
    solid: dict[int, Bool[torch.Tensor, "rows columns"]]
    rendered: dict[int, RenderedIdentities]
    masks: ViewMasks
    cameras: dict[int, Camera]
    clicked: Sequence[ViewClick]
    inside: Callable[[], InsideClicks]

    def shown(self, view: int) -> Bool[torch.Tensor, "rows columns"]:
        """The answer's mask on a view's lattice."""
        return shown_mask(self.rendered[view])

    def wrong(self) -> dict[int, Bool[torch.Tensor, "rows columns"]]:
        """What is wrong on each view's lattice, is solid, and was not clicked."""
        out = {}
        for view, truth in self.truth.items():
            lattice = self.rendered[view].lattice
            wrong = (lattice.pick(truth) != self.shown(view)) & self.solid[view]
            for cell in lattice_clicks(lattice, view, self.clicked):
                wrong[int(cell.y), int(cell.x)] = False
            out[view] = wrong
        return out


Clicker = Callable[[Situation, torch.Generator], ViewClick | None]
"""The next click, or None where there is nothing left to click."""


def shown_mask(rendered: RenderedIdentities) -> Bool[torch.Tensor, "rows columns"]:
    """Where the only object of an answer is the likeliest identity."""
    return rendered.probability.argmax(dim=-1) == 1


def robot_click(now: Situation, generator: torch.Generator) -> ViewClick | None:
    """The standard robot clicker over views: in the view with the most wrong pixels, the first of equals, the click of
    `clicking.next_click`. Nothing is left to chance."""
    wrong = now.wrong()
    for view in sorted(wrong, key=lambda view: -int(wrong[view].sum())):
        lattice, shown = now.rendered[view].lattice, now.shown(view)
        truth = torch.where(now.solid[view], lattice.pick(now.truth[view]), shown)
        found = next_click(truth.numpy(), shown.numpy(), lattice_clicks(lattice, view, now.clicked))
        if found is not None:
            return _on_picture(lattice, view, int(found.y), int(found.x), found.label)
    return None


def random_click(now: Situation, generator: torch.Generator) -> ViewClick | None:
    """A pixel of all that is wrong in all views, each as likely as the other."""
    places = [(view, row, column) for view, wrong in now.wrong().items() for row, column in wrong.nonzero().tolist()]
    if not places:
        return None
    view, row, column = places[int(torch.randint(len(places), (1,), generator=generator))]
    lattice = now.rendered[view].lattice
    return _on_picture(lattice, view, row, column, int(lattice.pick(now.truth[view])[row, column]))


def suggested_click(now: Situation, generator: torch.Generator) -> ViewClick | None:
    """Where `aggregate.suggest` expects a click to mend most, which knows no truth; the label is what is there, be the
    answer right about it or wrong."""
    clicked = [(click.view, click.x, click.y) for click in now.clicked]
    cameras = {view: now.cameras[view] for view in now.truth}
    found = suggest_click(
        now.rendered, now.masks, index=1, name=now.name, cameras=cameras, clicked=clicked, inside=now.inside()
    )
    if found is None:
        return None
    return ViewClick(found.view, found.x, found.y, int(now.truth[found.view][int(found.y), int(found.x)]))


CLICKERS: dict[str, Clicker] = {"robot": robot_click, "suggested": suggested_click, "random": random_click}
"""By the name that `--clickers` knows them by; the order of the tables."""
BY_CHANCE = ("random",)
"""Those of which several seeds tell more than one."""


def chosen_clickers(names: Sequence[str]) -> list[str]:
    """The names of clickers, each once. UserError for one that there is not, and for none."""
    for name in names:
        if name not in CLICKERS:
            raise UserError(f"there is no clicker {name!r}; there are {', '.join(CLICKERS)}")
    if not names:
        raise UserError(f"there is no clicker to measure; there are {', '.join(CLICKERS)}")
    return list(dict.fromkeys(names))


def lattice_clicks(lattice: PixelLattice, view: int, clicked: Sequence[ViewClick]) -> list[Click]:
    """The clicks on a view's lattice as clicks on a picture of the lattice's pixels alone."""
    out = []
    for click in clicked:
        row, row_off = divmod(int(click.y) - lattice.first_row, lattice.stride)
        column, column_off = divmod(int(click.x) - lattice.first_column, lattice.stride)
        inside = 0 <= row < lattice.rows and 0 <= column < lattice.columns
        if click.view == view and inside and row_off == column_off == 0:
            out.append(Click(column + 0.5, row + 0.5, click.label))
    return out


def _on_picture(lattice: PixelLattice, view: int, row: int, column: int, label: int) -> ViewClick:
    x = lattice.first_column + column * lattice.stride + 0.5
    y = lattice.first_row + row * lattice.stride + 0.5
    return ViewClick(view, x, y, label)
