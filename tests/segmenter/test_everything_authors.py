"""Everything mode against the authors' own mask generator (PyPI's segment-anything), with the same random weights.

What they take from torchvision stands here, written out. Their clicks lie half a pixel of the input frame further than
they say; the grids are moved for it. Compared are masks at the picture's resolution, where theirs are sorted out.
"""

import importlib
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from authors_networks import small_sam, stand_ins
from tiny_models import clicks, picture

from sanerf.segmenter.everything import find_everything
from sanerf.segmenter.everything_config import EverythingConfig
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.mini.segmenter import load_mini
from sanerf.segmenter.preprocess import Frame, picture_masks
from sanerf.segmenter.protocol import MaskHypotheses, SmallMaskSegmenter
from sanerf.segmenter.windows import Window, picture_windows, window_points

HEIGHT, WIDTH, SIDE, POINTS = 120, 160, 128, 4
THRESHOLD = 4.0
CPU = torch.device("cpu")


def obvious_nms(boxes: torch.Tensor, scores: torch.Tensor, _, iou_threshold: float) -> torch.Tensor:
    """Greedy suppression, box by box. Their boxes end at the last pixel, here at its far edge."""
    kept: list[int] = []
    ended = [[x0, y0, x1 + 1, y1 + 1] for x0, y0, x1, y1 in boxes.tolist()]

    def iou(a: list[float], b: list[float]) -> float:
        sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
        shared = max(sides[0], 0) * max(sides[1], 0)
        areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
        return shared / (sum(areas) - shared)

    for i in sorted(range(len(ended)), key=lambda i: -float(scores[i])):
        if all(iou(ended[i], ended[j]) <= iou_threshold for j in kept):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.long)


