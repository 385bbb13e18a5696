"""Simulated users over views: where each of them clicks on small answers whose errors are known."""

import dataclasses
from collections import Counter

import pytest
import torch

from sanerf.aggregate.ray_bank import PixelLattice
from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.suggest import InsideClicks
from sanerf.aggregate.view_masks import ViewMask
from sanerf.errors import UserError
from sanerf.evaluation.clicks_users import (
    Situation,
    ViewClick,
    chosen_clickers,
    lattice_clicks,
    random_click,
    robot_click,
    suggested_click,
)
from sanerf.geometry.cameras import Camera

HEIGHT, WIDTH, STRIDE = 21, 31, 3
ROWS, COLUMNS = 7, 10
LATTICES = {3: PixelLattice(0, ROWS, COLUMNS, 1, 2, STRIDE), 8: PixelLattice(70, ROWS, COLUMNS, 0, 1, STRIDE)}
NOTHING = torch.zeros(ROWS, COLUMNS, dtype=torch.bool)


def picture(view: int, cells: torch.Tensor) -> torch.Tensor:
    """A whole picture that is true only at the lattice's own pixels: what lies between them must not be read."""
    out, lattice = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool), LATTICES[view]
    out[lattice.first_row :: STRIDE, lattice.first_column :: STRIDE] = cells
    return out


def situation(truth: dict, shown: dict, clicked=(), solid=None) -> Situation:
    """Answers that are sure of what they show, by view; whatever is not given is empty, and everything is solid."""
    rendered = {}
    for view, lattice in LATTICES.items():
        share = shown.get(view, NOTHING).float() * 0.98 + 0.01
        rendered[view] = RenderedIdentities(lattice, torch.stack([1 - share, share], dim=-1))
    pose = torch.eye(4, dtype=torch.float64)
    return Situation(
        name="cup",
        truth={view: picture(view, truth.get(view, NOTHING)) for view in LATTICES},
        solid={view: (solid or {}).get(view, ~NOTHING) for view in LATTICES},
        rendered=rendered,
        masks={},
        inside=InsideClicks,
        cameras={view: Camera(WIDTH, HEIGHT, 30.0, 30.0, WIDTH / 2, HEIGHT / 2, pose) for view in LATTICES},
        clicked=clicked,
    )


def cells(rows: slice, columns: slice) -> torch.Tensor:
    out = NOTHING.clone()
    out[rows, columns] = True
    return out


CHANCE = torch.Generator()


def test_the_robot_clicks_deepest_in_the_view_with_most_wrong():
    missing, extra = cells(slice(1, 6), slice(2, 7)), cells(slice(0, 2), slice(0, 3))
    now = situation(truth={8: missing}, shown={3: extra})
    # 25 pixels are missing in view 8, 6 too many in view 3; the middle of the 5 x 5 is row 3, column 4.
    assert robot_click(now, CHANCE) == ViewClick(8, 1 + 4 * STRIDE + 0.5, 0 + 3 * STRIDE + 0.5, 1)
    # Where the larger error is the superfluous one, the label is 0.
    now = situation(truth={3: extra}, shown={8: missing})
    assert robot_click(now, CHANCE) == ViewClick(8, 1 + 4 * STRIDE + 0.5, 0 + 3 * STRIDE + 0.5, 0)


def test_the_robot_takes_the_next_view_once_all_that_is_wrong_was_clicked_and_ends_with_nothing_wrong():
    one = cells(slice(2, 3), slice(5, 6))
    here = ViewClick(3, 2 + 5 * STRIDE + 0.5, 1 + 2 * STRIDE + 0.5, 1)
    assert robot_click(situation({3: one}, {}), CHANCE) == here
    assert robot_click(situation({3: one}, {}, clicked=[here]), CHANCE) is None
    both = situation({3: one, 8: one}, {}, clicked=[here])
    found = robot_click(both, CHANCE)
    assert found is not None and found.view == 8
    assert robot_click(situation({3: one}, {3: one}), CHANCE) is None


def test_nobody_clicks_on_empty_space():
    missing = cells(slice(1, 6), slice(2, 7))
    half = cells(slice(0, ROWS), slice(0, 4))
    now = situation({8: missing}, {}, solid={8: half})
    # Columns 2 and 3 are left of it, all equally deep from row 2 to 4: the first in row-major order.
    assert robot_click(now, CHANCE) == ViewClick(8, 1 + 2 * STRIDE + 0.5, 1 * STRIDE + 0.5, 1)
    generator = torch.Generator().manual_seed(1)
    drawn = [random_click(now, generator) for _ in range(40)]
    assert {(click.x - 1.5) // STRIDE for click in drawn if click is not None} == {2.0, 3.0}
    assert random_click(situation({8: missing}, {}, solid={8: NOTHING}), generator) is None


def test_a_random_click_is_anywhere_in_what_is_wrong_and_says_what_is_there():
    missing, extra = cells(slice(1, 3), slice(2, 4)), cells(slice(4, 5), slice(0, 2))
    now = situation(truth={8: missing}, shown={3: extra})
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(random_click(now, generator) for _ in range(600))
    expected = {ViewClick(8, 1.5 + STRIDE * c, 0.5 + STRIDE * r, 1) for r in (1, 2) for c in (2, 3)}
    expected |= {ViewClick(3, 2.5 + STRIDE * c, 1.5 + STRIDE * 4, 0) for c in (0, 1)}
    assert set(drawn) == expected
    # Six places, a hundred each; five standard deviations of a binomial are 46.
    assert all(54 <= count <= 146 for count in drawn.values())


def test_a_suggestion_is_answered_by_the_truth():
    missing = cells(slice(1, 6), slice(2, 7))
    now = situation(truth={8: missing}, shown={})
    unsure = now.rendered[8].probability.clone()
    unsure[missing] = torch.tensor([0.6, 0.4])
    rendered = {**now.rendered, 8: RenderedIdentities(LATTICES[8], unsure)}
    solid_truth = {**now.truth, 8: torch.ones(HEIGHT, WIDTH, dtype=torch.bool)}
    now = dataclasses.replace(
        now, rendered=rendered, truth=solid_truth, masks={8: {"cup": ViewMask(torch.zeros(HEIGHT, WIDTH), 0.9)}}
    )
    found = suggested_click(now, CHANCE)
    assert found is not None and found.view == 8 and found.label == 1
    # Within the doubtful cells, of which the outermost centres are 2 and 6 columns, 1 and 5 rows.
    assert 1 + 2 * STRIDE <= found.x <= 2 + 6 * STRIDE and STRIDE <= found.y <= 1 + 5 * STRIDE


def test_clicks_between_the_lattices_pixels_are_of_no_cell():
    lattice = LATTICES[3]
    on, between = ViewClick(3, 2 + STRIDE + 0.5, 1.5, 0), ViewClick(3, 3 + STRIDE + 0.5, 1.5, 0)
    before = ViewClick(3, 2 - STRIDE + 0.5, 1.5, 0)
    (found,) = lattice_clicks(lattice, 3, [on, between, before, dataclasses.replace(on, view=8)])
    assert (found.x, found.y, found.label) == (1.5, 0.5, 0)


def test_clickers_by_name():
    assert chosen_clickers(["random", "robot", "random"]) == ["random", "robot"]
    with pytest.raises(UserError, match="there is no clicker 'me'; there are robot, suggested, random"):
        chosen_clickers(["me"])
    with pytest.raises(UserError, match="there is no clicker to measure"):
        chosen_clickers([])
