"""Run lengths in COCO's form: a figure written by hand, there and back, and pycocotools where it is installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sanerf.errors import UserError
from sanerf.segmenter.coco_rle import compress, decompress, from_coco, mask_runs, runs_mask, to_coco

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.booleans())


def test_runs_go_down_the_columns_and_start_outside():
    mask = np.array([[0, 1, 1], [0, 1, 0]], dtype=bool)
    assert mask_runs(mask).tolist() == [2, 3, 1]
    assert mask_runs(~mask).tolist() == [0, 2, 3, 1]
    assert mask_runs(np.zeros((2, 3), dtype=bool)).tolist() == [6]


def test_the_text_by_hand():
    """2, 3 and 1 are one character each; 100 = 3 * 32 + 4 is two; the fourth run is given as 35 - 3 = 32, the fifth as
    1 - 1 = 0, the sixth as 4 - 35 = -31, which is 1 and -1 * 32."""
    assert compress(np.array([2, 3, 1])) == "231"
    assert compress(np.array([100])) == chr(48 + 4 + 32) + chr(48 + 3)
    text = "231" + chr(48 + 32) + chr(48 + 1) + "0" + chr(48 + 1 + 32) + chr(48 + 31)
    assert compress(np.array([2, 3, 1, 35, 1, 4])) == text
    assert decompress(text).tolist() == [2, 3, 1, 35, 1, 4]


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_there_and_back(mask):
    runs = mask_runs(mask)
    assert runs.sum() == mask.size and (runs[1:] > 0).all()
    assert runs[1::2].sum() == mask.sum()
    assert np.array_equal(runs_mask(runs, *mask.shape), mask)
    assert np.array_equal(from_coco(to_coco(mask)), mask)
    assert np.array_equal(from_coco({"size": list(mask.shape), "counts": runs.tolist()}), mask)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**40), max_size=30))
def test_any_runs_there_and_back(runs):
    assert decompress(compress(np.array(runs, dtype=np.int64))).tolist() == runs


@settings(max_examples=50, deadline=None)
@given(MASKS)
def test_pycocotools_writes_the_same(mask):
    tools = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed (it is in no extra)")
    theirs = tools.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert to_coco(mask)["counts"] == theirs["counts"].decode()
    assert np.array_equal(tools.decode(to_coco(mask)), mask)


def test_runs_and_texts_that_are_none():
    with pytest.raises(UserError, match="add up to 7; expected 6"):
        runs_mask(np.array([3, 4]), 2, 3)
    with pytest.raises(UserError, match="in no compressed mask"):
        decompress("2 3")
    with pytest.raises(UserError, match="ends in the middle"):
        decompress(chr(48 + 32))
