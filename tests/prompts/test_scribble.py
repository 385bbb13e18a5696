"""Scribbles as clicks: few, spread out evenly, on the stroke, and the same every time."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sanerf.data.scene import View
from sanerf.geometry.cameras import Camera
from sanerf.prompts.file import LineScribble, PaintedScribble
from sanerf.prompts.scribble import MOST_CLICKS, SPACING, line_clicks, scribble_clicks, stroke_clicks

WIDTH, HEIGHT = 640, 480
DIAGONAL = 800.0


def to_polyline(xy: torch.Tensor, corners: list[tuple[float, float]]) -> torch.Tensor:
    """The distance of each point to a polyline, written out."""
    distances = []
    ends = torch.tensor(corners, dtype=torch.float64)
    for a, b in pairwise(ends):
        along = ((xy.double() - a) @ (b - a) / (b - a).square().sum().clamp(min=1e-12)).clamp(0, 1)
        distances.append((xy.double() - (a + along[:, None] * (b - a))).norm(dim=-1))
    return torch.stack(distances).amin(dim=0)


@pytest.mark.parametrize(("share", "count"), [(0.05, 1), (0.15, 2), (0.3, 3), (0.5, 5), (0.9, 6)])
@pytest.mark.parametrize("turned", [0.0, 0.5])
def test_a_straight_scribbles_clicks_are_on_it_and_evenly_spread(share: float, count: int, turned: float):
    """n clicks lie at (2 i + 1) / (2 n) of the length; one more comes where a tenth of the diagonal has none."""
    length, way = share * DIAGONAL, np.array([math.cos(turned), math.sin(turned)])
    corners = [(10.0, 12.0), (10.0 + length * way[0], 12.0 + length * way[1])]
    found = line_clicks(corners, WIDTH, HEIGHT)
    assert float(to_polyline(found, corners).max()) < 1e-3
    along = ((found.double().numpy() - corners[0]) @ way) / length
    assert len(found) == count
    np.testing.assert_allclose(np.sort(along), (2 * np.arange(count) + 1) / (2 * count), atol=max(1.5 / length, 0.01))


def ring(radius: float, turns: float = 1.0) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * math.pi * turns, int(120 * turns) + 1)
    return [(320 + radius * math.cos(a), 240 + radius * math.sin(a)) for a in angles]


def test_a_ring_shaped_scribbles_clicks_lie_on_the_ring_and_apart():
    found = line_clicks(ring(200.0), WIDTH, HEIGHT)
    radii = (found - torch.tensor([320.0, 240.0])).norm(dim=-1)
    assert len(found) == 6 and (radii - 200).abs().max() < 1.0
    apart = torch.pdist(found)
    # Six even points of a circle lie its radius apart.
    assert float(apart.min()) > 0.9 * 200


def test_a_scribble_to_and_fro_gets_no_more_clicks_than_once():
    once = [(100.0, 100.0), (260.0, 100.0)]
    assert torch.allclose(line_clicks(once * 8, WIDTH, HEIGHT), line_clicks(once, WIDTH, HEIGHT), atol=2.0)
    assert len(line_clicks(ring(200.0, turns=5), WIDTH, HEIGHT)) == 6


def test_a_dot_is_one_click():
    assert line_clicks([(7.25, 8.5)], WIDTH, HEIGHT).tolist() == [[7.25, 8.5]]
    assert line_clicks([(7.25, 8.5)] * 3, WIDTH, HEIGHT).tolist() == [[7.25, 8.5]]


corner = st.tuples(st.floats(0, WIDTH - 1), st.floats(0, HEIGHT - 1))


@settings(deadline=None, max_examples=25)
@given(st.lists(corner, min_size=2, max_size=8), st.integers(1, 8))
def test_any_scribbles_clicks_are_few_distinct_on_it_and_always_the_same(corners: list, most: int):
    found = line_clicks(corners, WIDTH, HEIGHT, most)
    assert 1 <= len(found) <= most
    assert len(found.unique(dim=0)) == len(found)
    assert float(to_polyline(found, corners).max()) < 1e-3
    assert torch.equal(found, line_clicks(corners, WIDTH, HEIGHT, most))


@settings(deadline=None, max_examples=15)
@given(st.lists(corner, min_size=2, max_size=6))
def test_no_part_of_a_scribble_is_far_from_the_first_clicks_if_there_may_be_more(corners: list):
    """Fewer clicks than may be: then those chosen before they move leave nothing farther than the spacing."""
    found = line_clicks(corners, WIDTH, HEIGHT)
    samples = torch.cat([torch.lerp(torch.tensor(a), torch.tensor(b), torch.linspace(0, 1, 200)[:, None])
                         for a, b in pairwise(corners)])  # fmt: skip
    if len(found) < MOST_CLICKS:
        # Moving to the middle of its part takes a click no farther from any of it than the part is wide.
        assert float(torch.cdist(samples, found).amin(dim=1).max()) <= 2 * SPACING * DIAGONAL


def painted(shape: tuple[int, int], distance: np.ndarray, width: float) -> torch.Tensor:
    assert distance.shape == shape
    return torch.from_numpy(distance <= width / 2)


def test_a_painted_strokes_clicks_lie_along_its_middle_however_wide_it_is():
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    for width in (1, 9, 25):
        beyond = np.maximum(np.maximum(100 - x, x - 500), 0)
        found = stroke_clicks(painted((HEIGHT, WIDTH), np.hypot(y - 200.5, beyond), width))
        assert (found[:, 1] - 200.5).abs().max() <= 0.5
        expected = line_clicks([(100.0, 200.5), (500.0, 200.5)], WIDTH, HEIGHT)
        assert len(found) == len(expected) == 5
        assert (found[:, 0] - expected[:, 0]).abs().max() < 4


def test_a_painted_rings_clicks_lie_on_the_ring():
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    for width in (1.5, 8, 30):
        stroke = painted((HEIGHT, WIDTH), np.abs(np.hypot(x - 320, y - 240) - 180), width)
        found = stroke_clicks(stroke)
        radii = (found - torch.tensor([320.0, 240.0])).norm(dim=-1)
        assert len(found) == 6 and (radii - 180).abs().max() <= 1.5
        assert bool(stroke[found[:, 1].long(), found[:, 0].long()].all())
        assert torch.equal(found, stroke_clicks(stroke))


def test_of_a_picture_painted_all_over_there_are_six_clicks_at_most_and_of_none_none():
    assert 1 <= len(stroke_clicks(torch.ones(HEIGHT, WIDTH, dtype=torch.bool))) <= MOST_CLICKS
    assert stroke_clicks(torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)).shape == (0, 2)


def test_scribbles_come_in_pixels_of_the_views_file_whatever_size_they_were_painted_at(tmp_path):
    camera = Camera(WIDTH, HEIGHT, 500.0, 500.0, 320.0, 240.0, torch.eye(4, dtype=torch.float64))
    view = View("a.jpg", tmp_path / "a.jpg", camera)
    half = np.zeros((HEIGHT // 2, WIDTH // 2), dtype=np.uint8)
    half[100, 50:250] = 255
    Image.fromarray(half).save(tmp_path / "stroke.png")
    found = scribble_clicks(PaintedScribble("a.jpg", tmp_path / "stroke.png", 1), view)
    drawn = scribble_clicks(LineScribble("a.jpg", ((100.0, 201.0), (500.0, 201.0)), 1), view)
    assert found[:, 1].tolist() == [201.0] * len(found)
    assert (found.sort(dim=0).values - drawn.sort(dim=0).values).abs().max() < 4
