"""Nothing of everything mode and of refinement mixes devices, tried with a device that is only pretended."""

from dataclasses import replace

import pytest
import torch
from disc_segmenter import Disc, DiscSegmenter, disc_logits, positions

from pretended_device import DEVICE, pretended_device
from sanerf.segmenter.everything import find_everything
from sanerf.segmenter.everything_config import EverythingConfig
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, SmallMaskSegmenter, ViewPrompts
from sanerf.segmenter.refine import decode_chosen

HEIGHT, WIDTH = 60, 80
DISCS = [Disc(20, 20, 14), Disc(55, 30, 20), Disc(55, 30, 8, belief=0.92)]


class OnDevice(DiscSegmenter):
    """Its features and answers lie on the device, as a real one's do on CUDA."""

    def encode(self, image):
        features = super().encode(image)
        return replace(features, maps={"corner": features.maps["corner"].to(DEVICE)})

    def decode(self, features, prompts):
        assert features.maps["corner"].device == DEVICE
        here = replace(features, maps={"corner": features.maps["corner"].cpu()})
        return [
            MaskHypotheses(a.mask_logits.to(DEVICE), a.predicted_iou.to(DEVICE)) for a in super().decode(here, prompts)
        ]


class Small(DiscSegmenter):
    def decode_small(self, features, prompts):
        answers = self.decode(features, prompts)
        return [MaskHypotheses(torch.nn.functional.avg_pool2d(a.mask_logits, 2), a.predicted_iou) for a in answers]


class SmallOnDevice(OnDevice, Small):
    pass


@pytest.mark.parametrize(("kind", "on_device"), [(DiscSegmenter, OnDevice), (Small, SmallOnDevice)])
def test_everything_on_a_device_is_everything_on_the_cpu(kind, on_device):
    assert isinstance(on_device(DISCS), SmallMaskSegmenter) == (kind is Small)
    config = EverythingConfig(points=8, least_share=0.0, layers=1, stability=0.8)
    picture = positions(HEIGHT, WIDTH)
    expected = find_everything(kind(DISCS), picture, config)
    with pretended_device():
        found = find_everything(on_device(DISCS), picture, config)
    assert len(expected) == 3
    assert [mask.runs.tolist() for mask in found] == [mask.runs.tolist() for mask in expected]
    assert [(m.box, m.point, m.predicted_iou, m.stability) for m in found] == [
        (m.box, m.point, m.predicted_iou, m.stability) for m in expected
    ]


class Growing:
    """A disc whose radius, and the belief in it, grow with what is fed back; on a device, if it has one."""

    name = fingerprint = "growing"

    def __init__(self, low_res: bool, device: torch.device | None = None):
        self.low_res, self.device = low_res, device

    def encode(self, image):
        raise AssertionError("decoding alone is tested")

    def decode(self, features, prompts):
        out = []
        for prompt in prompts:
            fed_back = prompt.low_res_logits if self.low_res else prompt.mask_logits
            if fed_back is not None and self.device is not None:
                assert fed_back.device == self.device
            before = 0 if fed_back is None else int((fed_back > 0).sum()) * (4 if self.low_res else 1)
            radius = 5.0 + before / 60
            logits = disc_logits(Disc(20.0, 20.0, radius, slope=1.0), features.height, features.width)[None]
            belief = torch.tensor([min(0.9, radius / 15)])
            # A second hypothesis, empty, that no click inside agrees with.
            logits, belief = torch.cat([logits, -torch.ones_like(logits)]), torch.cat([belief, belief])
            if self.device is not None:
                logits, belief = logits.to(self.device), belief.to(self.device)
            out.append(MaskHypotheses(logits, belief, logits[:, ::2, ::2] if self.low_res else None))
        return out


@pytest.mark.parametrize("low_res", [True, False])
def test_refinement_on_a_device_is_refinement_on_the_cpu(low_res):
    features = ImageFeatures({}, HEIGHT, WIDTH)
    inside = ViewPrompts(torch.tensor([[20.5, 20.5]]), torch.tensor([1]))
    prompts = [inside, replace(inside, box=torch.tensor([10.0, 10.0, 31.0, 30.0]))]
    expected = decode_chosen(Growing(low_res), features, prompts, rounds=3)
    with pretended_device() as device:
        found = decode_chosen(Growing(low_res, device), features, prompts, rounds=3)
        masks = [(mask.mask_logits > 0).cpu() for mask in found]
    assert [mask.rounds for mask in expected] == [3, 3]
    for mask, on_device, of_cpu in zip(masks, found, expected, strict=True):
        assert torch.equal(mask, of_cpu.mask_logits > 0)
        assert (on_device.predicted_iou, on_device.agreement, on_device.rounds) == (
            of_cpu.predicted_iou,
            of_cpu.agreement,
            of_cpu.rounds,
        )
