"""Boxes, stability, duplicates, islands and windows against obvious loops and closed forms."""

import tracemalloc
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sanerf.segmenter.mask_sets import MaskSet, box_iou, mask_iou, mask_set, stability_scores
from sanerf.segmenter.mask_sets import without_duplicates as kept_masks
from sanerf.segmenter.regions import mask_boxes, without_specks
from sanerf.segmenter.windows import Window, cut_off, picture_windows, window_points

MASKS = arrays(bool, (5, 9, 13), elements=st.booleans())
EXAMPLES = settings(max_examples=40, deadline=None)


def as_set(masks: np.ndarray, predicted: list[float]) -> MaskSet:
    count = len(masks)
    return mask_set(
        torch.from_numpy(masks.astype(np.float32) * 4 - 2),
        predicted_iou=torch.tensor(predicted),
        source=np.zeros((count, 2), dtype=np.int64),
        offset=1.0,
    )


@EXAMPLES
@given(MASKS)
def test_boxes_and_areas_and_pixels(masks):
    packed = as_set(masks, [0.5] * 5)
    assert packed.areas.tolist() == [mask.sum() for mask in masks]
    for i, mask in enumerate(masks):
        rows, columns = np.nonzero(mask)
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if mask.any() else [0, 0, 0, 0]
        assert packed.boxes[i].tolist() == expected == mask_boxes(torch.from_numpy(masks))[i].tolist()
        assert np.array_equal(packed.mask(i), mask)


@EXAMPLES
@given(MASKS)
def test_iou_of_pixels_and_of_boxes(masks):
    packed = as_set(masks, [0.5] * 5)
    others = np.arange(1, 5)

    def filled(box):
        out = np.zeros((9, 13), dtype=bool)
        out[box[1] : box[3], box[0] : box[2]] = True
        return out

    boxes = [filled(box) for box in packed.boxes]
    for found, pictures in ((mask_iou(packed, 0, others), masks), (box_iou(packed, 0, others), boxes)):
        for value, other in zip(found, pictures[1:], strict=True):
            union = (pictures[0] | other).sum()
            assert value == pytest.approx((pictures[0] & other).sum() / union if union else 0)


@EXAMPLES
@given(arrays(bool, (6, 21, 11), elements=st.booleans()), st.integers(1, 40), st.integers(0, 20), st.integers(1, 21))
def test_iou_of_pixels_is_the_same_in_parts_and_for_masks_of_a_few_rows(masks, compared, top, rows):
    """Rows of 11 pixels start in the middle of bytes; what is compared at a time is from one mask to all."""
    masks[0, :top] = masks[0, top + rows :] = False
    packed = as_set(masks, [0.5] * 6)
    with mock.patch("sanerf.segmenter.mask_sets._COMPARED_BYTES", compared):
        found = mask_iou(packed, 0, np.arange(1, 6))
    for value, other in zip(found, masks[1:], strict=True):
        assert value == pytest.approx((masks[0] & other).sum() / max((masks[0] | other).sum(), 1))