class Plain:
    """A segmenter without `decode_small`, whose masks lie above `THRESHOLD`: random ones above 0 fill the picture."""

    def __init__(self, segmenter):
        self.name, self.fingerprint, self.encode = segmenter.name, segmenter.fingerprint, segmenter.encode
        self.wrapped = segmenter

    def decode(self, features, prompts):
        answers = self.wrapped.decode(features, prompts)
        return [MaskHypotheses(answer.mask_logits - THRESHOLD, answer.predicted_iou) for answer in answers]


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Iterator[tuple]:
    """The authors' generator class with a network, and our segmenter of the file that its weights were saved in."""
    pytest.importorskip("transformers", reason="the SAM family needs transformers: sanerf[sam]")
    with warnings.catch_warnings(), stand_ins(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        network = small_sam("segment_anything")
        last = network.mask_decoder.iou_prediction_head.layers[-1]
        last.weight.data *= 0.01  # so that predicted IoUs are about one half
        last.bias.data[:] = 0.5
        network.mask_threshold = THRESHOLD
        path = tmp_path_factory.mktemp("sam") / "weights.pth"
        torch.save(network.state_dict(), path)
        module = importlib.import_module("segment_anything.automatic_mask_generator")
        patch.setattr(module, "batched_nms", obvious_nms)
        patch.setattr(module, "box_area", lambda boxes: (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        yield lambda **options: module.SamAutomaticMaskGenerator(network, **options), load_segmenter(f"sam:{path}", CPU)


def moved_grids(config: EverythingConfig) -> list[np.ndarray]:
    """The authors' grids, in parts of a window, for clicks at our places; all windows of a layer have one size here."""
    windows = picture_windows(HEIGHT, WIDTH, layers=config.layers, overlap=config.window_overlap)
    first = {window.layer: window for window in reversed(windows)}
    grids = []
    for layer, window in sorted(first.items()):
        frame = Frame(window.height, window.width, SIDE)
        half = np.array([0.5 * window.width / frame.columns, 0.5 * window.height / frame.rows])
        grids.append((window_points(window, config.grid_side(layer)) - half) / [window.width, window.height])
    return grids


@pytest.mark.parametrize(
    ("layers", "duplicate_iou"), [(0, 0.7), (0, 1.0), (1, 1.0)], ids=["duplicates", "all", "windows"]
)
def test_the_same_masks_stay_as_with_the_authors_generator(pair, layers: int, duplicate_iou: float):
    generator, segmenter = pair
    config = EverythingConfig(
        points=POINTS, points_divisor=2.0, layers=layers, predicted_iou=0.3, stability=0.05, stability_offset=0.5,
        duplicate_iou=duplicate_iou, overlap="box", least_share=0.0, window_margin=0.2,
    )  # fmt: skip
    image = picture(HEIGHT, WIDTH)
    theirs = generator(
        points_per_side=None, point_grids=moved_grids(config), pred_iou_thresh=0.3, stability_score_thresh=0.05,
        stability_score_offset=0.5, box_nms_thresh=duplicate_iou, crop_nms_thresh=duplicate_iou, crop_n_layers=layers,
    ).generate(image.numpy())  # fmt: skip
    ours = find_everything(Plain(segmenter), image, config)
    assert 3 <= len(theirs) < 3 * config.clicks, "nothing was kept, or nothing dropped"
    expected = {(np.packbits(mask["segmentation"]).tobytes(), tuple(mask["crop_box"])): mask for mask in theirs}
    found = {
        (np.packbits(m.mask()).tobytes(), (m.window.x0, m.window.y0, m.window.width, m.window.height)): m for m in ours
    }
    assert len(found) == len(ours) == len(theirs) and found.keys() == expected.keys()
    for key, mask in found.items():
        assert mask.area == expected[key]["area"]
        assert mask.predicted_iou == pytest.approx(expected[key]["predicted_iou"], abs=1e-4)
        assert mask.stability == pytest.approx(expected[key]["stability_score"], abs=0.01)


def test_windows_are_where_the_authors_crops_are(pair):
    module = importlib.import_module("segment_anything.utils.amg")
    for size in ((120, 160), (481, 853), (37, 1000)):
        boxes, layers = module.generate_crop_boxes(size, 2, 512 / 1500)
        found = picture_windows(*size, layers=2, overlap=512 / 1500)
        assert {Window(*box, layer) for box, layer in zip(boxes, layers, strict=True)} == set(found)


def test_small_masks_are_the_pictures_masks_before_they_are_enlarged(pair):
    """Of a picture that fills the input frame: of others the padding is in the way."""
    image, prompts = picture(SIDE, SIDE), [clicks((40.2, 30.7, 1)), clicks((100.0, 60.0, 1))]
    _, sam = pair
    assert isinstance(sam, SmallMaskSegmenter)
    features = sam.encode(image)
    small, whole = sam.decode_small(features, prompts), sam.decode(features, prompts)
    for one, other in zip(small, whole, strict=True):
        assert one.mask_logits.shape[1:] == (32, 32) and torch.equal(one.predicted_iou, other.predicted_iou)
        assert torch.equal(picture_masks(one.mask_logits, Frame(SIDE, SIDE, SIDE)), other.mask_logits)


def test_small_masks_of_mini_cover_the_picture_and_no_padding():
    mini = load_mini(CPU, long_side=160)
    assert isinstance(mini, SmallMaskSegmenter)
    features = mini.encode(picture(90, 161))
    prompts = [clicks((40.2, 30.7, 1)), clicks((100.0, 60.0, 1))]
    for small, whole in zip(mini.decode_small(features, prompts), mini.decode(features, prompts), strict=True):
        # 161 x 90 pixels scaled to 160 x 89, at stride 2.
        assert small.mask_logits.shape == (3, 45, 80) and whole.mask_logits.shape == (3, 90, 161)
        assert torch.equal(small.predicted_iou, whole.predicted_iou)
        enlarged = torch.nn.functional.interpolate(small.mask_logits[None], (90, 161), mode="bilinear")[0]
        agree = ((enlarged > 0) == (whole.mask_logits > 0)).float().mean()
        assert agree > 0.97
