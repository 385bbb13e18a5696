"""Points, directions and the comparison of a field with its slow twin."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sanerf.adapters.hash_field import HashField


@pytest.fixture
def agree() -> Callable[..., int]:
    """Asserts that a field says at points of the world what a slow one says at the same points of its own frame.

    `to_field` takes points of the world there and `turned` directions; one unit of the world has `scale` of its units.
    Returns how many of the points lie where the slow field is empty.
    """

    def compare(field: HashField, slow, p_world: np.ndarray, to_field, turned, scale: float) -> int:
        random = np.random.default_rng(7)
        directions = random.normal(size=p_world.shape)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        density, geometry = field.density(torch.from_numpy(p_world).float())
        code = field.direction_code(torch.from_numpy(directions).float())
        colour = field.colour(geometry, code)
        # What float32 points are: the field sees those.
        p_world = p_world.astype(np.float32).astype(np.float64)
        expected = np.array([slow.density(to_field(p)) for p in p_world]) * scale
        np.testing.assert_allclose(density.numpy(), expected, rtol=1e-4, atol=1e-7)
        full = np.nonzero(expected > 0)[0]
        seen = np.array([slow.colour(to_field(p_world[k]), turned(directions[k])) for k in full])
        np.testing.assert_allclose(colour.numpy()[full], seen, rtol=0, atol=1e-4)
        assert seen.std() > 0.05 and np.log(expected[full]).std() > 0.2
        return len(p_world) - len(full)

    return compare
