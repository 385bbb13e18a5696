"""`sanerf evaluate`: the keys of the contract, and scores against true masks."""

import json

import pytest
from command_process import in_a_process


def test_evaluate_prints_the_contracts_keys_alone_on_stdout(segmented):
    ended = in_a_process("evaluate", segmented.run, "--masks", segmented.masks, "--json")
    assert ended.code == 0, ended.err
    assert ended.out.count("\n") == 1
    result = json.loads(ended.out)
    assert result["views"] == 2 and result["psnr"] > 15 and 0.3 < result["ssim"] <= 1
    assert result["objects"].keys() == {"ball", "wall"}
    for name, scores in result["objects"].items():
        assert scores.keys() >= {"iou", "acc", "boundary_iou", "psnr_inside", "views"} and scores["views"] == 2
        assert scores["iou"] > 0.85 and scores["acc"] > 0.9 and 0.3 < scores["boundary_iou"] <= 1, name
        assert scores["psnr_inside"] > 15
    for key in ("iou", "acc", "boundary_iou"):
        mean = sum(scores[key] for scores in result["objects"].values()) / 2
        assert result["mean"][key] == pytest.approx(mean, abs=1e-3)
    report = (segmented.run / "report.html").read_text()
    assert "<html" in report and "ball" in report


def test_evaluate_one_object_on_flat_masks_of_other_views(segmented, sanerf, tmp_path):
    (tmp_path / "1.png").write_bytes((segmented.masks / "ball" / "1.png").read_bytes())
    ended = sanerf("evaluate", segmented.run, "--masks", tmp_path, "--name", "ball", "--views", "train",
                   "--report", tmp_path / "report.html", "--json")  # fmt: skip
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["views"] == 8 and result["objects"].keys() == {"ball"}
    assert result["objects"]["ball"]["views"] == 1 and result["objects"]["ball"]["iou"] > 0.85
