"""`sanerf segment --instant`: what it answers, that other commands take it, and that kept samples change nothing."""

import json
import shutil
from pathlib import Path

import pytest
from command_process import assert_refused, files
from command_stage import Stage


@pytest.fixture(scope="module")
def voted(stage, tmp_path_factory) -> Path:
    """A copy of the run, to be segmented."""
    return shutil.copytree(stage.run, tmp_path_factory.mktemp("voted") / "run")


def command(stage: Stage, run: Path, *options: object) -> tuple[object, ...]:
    return ("segment", run, "--prompts", stage.prompts, "--segmenter", f"masks:{stage.masks}", *options)


def newest(run: Path) -> tuple[dict, bytes]:
    """The record and the field of the newest segmentation."""
    folder = max((run / "segmentations").glob("[0-9]*"))
    return json.loads((folder / "segmentation.json").read_text()), (folder / "object.safetensors").read_bytes()


def test_it_votes_scores_and_exports_and_a_second_call_has_its_samples(stage, voted, sanerf, tmp_path):
    """In views that were not trained on; a bowl of the whole picture would have IoUs of 0.33 and 0.5."""
    ended = sanerf(*command(stage, voted, "--instant", "--json"))
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["objects"] == ["ball", "wall"] and list(result["seconds"]) == ["encode", "decode", "sample", "vote"]
    record, field = newest(voted)
    assert record["field"] == "voted"

    ended = sanerf("evaluate", voted, "--masks", stage.masks, "--json")
    assert ended.code == 0, ended.err
    scored = json.loads(ended.out)["objects"]
    assert all(scores["views"] == 2 and scores["iou"] > 0.8 for scores in scored.values()), scored
    for format_, out in (("points", "ball.ply"), ("mesh", "ball.glb"), ("masks", "masks")):
        ended = sanerf(
            "export", voted, "--name", "ball", "--format", format_, "--out", tmp_path / out,
            *(("--resolution", 24) if format_ == "mesh" else ()),
        )  # fmt: skip
        assert ended.code == 0, ended.err

    samples = voted / "coarse_samples.safetensors"
    before = samples.stat().st_mtime_ns
    ended = sanerf(*command(stage, voted, "--instant"))
    assert ended.code == 0 and "sample " in ended.out and "vote " in ended.out, ended
    assert samples.stat().st_mtime_ns == before and newest(voted)[1] == field
    # A damaged file is made anew, and nothing is said of it.
    whole = samples.read_bytes()
    samples.write_bytes(whole[:-5])
    assert sanerf(*command(stage, voted, "--instant")).code == 0
    assert samples.read_bytes() == whole and newest(voted)[1] == field


def test_a_trained_field_is_the_same_from_kept_samples(stage, segmented, sanerf, tmp_path):
    run = shutil.copytree(segmented.run, tmp_path / "run")
    assert (run / "samples.safetensors").exists()
    record, field = newest(run)
    assert record["field"] == "trained"
    ended = sanerf(*command(stage, run, "--json"))
    assert ended.code == 0, ended.err
    assert newest(run)[1] == field
    assert list(json.loads(ended.out)["seconds"]) == ["encode", "decode", "sample", "aggregate"]


def test_what_segment_refuses_it_refuses(stage, voted, sanerf, tmp_path):
    before = files(voted / "segmentations") if (voted / "segmentations").exists() else []
    ended = sanerf("segment", voted, "--prompts", tmp_path / "none.json", "--instant")
    assert_refused(ended, "there is no prompts file")
    ended = sanerf(*command(stage, voted, "--instant", "--refine", 1))
    assert_refused(ended, "--refine gives masks back to a decoder; .* has none")
    assert (files(voted / "segmentations") if (voted / "segmentations").exists() else []) == before
