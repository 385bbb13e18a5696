"""`sanerf segment --instant`: what it answers, that other commands take it, and that kept samples change nothing."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from command_process import assert_refused, files
from command_stage import Stage, ball_mask

from sanerf.errors import UserError
from sanerf.kernels.backend import kernels_for
from sanerf.prompts.file import read_prompts
from sanerf.run.decoding import MaskSource
from sanerf.run.folder import load_renderer, open_run
from sanerf.run.lock import run_lock
from sanerf.run.segment_run import segment_and_refine
from sanerf.run.segmentation import load_segmentations, render_objects


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
    assert result["objects"] == ["ball", "wall"] and list(result["seconds"]) == [
        "encode",
        "decode",
        "sample",
        "vote",
        "revise",
        "assess",
    ]
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


def test_the_vote_can_be_used_while_the_object_field_starts_from_it(stage, tmp_path):
    """The first answer is on disk and another reader renders it while the second is worked at, which takes its place
    and, starting from it, is no worse."""
    run = open_run(shutil.copytree(stage.run, tmp_path / "run"))
    kernels = kernels_for("numba", torch.device("cpu"))
    renderer = load_renderer(run, kernels, torch.device("cpu"))
    said = []
    answers = segment_and_refine(
        run, renderer, read_prompts(stage.prompts), MaskSource(f"masks:{stage.masks}"),
        seed=0, progress=lambda activity, *_: said.append(activity),
    )  # fmt: skip
    ious = []
    for kind, stages in (("voted", []), ("refined", ["revise", "refine"])):
        answer, seconds = next(answers)
        (stored,) = load_segmentations(open_run(run.path), kernels, torch.device("cpu"))
        assert stored.path == answer.path and stored.record["field"] == kind
        assert [stage for stage in ("revise", "refine") if seconds[stage] > 0] == stages
        rendered = render_objects(renderer, run.scene.views[8].camera, [stored], run.background)
        found, true = rendered.mask("ball"), torch.from_numpy(ball_mask(8))
        ious.append(int((found & true).sum()) / int((found | true).sum()))
        with pytest.raises(UserError, match="at work on"), run_lock(run.path):
            pass
    assert next(answers, None) is None and "refine" in said
    assert 0.8 < ious[0] <= ious[1]
    with run_lock(run.path):
        pass


def test_it_goes_on_where_asked_and_says_when_each_answer_was_there(stage, sanerf, tmp_path):
    run = shutil.copytree(stage.run, tmp_path / "run")
    assert_refused(sanerf(*command(stage, run, "--then-refine")), "--then-refine goes on from the answer of --instant")
    ended = sanerf(*command(stage, run, "--instant", "--then-refine", "--json"))
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert list(result["seconds"]) == ["encode", "decode", "sample", "vote", "revise", "refine", "assess"]
    voted_after, refined_after = result["answered_after"]
    assert 0 < voted_after < refined_after and sum(result["seconds"].values()) < refined_after
    assert "voted answer stored in" in ended.err and "refined answer stored in" in ended.err
    assert newest(run)[0]["field"] == "refined" and len(list((run / "segmentations").glob("[0-9]*"))) == 1
    ended = sanerf("export", run, "--name", "ball", "--format", "points", "--out", tmp_path / "ball.ply")
    assert ended.code == 0, ended.err


def test_a_trained_field_is_the_same_from_kept_samples(stage, segmented, sanerf, tmp_path):
    run = shutil.copytree(segmented.run, tmp_path / "run")
    assert (run / "samples.safetensors").exists()
    record, field = newest(run)
    assert record["field"] == "trained"
    ended = sanerf(*command(stage, run, "--json"))
    assert ended.code == 0, ended.err
    assert newest(run)[1] == field
    assert list(json.loads(ended.out)["seconds"]) == ["encode", "decode", "sample", "aggregate", "assess"]


def test_what_segment_refuses_it_refuses(stage, voted, sanerf, tmp_path):
    before = files(voted / "segmentations") if (voted / "segmentations").exists() else []
    ended = sanerf("segment", voted, "--prompts", tmp_path / "none.json", "--instant")
    assert_refused(ended, "there is no prompts file")
    ended = sanerf(*command(stage, voted, "--instant", "--refine", 1))
    assert_refused(ended, "--refine gives masks back to a decoder; .* has none")
    assert (files(voted / "segmentations") if (voted / "segmentations").exists() else []) == before
