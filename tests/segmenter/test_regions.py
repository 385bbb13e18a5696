"""Extents, boxes, overlaps and depths of masks against the obvious searches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sanerf.segmenter.choose import extent_iou
from sanerf.segmenter.regions import edge_distance, mask_boxes, mask_extent, mask_iou

ONE = arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.booleans())
SOME = arrays(bool, (4, 6, 7), elements=st.booleans())
EXAMPLES = settings(max_examples=60, deadline=None)


@EXAMPLES
@given(ONE)
def test_the_distance_to_the_edge_is_that_of_a_search(mask):
    """To the last bit: the root of the smallest sum of squares. What lies round the picture is no mask."""
    around = np.argwhere(~np.pad(mask, 1)) - 1
    expected = np.zeros(mask.shape)
    for row, column in np.argwhere(mask):
        expected[row, column] = np.sqrt(((around - (row, column)) ** 2).sum(axis=1).min())
    assert np.array_equal(edge_distance(mask), expected)


@EXAMPLES
@given(ONE)
def test_the_extent_holds_all_of_a_mask_and_no_empty_side(mask):
    extent = mask_extent(mask)
    cut = mask[extent]
    assert cut.sum() == mask.sum()
    if mask.any():
        assert all(side.any() for side in (cut[0], cut[-1], cut[:, 0], cut[:, -1]))
        rows, columns = extent
        box = mask_boxes(torch.from_numpy(mask[None]))[0].tolist()
        assert box == [columns.start, rows.start, columns.stop, rows.stop]
    else:
        assert cut.size == 0


@EXAMPLES
@given(SOME)
def test_overlaps_are_those_of_pixel_sets(masks):
    sets = [set(map(tuple, np.argwhere(mask))) for mask in masks]
    expected = [len(one & sets[-1]) / max(len(one | sets[-1]), 1) for one in sets]
    found = mask_iou(torch.from_numpy(masks), torch.from_numpy(masks[-1]))
    assert found.tolist() == pytest.approx(expected, abs=1e-7)


@EXAMPLES
@given(SOME, st.tuples(*[st.floats(-3, 9, width=32)] * 2), st.tuples(*[st.floats(0.125, 9, width=32)] * 2))
def test_extents_fit_a_box_as_written_out_for_each_mask(masks, corner, sides):
    box = torch.tensor([*corner, *corner]) + torch.tensor([0.0, 0.0, *sides])
    x0, y0, x1, y1 = box.tolist()
    expected = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        if not len(rows):
            expected.append(0.0)
            continue
        left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        shared = max(0.0, min(x1, right) - max(x0, left)) * max(0.0, min(y1, bottom) - max(y0, top))
        expected.append(shared / ((x1 - x0) * (y1 - y0) + (right - left) * (bottom - top) - shared))
    assert extent_iou(torch.from_numpy(masks), box).tolist() == pytest.approx(expected, abs=1e-6)
