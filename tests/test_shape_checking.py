"""The shape annotations are live: jaxtyping's hook, set in pyproject.toml, refuses a wrong shape and a wrong dtype."""

import pytest
import torch
from jaxtyping import TypeCheckError

from sanerf.evaluation.masks import count_masks
from sanerf.geometry.cameras import Camera, project


def test_a_wrong_axis_length_raises():
    camera = Camera(4, 3, 2.0, 2.0, 2.0, 1.5, torch.eye(4, dtype=torch.float64))
    with pytest.raises(TypeCheckError):
        project(camera, torch.zeros(5, 2))


def test_two_arguments_that_disagree_on_an_axis_raise():
    with pytest.raises(TypeCheckError):
        count_masks(torch.zeros(4, 5, dtype=torch.bool), torch.zeros(5, 4, dtype=torch.bool))


def test_a_wrong_dtype_in_a_dataclass_raises():
    with pytest.raises(TypeCheckError):
        Camera(4, 3, 2.0, 2.0, 2.0, 1.5, torch.eye(4, dtype=torch.float32))
