"""Everything mode on discs, whose masks, areas and stability scores are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from disc_segmenter import Disc, DiscSegmenter, disc_mask, positions

from sanerf.errors import UserError
from sanerf.segmenter.everything import FoundMask, find_everything, label_map
from sanerf.segmenter.everything_config import PRESETS, EverythingConfig
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.protocol import MaskHypotheses, SmallMaskSegmenter

HEIGHT, WIDTH = 120, 160
PICTURE = positions(HEIGHT, WIDTH)
CONFIG = EverythingConfig(points=16, least_share=0.0)
DISCS = [Disc(30, 30, 20), Disc(110, 60, 40), Disc(110, 60, 12), Disc(40, 100, 9)]
"""Two apart, and one inside of a large one."""


def found_discs(found: list[FoundMask], discs: list[Disc]) -> list[int]:
    """The number of the disc that each mask is, exactly; -1 for none."""
    truths = [disc_mask(disc, HEIGHT, WIDTH).numpy() for disc in discs]
    return [next((i for i, t in enumerate(truths) if np.array_equal(t, mask.mask())), -1) for mask in found]


def test_the_exact_set_is_found_once_each_the_largest_first():
    found = find_everything(DiscSegmenter(DISCS), PICTURE, CONFIG)
    assert found_discs(found, DISCS) == [1, 0, 2, 3]
    for mask in found:
        pixels = mask.mask()
        rows, columns = np.nonzero(pixels)
        assert mask.area == pixels.sum()
        assert mask.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert pixels[int(mask.point[1]), int(mask.point[0])]
        assert mask.predicted_iou == pytest.approx(0.95)


def test_nothing_is_found_in_an_empty_picture():
    assert find_everything(DiscSegmenter([]), PICTURE, CONFIG) == []


def test_what_the_decoder_does_not_believe_in_goes():
    doubtful = replace(DISCS[0], belief=0.5)
    assert found_discs(find_everything(DiscSegmenter([doubtful, DISCS[1]]), PICTURE, CONFIG), DISCS) == [1]


def test_stability_is_the_quotient_of_the_discs_areas_and_decides():
    """Logits fall by 1 a pixel: above 1 and above -1 lie discs of radii r - 1 and r + 1."""
    soft = [Disc(80, 60, 50, slope=1.0), Disc(20, 20, 12, slope=1.0)]
    expected = [((d.radius - 1) / (d.radius + 1)) ** 2 for d in soft]
    assert expected == pytest.approx([0.923, 0.716], abs=1e-3)
    both = find_everything(DiscSegmenter(soft), PICTURE, replace(CONFIG, stability=0.5))
    assert [mask.stability for mask in both] == pytest.approx(expected, abs=0.03)
    assert found_discs(find_everything(DiscSegmenter(soft), PICTURE, replace(CONFIG, stability=0.8)), soft) == [0]


@pytest.mark.parametrize("overlap", ["mask", "box"])
def test_of_near_duplicates_the_best_believed_stays(overlap):
    """Discs of radius 20, neighbours 2 pixels apart: the IoU of their boxes is 38 / 42, that of their pixels 0.88."""
    twins = [Disc(60, 60, 20, belief=0.90), Disc(62, 60, 20, belief=0.97), Disc(58, 60, 20, belief=0.93)]
    config = replace(CONFIG, overlap=overlap, duplicate_iou=0.7)
    assert found_discs(find_everything(DiscSegmenter(twins), PICTURE, config), twins) == [1]
    assert len(find_everything(DiscSegmenter(twins), PICTURE, replace(config, duplicate_iou=0.95))) == 3


def test_the_order_of_discs_does_not_count():
    discs = [*DISCS, Disc(32, 31, 20), Disc(29, 30, 20), Disc(110, 61, 40, belief=0.95)]
    first = [mask.runs.tolist() for mask in find_everything(DiscSegmenter(discs), PICTURE, CONFIG)]
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(discs))
        again = find_everything(DiscSegmenter([discs[i] for i in order]), PICTURE, CONFIG)
        assert [mask.runs.tolist() for mask in again] == first
    assert len(first) == 4


def test_the_decoder_gets_no_more_prompts_at_once_than_asked_for():
    segmenter, told = DiscSegmenter(DISCS), []
    config = replace(CONFIG, points=5, prompts_a_call=7, layers=1)
    find_everything(segmenter, PICTURE, config, on_progress=lambda done, total: told.append((done, total)))
    assert segmenter.most_prompts == 7
    # 25 clicks in the picture, 2 x 2 in each of four windows.
    assert config.clicks == 41 and told == [(n, 41) for n in (7, 14, 21, 25, 29, 33, 37, 41)]


def test_windows_find_a_disc_that_is_too_small_in_the_whole_picture():
    """Seen from radius 1 / 16 of the longer side on: 10 pixels of the picture, 6.3 of a window."""
    small = [*DISCS[:3], Disc(36, 98, 8)]
    segmenter = DiscSegmenter(small, least_share=1 / 16)
    assert found_discs(find_everything(segmenter, PICTURE, CONFIG), small) == [1, 0, 2]
    found = find_everything(segmenter, PICTURE, replace(CONFIG, layers=1))
    # The large disc is cut by every window, the others are the same in pictures and windows.
    assert found_discs(found, small) == [1, 0, 2, 3]
    assert found[3].window.layer == 1 and found[0].window.layer == 0
    assert found[1].window.layer == 1, "of equal masks that of the smaller window stays"
    assert found[3].mask()[int(found[3].point[1]), int(found[3].point[0])]


def test_a_window_leaves_what_its_inner_edge_cuts_but_not_what_the_pictures_does():
    """Discs at the picture's left edge and over the middle, where the left windows end."""
    discs = [Disc(0, 20, 9), Disc(101, 20, 9)]
    found = find_everything(DiscSegmenter(discs), PICTURE, replace(CONFIG, layers=1, duplicate_iou=0.99))
    assert sorted(found_discs(found, discs)) == [0, 1]
    assert [mask.window.layer for mask in found] == [1, 1]


