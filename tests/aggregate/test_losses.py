"""The aggregator's losses in closed form."""

import math

import pytest
import torch

from sanerf.aggregate.losses import identity_cross_entropy, mask_logits


def possible(*rows: str) -> torch.Tensor:
    return torch.tensor([[letter == "1" for letter in row] for row in rows])


def test_what_a_ray_does_not_hit_counts_as_background():
    composited = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [0.5, 0.5, -1.0]])
    accumulation = torch.tensor([1.0, 0.0, 0.75])
    expected = torch.tensor([[1.0, 2.0, 3.0], [5.0, 0.0, 0.0], [1.75, 0.5, -1.0]])
    torch.testing.assert_close(mask_logits(composited, accumulation), expected)
    # Rounding may sum weights to a little more than one: that takes nothing away.
    assert torch.equal(mask_logits(composited[:1], torch.tensor([1.0001])), composited[:1])


def test_cross_entropy_of_a_known_identity():
    """With logits 0, a, b the probability of the second is e^a / (1 + e^a + e^b)."""
    logits = torch.tensor([[0.0, math.log(2), math.log(5)]])
    for row, probability in (("100", 1 / 8), ("010", 2 / 8), ("001", 5 / 8)):
        assert float(identity_cross_entropy(logits, possible(row))) == pytest.approx(-math.log(probability))


def test_cross_entropy_of_a_set_is_that_of_its_summed_probability():
    logits = torch.tensor([[0.0, math.log(2), math.log(5)]])
    assert float(identity_cross_entropy(logits, possible("101"))) == pytest.approx(-math.log(6 / 8))
    assert float(identity_cross_entropy(logits, possible("111"))) == pytest.approx(0.0, abs=1e-6)


def test_a_set_leaves_the_choice_inside_it_alone():
    """Between two possible identities the gradient keeps their odds: it is the same share of both."""
    logits = torch.tensor([[0.3, -1.0, 0.8]], dtype=torch.float64, requires_grad=True)
    identity_cross_entropy(logits, possible("110")).backward()
    p = torch.softmax(logits.detach(), dim=1)[0]
    inside = p[0] + p[1]
    torch.testing.assert_close(logits.grad[0], torch.stack([p[0] - p[0] / inside, p[1] - p[1] / inside, p[2]]))


def test_cross_entropy_is_the_mean_over_rays_and_holds_for_large_logits():
    logits = torch.tensor([[0.0, 1e4], [0.0, 1e4], [0.0, 0.0]])
    found = identity_cross_entropy(logits, possible("01", "10", "10"))
    assert float(found) == pytest.approx((0 + 1e4 + math.log(2)) / 3)


def test_losses_gradcheck():
    composited = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    accumulation = torch.tensor([0.0, 0.2, 0.5, 0.9, 0.99], dtype=torch.float64)
    allowed = possible("100", "010", "101", "011", "111")
    assert torch.autograd.gradcheck(lambda c: identity_cross_entropy(mask_logits(c, accumulation), allowed), composited)
