"""What of recipes/mini needs neither data nor hours: losses in closed form, prompts of chance, the failures' frame."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch

RECIPE = Path(__file__).parents[2] / "recipes" / "mini"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch):
    """A module of the recipe by its name, as its scripts import it."""
    monkeypatch.syspath_prepend(RECIPE)
    return importlib.import_module


def test_losses_in_closed_form(recipe):
    losses = recipe("losses")
    truth = torch.zeros(1, 4, 4)
    truth[0, :2] = 1
    undecided = torch.zeros(1, 4, 4)
    torch.testing.assert_close(losses.normalised_focal(undecided, truth), torch.tensor([math.log(2)]))
    sure = 40 * (2 * truth - 1)
    torch.testing.assert_close(losses.dice(sure, truth), torch.zeros(1))
    torch.testing.assert_close(losses.dice(-sure, truth), torch.tensor([1 - 1 / 17]))
    assert losses.hard_iou(sure, truth).item() == 1 and losses.hard_iou(-sure, truth).item() == 0
    half = sure.clone()
    half[0, 0] = -40
    assert losses.hard_iou(half, truth).item() == 0.5


def test_with_one_click_the_best_hypothesis_learns_nearly_alone(recipe):
    """Its share of the gradient is 0.9 + 0.1/3 where ambiguous, a third where not."""
    losses = recipe("losses")
    truth = torch.zeros(1, 8, 8)
    truth[0, :, :4] = 1
    good, bad = 0.5 * (2 * truth - 1), 0.5 * (1 - 2 * truth)

    def gradient(ambiguous: bool) -> torch.Tensor:
        logits = torch.stack([good, bad, bad], dim=1).requires_grad_()
        coarse, belief = torch.zeros(1, 3, 4, 4), torch.tensor([[0.9, 0.1, 0.1]])
        total, chosen = losses.mask_loss(logits, belief, coarse, truth, torch.tensor([ambiguous]))
        assert chosen.item() == 1
        total.backward()
        assert logits.grad is not None
        return logits.grad[0].abs().sum((1, 2))

    one, many = gradient(True), gradient(False)
    torch.testing.assert_close(one[0] / many[0], torch.tensor((0.9 + 0.1 / 3) * 3))
    torch.testing.assert_close(one[1] / many[1], torch.tensor(0.1))


def test_first_clicks_lie_in_the_object_and_boxes_about_it(recipe):
    clicks, random = recipe("clicks"), np.random.default_rng(0)
    mask = np.zeros((20, 30), bool)
    mask[5:9, 12:25] = True
    for _ in range(50):
        column, row = np.floor(clicks.inner_point(mask, random, 2.0) / 2).astype(int)
        assert mask[row, column]
    np.testing.assert_array_equal(clicks.box_of(mask, 2.0, 0.0, random), [24, 10, 50, 18])


def test_a_tile_of_a_failure_shows_the_whole_object_in_the_tiles_shape(recipe):
    about = recipe("failures").about
    mask = np.zeros((360, 480), bool)
    mask[0:40, 400:480] = True
    left, top, right, bottom = about(mask)
    assert (left, top) == (320, 0) and (right, bottom) == (480, 120)
    mask[:] = True
    assert about(mask) == (0, 0, 480, 360)
