"""Many objects in one decode call, with different numbers of points, boxes and masks: each as if it were alone."""

import logging

import pytest
import torch
from tiny_models import CPU, clicks, picture, tiny_model, tiny_sam2

from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.mini.segmenter import load_mini
from sanerf.segmenter.protocol import MaskHypotheses, Segmenter, ViewPrompts

KINDS = ("mini", "sam", "sam-hq", "sam2")
TOLERANCE = 1e-5
"""Of the logits' standard deviation: rounding of sums in another order. The largest change seen was 2.8e-6."""


@pytest.fixture(scope="module", params=KINDS)
def segmenter(request, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    if request.param == "mini":
        return load_mini(CPU, long_side=160)
    pytest.importorskip("transformers", reason="the SAM family needs transformers: sanerf[sam]")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    folder = tmp_path_factory.mktemp(request.param)
    model = tiny_sam2() if request.param == "sam2" else tiny_model("SamHQ" if request.param == "sam-hq" else "Sam")
    model.save_pretrained(folder)
    return load_segmenter(f"{request.param}:{folder}", CPU)


@pytest.fixture(scope="module")
def prompts() -> dict[str, ViewPrompts]:
    """All kinds and their mixtures; several of each count, so that some share a call and some do not."""
    box = [20.0, 10.0, 120.5, 70.0]
    mask = 5 * torch.randn(45, 80, generator=torch.Generator().manual_seed(3))
    return {
        "one inside": clicks((40.2, 30.7, 1)),
        "one outside": clicks((10.0, 10.0, 0)),
        "both signs": clicks((40.2, 30.7, 1), (100.0, 60.0, 0), (12.5, 80.5, 1)),
        "both signs, otherwise": clicks((60.2, 20.7, 0), (90.0, 40.0, 1), (22.5, 60.5, 0)),
        "seven": clicks(*((10.0 + 20 * k, 15.0 + 9 * k, k % 2) for k in range(7))),
        "box": clicks(box=box),
        "another box": clicks(box=[5.0, 5.0, 60.0, 85.0]),
        "box and a point": clicks((60.0, 30.0, 1), box=box),
        "box and points of both signs": clicks((60.0, 30.0, 1), (150.0, 5.0, 0), box=box),
        "mask": clicks(mask=mask),
        "its opposite": clicks(mask=-mask),
        "mask and a point": clicks((70.0, 50.0, 1), mask=mask),
        "mask and box": clicks(mask=mask, box=box),
        "mask, box and points of both signs": clicks((60.0, 30.0, 1), (150.0, 5.0, 0), box=box, mask=mask),
    }


@pytest.fixture(scope="module")
def features(segmenter):
    return segmenter.encode(picture(90, 161))


@pytest.fixture(scope="module")
def alone(segmenter, features, prompts) -> dict[str, MaskHypotheses]:
    return {name: segmenter.decode(features, [prompt])[0] for name, prompt in prompts.items()}


def assert_same(found: MaskHypotheses, expected: MaskHypotheses, name: str, tolerance: float = TOLERANCE) -> None:
    scale = float(expected.mask_logits.std())
    change = float((found.mask_logits - expected.mask_logits).abs().max()) / scale
    assert change <= tolerance, (name, change)
    torch.testing.assert_close(found.predicted_iou, expected.predicted_iou, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("order", ["as they are", "backwards", "shuffled", "twice"])
def test_each_object_is_answered_as_if_it_were_alone_in_any_order(segmenter, features, prompts, alone, order: str):
    names = list(prompts)
    if order == "backwards":
        names = names[::-1]
    elif order == "shuffled":
        names = [names[i] for i in torch.randperm(len(names), generator=torch.Generator().manual_seed(0))]
    elif order == "twice":
        names = names + names
    found = segmenter.decode(features, [prompts[name] for name in names])
    assert len(found) == len(names)
    for name, answer in zip(names, found, strict=True):
        assert_same(answer, alone[name], name)


def test_the_same_call_twice_is_the_same_to_the_bit(segmenter, features, prompts):
    one, other = (segmenter.decode(features, list(prompts.values())) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.mask_logits, b.mask_logits) and torch.equal(a.predicted_iou, b.predicted_iou)


def test_every_kind_of_prompt_says_something_of_its_own(alone):
    """Without this, equal answers would prove nothing."""
    masks = [answer.mask_logits for answer in alone.values()]
    names = list(alone)
    for i in range(len(masks)):
        for j in range(i):
            assert (masks[i] - masks[j]).abs().max() > 1e-3 * masks[i].std(), (names[i], names[j])


def test_the_order_of_an_objects_points_changes_nothing_but_rounding(segmenter, features, prompts, alone):
    for name in ("both signs", "seven", "mask, box and points of both signs"):
        prompt = prompts[name]
        turned = ViewPrompts(prompt.points.flip(0), prompt.labels.flip(0), prompt.box, prompt.mask_logits)
        found = segmenter.decode(features, [turned])[0]
        assert_same(found, alone[name], name, 1e-4)
