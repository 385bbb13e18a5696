"""The ray-pair RGB loss (Eq. 9 to 12): closed forms, the loop that the print describes, and gradients."""

import math

import pytest
import torch

from sanerf.aggregate.losses import colour_distance, mask_distance, mask_error, ray_pair_rgb_loss


def distance(first: list[float], second: list[float], sharpness: float = 10.0) -> float:
    return float(mask_distance(torch.tensor(first), torch.tensor(second), sharpness))


def test_distance_of_masks_in_closed_form():
    """Equal vectors: exp(-w), whatever they are. Vectors without a common identity: 1. Else exp(-w a.b / larger)."""
    assert distance([0.0, 1.0], [0.0, 1.0]) == pytest.approx(math.exp(-10), rel=1e-4)
    assert distance([0.3, 0.7], [0.3, 0.7]) == pytest.approx(math.exp(-10), rel=1e-4)
    assert distance([1.0, 0.0], [0.0, 1.0]) == pytest.approx(1.0, abs=1e-5)
    assert distance([1.0, 0.0, 0.0], [0.2, 0.5, 0.3]) == pytest.approx(math.exp(-10 * 0.2), rel=1e-4)
    assert distance([0.5, 0.5], [0.8, 0.2], 3.0) == pytest.approx(math.exp(-3 * 0.5 / 0.68), rel=1e-4)
    # It is a distance of a pair: the order does not matter.
    assert distance([0.9, 0.1], [0.4, 0.6]) == distance([0.4, 0.6], [0.9, 0.1])


def test_distance_of_colours_is_euclidean():
    black, colour = torch.zeros(1, 3), torch.tensor([[0.2, 0.3, 0.6]])
    assert float(colour_distance(black, colour)) == pytest.approx(0.7)


def test_error_of_a_known_pixel_is_the_distance_to_one_hot():
    probability = torch.tensor([[0.2, 0.8], [0.2, 0.8]])
    error = mask_error(probability, torch.tensor([[True, False], [False, True]]), 10.0)
    assert error.tolist() == pytest.approx([math.exp(-2), math.exp(-8)], rel=1e-4)


def test_error_of_a_set_is_what_lies_outside_of_it():
    """Possible are 1 and 2, rendered is (1 - 2p, p, p): the mask is then (0, 1/2, 1/2), and a.b = p."""
    possible = torch.tensor([[False, True, True]])
    for p in (0.5, 0.4, 0.25, 0.1):
        larger = max(0.5, (1 - 2 * p) ** 2 + 2 * p * p)
        error = mask_error(torch.tensor([[1 - 2 * p, p, p]]), possible, 10.0)
        assert float(error) == pytest.approx(math.exp(-10 * p / larger), rel=1e-4)
    # What may be anything is right; what is quite outside of the set is quite wrong, and no division by zero.
    anything = torch.ones(1, 3, dtype=torch.bool)
    assert float(mask_error(torch.tensor([[0.1, 0.6, 0.3]]), anything, 10.0)) == pytest.approx(math.exp(-10), rel=1e-4)
    assert float(mask_error(torch.tensor([[1.0, 0.0, 0.0]]), possible, 10.0)) == pytest.approx(1.0, abs=1e-5)


def case(seed: int, dtype: torch.dtype = torch.float32):
    """Three sets of nine rays and four references, of some rays that are not there or not believed."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 9, 4, generator=generator, dtype=dtype)
    rgb = torch.rand(3, 9, 3, generator=generator, dtype=dtype)
    references = torch.stack([torch.randperm(9, generator=generator)[:4] for _ in range(3)])
    present = torch.rand(3, 9, generator=generator) < 0.8
    believed = torch.rand(3, 9, generator=generator) < 0.6
    return logits, rgb, references, present, believed


def loop(probability, rgb, references, present, believed, threshold: float, sharpness: float) -> float:
    """As the print says it, one pair at a time."""
    sets = []
    for p, c, chosen, there, trusted in zip(probability, rgb, references, present, believed, strict=True):
        of_references = []
        for k in chosen.tolist():
            if not (there[k] and trusted[k]):
                continue
            pairs = [
                float(mask_distance(p[k], p[s], sharpness))
                for s in range(len(p))
                if s != k and there[s] and float((c[s] - c[k]).square().sum().sqrt()) < threshold
            ]
            of_references.append(sum(pairs) / len(pairs) if pairs else 0.0)
        sets.append(sum(of_references) / len(of_references) if of_references else 0.0)
    return sum(sets) / len(sets)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.1, 0.5, 2.0])
def test_loss_is_the_loop(seed, threshold):
    logits, rgb, references, present, believed = case(seed)
    probability = torch.softmax(logits, dim=-1)
    found = ray_pair_rgb_loss(
        probability, rgb, references, present=present, believed=believed, threshold=threshold, sharpness=3.0
    )
    expected = loop(probability, rgb, references, present, believed, threshold, 3.0)
    assert float(found) == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert threshold < 0.5 or expected > 0.01, "a case in which no two rays are a pair shows nothing"


def test_references_are_detached():
    """Of two rays of one colour the reference gets no gradient; the other is drawn to it."""
    logits = torch.tensor([[[2.0, -1.0], [-1.0, 1.5]]], requires_grad=True)
    there = torch.ones(1, 2, dtype=torch.bool)
    loss = ray_pair_rgb_loss(
        torch.softmax(logits, dim=-1), torch.full((1, 2, 3), 0.4), torch.tensor([[0]]),
        present=there, believed=there, threshold=0.1, sharpness=10.0,
    )  # fmt: skip
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad[0, 0].any()
    assert logits.grad[0, 1, 0] < 0 < logits.grad[0, 1, 1], "descent makes the other ray's identity the reference's"


def test_loss_gradcheck():
    """A reference's own probability is a constant of the loss, so the check moves rays that are no references."""
    logits, rgb, references, present, believed = case(1, torch.float64)
    fixed = torch.zeros(3, 9, dtype=torch.bool).scatter(1, references, True)

    def of_others(moved: torch.Tensor) -> torch.Tensor:
        probability = torch.softmax(torch.where(fixed[..., None], logits, moved), dim=-1)
        return ray_pair_rgb_loss(
            probability, rgb, references, present=present, believed=believed, threshold=1.5, sharpness=3.0
        )

    assert torch.autograd.gradcheck(of_others, logits.clone().requires_grad_())