def test_islands_and_holes_are_taken_out_and_small_masks_dropped():
    class Speckled(DiscSegmenter):
        """Adds an island and a hole of 4 pixels each to every mask."""

        def decode(self, features, prompts):
            answers = []
            for answer in super().decode(features, prompts):
                logits = answer.mask_logits.clone()
                logits[:, 2:4, 2:4] = 5.0
                logits[:, 59:61, 109:111] *= -1
                answers.append(MaskHypotheses(logits, answer.predicted_iou))
            return answers

    discs = [DISCS[1], Disc(30, 100, 3)]
    config = replace(CONFIG, points=32, stability=0.5)
    raw = find_everything(Speckled(discs), PICTURE, config)
    assert found_discs(raw, discs) == [-1, -1]
    pixels = HEIGHT * WIDTH
    clean = find_everything(Speckled(discs), PICTURE, replace(config, least_share=5 / pixels))
    assert found_discs(clean, discs) == [0, 1]
    # The small disc has about 28 pixels.
    few = find_everything(Speckled(discs), PICTURE, replace(config, least_share=40 / pixels))
    assert found_discs(few, discs) == [0]


def test_masks_at_half_the_resolution_lead_to_the_same_masks_of_the_picture():
    class Small(DiscSegmenter):
        def decode_small(self, features, prompts):
            answers = super().decode(features, prompts)
            return [MaskHypotheses(torch.nn.functional.avg_pool2d(a.mask_logits, 2), a.predicted_iou) for a in answers]

    small = Small(DISCS)
    assert isinstance(small, SmallMaskSegmenter) and not isinstance(DiscSegmenter(DISCS), SmallMaskSegmenter)
    for layers in (0, 1):
        config = replace(CONFIG, layers=layers, stability=0.8)
        expected = find_everything(DiscSegmenter(DISCS), PICTURE, config)
        found = find_everything(small, PICTURE, config)
        assert [mask.runs.tolist() for mask in found] == [mask.runs.tolist() for mask in expected]


def test_in_the_label_map_the_smaller_lies_over_the_larger():
    found = find_everything(DiscSegmenter(DISCS), PICTURE, CONFIG)
    expected = np.zeros((HEIGHT, WIDTH), dtype=np.uint16)
    for number, disc in enumerate([DISCS[1], DISCS[0], DISCS[2], DISCS[3]], start=1):
        expected[disc_mask(disc, HEIGHT, WIDTH).numpy()] = number
    assert np.array_equal(label_map(found), expected)
    # Painted in another order of the masks, each pixel still shows the smallest.
    mirrored = label_map(found[::-1])
    assert np.array_equal(np.where(mirrored > 0, 5 - mirrored.astype(int), 0), expected)
    assert math.isclose(float((expected == 3).sum()), math.pi * 12**2, rel_tol=0.03)


def test_every_member_of_the_family_has_settings_and_nonsense_is_refused():
    assert PRESETS.keys() == {"mini", "sam", "sam-hq", "sam2"}
    assert PRESETS["sam"].predicted_iou == 0.88 and PRESETS["sam"].stability == 0.95
    assert load_segmenter("mini", torch.device("cpu")).name in PRESETS
    for wrong in ({"points": 0}, {"layers": 5}, {"predicted_iou": 1.2}, {"points_divisor": 0.5}):
        with pytest.raises(UserError, match="expected"):
            EverythingConfig(**wrong)
