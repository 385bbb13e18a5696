"""Computed colours as bytes."""

import numpy as np
import pytest
import torch

from sanerf.render.pictures import overlay_heat, to_bytes

# 100.49 / 255 and 100.51 / 255 lie on either side of the border between two bytes.
VALUES = [[-0.5, 0.0, 100.49 / 255], [100.51 / 255, 1.0, 1.5]]
BYTES = [[0, 0, 100], [101, 255, 255]]


@pytest.mark.parametrize(
    "values", [np.array(VALUES), np.array(VALUES, dtype=np.float32), torch.tensor(VALUES, requires_grad=True)]
)
def test_values_become_the_nearest_bytes_and_are_held_to_0_and_1(values):
    found = to_bytes(values)
    assert found.dtype == np.uint8 and found.tolist() == BYTES


def test_every_byte_comes_back():
    every = np.arange(256, dtype=np.uint8)
    for values in (every / 255, (every / 255).astype(np.float32), torch.from_numpy(every).float() / 255):
        assert np.array_equal(to_bytes(values), every)


def test_heat_leaves_a_dark_grey_photo_where_there_is_none_and_rises_in_lightness():
    photo = np.full((1, 6, 3), 200, dtype=np.uint8)
    found = overlay_heat(photo, np.array([[0.0, 0.125, 0.25, 0.375, 0.5, 1.0]]))
    assert (found[0, 0] == 110).all()  # 0.55 of 200
    lightness = found[0, 1:] @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(lightness[:4]) > 20).all() and lightness[3] == lightness[4] > 230
