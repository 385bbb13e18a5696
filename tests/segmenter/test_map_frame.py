"""Where maps lie: against what the encoders really give, and a cell by hand."""

import pytest
import torch
from tiny_models import CPU, SIDE, picture, tiny_model, tiny_sam2

from sanerf.errors import UserError
from sanerf.segmenter.family import FamilySegmenter
from sanerf.segmenter.frame import DistillableSegmenter, MapFrame
from sanerf.segmenter.mini.segmenter import load_mini
from sanerf.segmenter.sam import SAM
from sanerf.segmenter.sam2 import SAM2
from sanerf.segmenter.sam_hq import SAM_HQ


def shapes(features) -> dict[str, tuple[int, int]]:
    return {name: (value.shape[1], value.shape[2]) for name, value in features.maps.items()}


@pytest.mark.parametrize("size", [(96, 128), (90, 161), (200, 64)])
def test_minis_maps_have_the_sizes_of_its_encoders(size):
    mini = load_mini(CPU, long_side=160)
    assert isinstance(mini, DistillableSegmenter)
    frame = mini.map_frame(*size)
    assert frame.sizes == shapes(mini.encode(picture(*size)))
    # 96 x 128 is scaled by 1.25 to 120 x 160, padded to 128 x 160.
    if size == (96, 128):
        assert (frame.height, frame.width) == (128 / 1.25, 128)


@pytest.mark.parametrize(("member", "size"), [(SAM, (64, 128)), (SAM2, (64, 128)), (SAM2, (90, 90))])
def test_the_familys_maps_have_the_sizes_of_their_encoders(member, size):
    pytest.importorskip("transformers", reason="the SAM family needs transformers: sanerf[sam]")
    segmenter = FamilySegmenter(member, tiny_model("Sam") if member is SAM else tiny_sam2())
    frame = segmenter.map_frame(*size)
    assert frame.sizes == shapes(segmenter.encode(picture(*size)))
    # SAM's frame is a square that the picture fills from above; SAM 2 stretches the picture over it.
    assert (frame.height, frame.width) == ((SIDE, SIDE) if member is SAM else size)


def test_sam_hq_says_that_no_field_holds_its_features():
    pytest.importorskip("transformers", reason="the SAM family needs transformers: sanerf[sam]")
    with pytest.raises(UserError, match="early ViT features that a feature field does not hold"):
        FamilySegmenter(SAM_HQ, tiny_model("SamHQ")).map_frame(64, 128)


def test_pixels_lie_in_the_cells_that_cover_them_and_centres_leave_out_padding():
    frame = MapFrame(8.0, 12.0, 8, 9, {"map": (2, 3)})
    xy = torch.tensor([[0.5, 0.5], [3.9, 3.9], [4.1, 3.9], [8.5, 7.5]])
    assert frame.cells("map", xy).tolist() == [0, 0, 1, 5]
    centres, part = frame.centres(2, 3)
    assert part.tolist() == [0, 1, 3, 4] and centres.tolist() == [[2, 2], [6, 2], [2, 6], [6, 6]]
