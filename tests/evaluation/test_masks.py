"""Pooled IoU, accuracy and Boundary IoU: counts by hand, the band against repeated erosion."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from sanerf.evaluation.masks import MaskCounts, count_masks, inner_band


def rectangle(height: int, width: int, rows: slice, columns: slice) -> torch.Tensor:
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


def eroded_step_by_step(mask: np.ndarray) -> np.ndarray:
    """Cheng et al.'s procedure: pad with a frame of zeros, erode d times by 3x3, cut the frame off."""
    height, width = mask.shape
    d = max(1, round(0.02 * math.hypot(height, width)))
    return binary_erosion(np.pad(mask, 1), structure=np.ones((3, 3)), iterations=d)[1:-1, 1:-1]


def test_counts_of_two_overlapping_rectangles():
    predicted = rectangle(10, 10, slice(0, 4), slice(0, 4))
    true = rectangle(10, 10, slice(2, 6), slice(0, 4))
    counts = count_masks(predicted, true)
    assert (counts.intersection, counts.union, counts.correct, counts.pixels) == (8, 24, 84, 100)
    assert counts.iou == pytest.approx(8 / 24)
    assert counts.acc == pytest.approx(0.84)


def test_views_are_pooled_before_dividing():
    pooled = MaskCounts(90, 100, 900, 1000, 5, 10) + MaskCounts(0, 100, 900, 1000, 0, 30)
    assert pooled == MaskCounts(90, 200, 1800, 2000, 5, 40)
    assert (pooled.iou, pooled.acc, pooled.boundary_iou) == (0.45, 0.9, 0.125)
    assert sum([pooled, pooled], MaskCounts()).union == 400


def test_an_absent_object_found_absent_is_perfect_and_nothing_compared_has_no_accuracy():
    empty = torch.zeros(6, 6, dtype=torch.bool)
    counts = count_masks(empty, empty)
    assert (counts.iou, counts.acc, counts.boundary_iou) == (1.0, 1.0, 1.0)
    assert math.isnan(MaskCounts().acc)


def test_the_band_of_a_square_is_its_frame_two_pixels_wide():
    # 60 x 80 has the diagonal 100, so d is 2.
    band = inner_band(rectangle(60, 80, slice(10, 30), slice(10, 30)))
    assert int(band.sum()) == 20 * 20 - 16 * 16
    assert not band[12:28, 12:28].any()


def test_the_edge_of_the_picture_counts_as_boundary():
    full = torch.ones(60, 80, dtype=torch.bool)
    assert int(inner_band(full).sum()) == 60 * 80 - 56 * 76


def test_boundary_iou_punishes_a_shift_that_iou_forgives():
    true = rectangle(600, 800, slice(100, 500), slice(100, 500))
    predicted = rectangle(600, 800, slice(100, 500), slice(120, 520))
    counts = count_masks(predicted, true)
    # d = 20. Horizontal parts of the frames overlap in 380 columns, the vertical ones not at all but for corners.
    assert counts.iou == pytest.approx(380 / 420)
    frame = 400 * 400 - 360 * 360
    both = 2 * 20 * 380
    assert counts.boundary_iou == pytest.approx(both / (2 * frame - both))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), height=st.integers(1, 90), width=st.integers(1, 90), share=st.floats(0.5, 1.0))
def test_the_band_is_the_mask_less_its_repeated_erosion(seed, height, width, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    expected = mask & ~eroded_step_by_step(mask)
    assert np.array_equal(inner_band(torch.from_numpy(mask)).numpy(), expected)
