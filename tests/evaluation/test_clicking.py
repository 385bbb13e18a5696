"""Clicks on figures whose deepest point is known, and against a search through all pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sanerf.evaluation.clicking import Click, deepest, next_click, tight_box


def disc(height: int, width: int, row: int, column: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (y - row) ** 2 + (x - column) ** 2 < radius**2


def square(top: int, left: int, side: int, shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    out = np.zeros(shape, bool)
    out[top : top + side, left : left + side] = True
    return out


def nothing(of: np.ndarray) -> np.ndarray:
    return np.zeros_like(of)


def test_the_first_click_on_a_disc_is_its_centre():
    truth = disc(50, 70, row=21, column=40, radius=15.5)
    assert next_click(truth, nothing(truth)) == Click(40.5, 21.5, 1)


def test_the_pictures_border_is_an_edge_and_the_first_of_equals_is_taken():
    # In a picture that is all object, three rows lie between the middle row and what is outside; the first pixel of
    # that row which is as far from the left border is clicked.
    assert deepest(np.ones((5, 9), bool)) == ((2.5, 2.5), 3.0)


def test_the_deeper_error_is_clicked_whichever_it_is():
    truth, mask = square(3, 3, 7), square(20, 40, 9)
    assert next_click(truth, mask) == Click(44.5, 24.5, 0)
    assert next_click(mask, truth) == Click(44.5, 24.5, 1)
    # By depth, not by area: a long thin miss is no match for a small compact excess.
    thin = np.zeros_like(truth)
    thin[30:33] = True
    assert thin.sum() > truth.sum() and next_click(thin, truth) == Click(6.5, 6.5, 0)


def test_of_equally_deep_errors_the_superfluous_one_is_clicked():
    assert next_click(square(3, 3, 7), square(20, 40, 7)) == Click(43.5, 23.5, 0)


def test_a_pixel_is_never_clicked_twice_and_nothing_where_all_is_right():
    truth = square(10, 10, 3)
    clicked: list[Click] = []
    while (click := next_click(truth, nothing(truth), clicked)) is not None:
        clicked.append(click)
    # The middle first, then the rim, each pixel once.
    assert clicked[0] == Click(11.5, 11.5, 1) and clicked[1] == Click(10.5, 10.5, 1)
    assert len(clicked) == 9 == len({(click.x, click.y) for click in clicked})
    assert next_click(truth, truth) is None


@given(region=arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()))
def test_the_deepest_pixel_is_that_of_a_search(region):
    height, width = region.shape
    outside = [
        (row, column)
        for row in range(-1, height + 1)
        for column in range(-1, width + 1)
        if not (0 <= row < height and 0 <= column < width and region[row, column])
    ]
    best, where = 0.0, (0, 0)
    for row, column in zip(*np.nonzero(region), strict=True):
        squares = min((row - r) ** 2 + (column - c) ** 2 for r, c in outside)
        if squares**0.5 > best:
            best, where = float(squares**0.5), (column, row)
    (x, y), depth = deepest(region)
    assert depth == pytest.approx(best, abs=1e-12)
    assert (x, y) == (where[0] + 0.5, where[1] + 0.5)


def test_the_tight_box_is_the_outer_edges_of_pixels():
    assert tight_box(square(3, 5, 7)) == (5.0, 3.0, 12.0, 10.0)
    assert tight_box(square(0, 0, 1, (1, 1))) == (0.0, 0.0, 1.0, 1.0)