def test_comparing_many_masks_of_a_large_picture_takes_a_bounded_memory():
    """60 masks of 2000 x 3000 pixels that all meet: 45 MB of bits, of which no copy as large is made."""
    tall = np.zeros((60, 2000 * 3000 // 8), dtype=np.uint8)
    tall[:, ::3000] = 255
    count = len(tall)
    packed = MaskSet(
        2000, 3000, tall, np.tile([0, 0, 3000, 2000], (count, 1)), np.full(count, 2000), np.ones(count),
        np.ones(count), np.zeros((count, 2), dtype=np.int64),
    )  # fmt: skip
    with mock.patch("sanerf.segmenter.mask_sets._COMPARED_BYTES", 2**20):
        tracemalloc.start()
        found = mask_iou(packed, 0, np.arange(1, count))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (found == 1).all() and most < 4 * 2**20


@EXAMPLES
@given(
    st.integers(0, 2**31),
    st.floats(0, 0.4),
    st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=5, max_size=5),
    st.permutations(range(5)),
)
def test_what_stays_has_no_duplicates_and_what_goes_has_a_better_one_whatever_the_order(seed, rate, predicted, order):
    random = np.random.default_rng(seed)
    masks = (random.random((9, 13)) < 0.5) ^ (random.random((5, 9, 13)) < rate)
    packed = as_set(masks, predicted)
    kept = kept_masks(packed, threshold=0.6, overlap="mask").tolist()
    for place, one in enumerate(kept):
        assert (mask_iou(packed, one, np.array(kept[:place], dtype=np.int64)) <= 0.6).all()
    for gone in set(range(5)) - set(kept):
        better = [i for i in kept if predicted[i] >= predicted[gone]]
        assert (mask_iou(packed, gone, np.array(better, dtype=np.int64)) > 0.6).any()
    # Of equally believed masks of one place and size the first would be taken.
    if len({(*packed.boxes[i], packed.areas[i]) for i in range(5)}) == 5:
        shuffled = as_set(masks[list(order)], [predicted[i] for i in order])
        again = kept_masks(shuffled, threshold=0.6, overlap="mask")
        assert [order[i] for i in again] == kept


def test_crossing_wires_are_duplicates_by_their_boxes_and_not_by_their_pixels():
    wires = np.stack([np.eye(40, dtype=bool), np.eye(40, dtype=bool)[::-1]])
    packed = as_set(wires, [0.9, 0.8])
    assert kept_masks(packed, threshold=0.7, overlap="mask").tolist() == [0, 1]
    assert kept_masks(packed, threshold=0.7, overlap="box").tolist() == [0]


def test_stability_of_a_ramp():
    """Logits -5 to 5 in steps of a half: 8 values are above 1, 12 above -1."""
    ramp = torch.arange(-5, 5.5, 0.5)[None, None]
    assert stability_scores(ramp, 1.0).tolist() == [pytest.approx(8 / 12)]
    assert stability_scores(torch.full((1, 2, 2), -9.0), 1.0).tolist() == [0.0]


def test_specks_of_less_than_the_least_area_go_and_others_stay():
    mask = np.zeros((20, 30), dtype=bool)
    mask[2:18, 2:20] = True
    clean = mask.copy()
    mask[5:7, 5:7] = False  # a hole of 4 pixels
    mask[10:13, 10:13] = False  # of 9
    mask[4, 25] = mask[5, 26] = mask[6, 27] = True  # an island of 3 pixels, which touch at corners
    mask[0:2, 28:30] = True  # one of 4
    clean[10:13, 10:13] = False
    assert np.array_equal(without_specks(mask, 5), clean)
    four = without_specks(mask, 4)
    assert four[0, 28] and not four[4, 25] and not four[5, 5]
    assert np.array_equal(without_specks(mask, 1), mask)
    # Of islands that are all too small the largest stays, and what surrounds a small mask is no hole.
    assert without_specks(~np.ones((20, 30), dtype=bool), 50).sum() == 0
    dots = np.zeros((20, 30), dtype=bool)
    dots[3:5, 3:5] = dots[10, 10] = True
    assert np.argwhere(without_specks(dots, 50)).tolist() == [[3, 3], [3, 4], [4, 3], [4, 4]]
    # A corner of the picture that a mask closes off is a hole.
    corner = np.ones((20, 30), dtype=bool)
    corner[:2, :2] = False
    assert without_specks(corner, 5).all()


@EXAMPLES
@given(st.integers(20, 400), st.integers(20, 400), st.floats(0, 0.6))
def test_windows_cover_the_picture_and_overlap(height, width, overlap):
    windows = picture_windows(height, width, layers=2, overlap=overlap)
    assert windows[0] == Window(0, 0, width, height) and [w.layer for w in windows].count(2) == 16
    for layer, count in ((1, 2), (2, 4)):
        seen = np.zeros((height, width), dtype=int)
        for window in (w for w in windows if w.layer == layer):
            seen[window.y0 : window.y1, window.x0 : window.x1] += 1
        assert seen.min() >= 1
        shared = int(overlap * min(height, width) * 2 / count)
        row = [w for w in windows if w.layer == layer][:count]
        assert all(left.x1 - right.x0 == shared for left, right in pairwise(row))


def test_points_are_the_middles_of_equal_parts():
    assert window_points(Window(10, 20, 50, 40), 2).tolist() == [[10, 5], [30, 5], [10, 15], [30, 15]]


def test_a_box_is_cut_off_at_a_windows_edge_that_is_not_the_pictures():
    window = Window(0, 40, 100, 120, layer=1)  # the lower left of 200 x 120
    boxes = {
        (0, 30, 50, 80): False,  # reaches the picture's left and lower edges
        (20, 1, 50, 40): True,  # the upper edge is inside of the picture
        (20, 10, 99, 40): True,  # so is the right one
        (20, 10, 90, 40): False,
    }
    found = cut_off(np.array(list(boxes), dtype=float), window, height=120, width=200, margin=2.0)
    assert found.tolist() == list(boxes.values())
