"""What several commands refuse alike: names, views, outputs and folders that are not there."""

import json
from pathlib import Path

from command_process import assert_refused, files, in_a_process

from sanerf.cli.evaluate import Evaluate
from sanerf.cli.export import Export
from sanerf.cli.import_field import ImportField
from sanerf.cli.main import run_command
from sanerf.cli.masks import Masks
from sanerf.cli.render import Render
from sanerf.cli.segment import Segment
from sanerf.cli.train import Train
from sanerf.files import FOLDER_MARKER, write_text


def test_objects_views_and_outputs_that_are_not_there_are_named(segmented, sanerf, tmp_path):
    run, out = segmented.run, tmp_path / "out"
    for arguments, message in (
        (("render", run, "--what", "mask:cup", "--out", out), "has no object 'cup'; its objects are: ball, wall"),
        (("render", run, "--what", "rgb,colour", "--out", out), "--what knows .*, not 'colour'"),
        (("render", run, "--views", "best", "--out", out), "--views should be test, train, all or .*, not 'best'"),
        (("render", run, "--views", tmp_path / "no.json", "--out", out), "no.json"),
        (("export", run, "--name", "cup", "--format", "masks", "--out", out), "has no object 'cup'"),
        (("export", run, "--name", "ball", "--format", "points", "--out", tmp_path / "a.xyz"), "written as .ply"),
        (
            ("export", run, "--name", "ball", "--format", "mesh", "--out", tmp_path / "a.usd"),
            "written as .ply, .glb, .obj",
        ),
        (("evaluate", run, "--masks", tmp_path / "none"), "there is no masks folder"),
        (("evaluate", run, "--masks", segmented.masks, "--name", "cup"), "has no object 'cup'"),
        (("bench", "aggregator", run, "--out", out, "--arms", ","), "there is no arm to compare; there are full, "),
        (("evaluate", run, "--name", "ball"), "--name needs --masks"),
        (("evaluate", run, "--masks", tmp_path, "--name", "ball"), "no view that was scored has a true mask of 'ball'"),
    ):
        assert_refused(sanerf(*arguments), message)
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "holiday.txt").touch()
    assert_refused(sanerf("render", run, "--out", tmp_path / "mine"), "holds files that sanerf did not write")
    assert_refused(sanerf("demo", "--out", tmp_path / "mine"), "holds files that sanerf did not write")
    assert files(tmp_path) == ["mine/holiday.txt"]
    write_text(tmp_path / "theirs" / FOLDER_MARKER, "render\n")
    assert_refused(sanerf("demo", "--out", tmp_path / "theirs"), "was written by `sanerf render`, not by `sanerf demo`")


def test_folders_that_are_no_trained_run_are_refused(stage, sanerf, tmp_path):
    render = ("--out", tmp_path / "out")
    assert_refused(sanerf("render", tmp_path / "nowhere", *render), "is no run folder: it has no run.json")
    run = tmp_path / "run"
    run.mkdir()
    document = json.loads((stage.run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(document))
    assert_refused(sanerf("render", run, *render), "is not trained to its end yet; run `sanerf train`")
    (run / "run.json").write_text(json.dumps({**document, "format_version": 99}))
    assert_refused(sanerf("render", run, *render), "was written in run format 99, this sanerf reads formats up to 2")
    assert_refused(sanerf("train", stage.scene, "--out", run), "was written in run format 99")
    (run / "run.json").write_text("{")
    assert_refused(sanerf("render", run, *render), "cannot be read .* it is damaged")
    assert not (tmp_path / "out").exists()


def test_what_needs_less_memory_is_said_with_options_that_there_are(monkeypatch, capsys):
    def out_of_memory(_: object) -> None:
        raise MemoryError

    some = Path("some")
    for command, own in (
        (Train(scene=some, out=some), True),
        (ImportField(scene=some, field=some, out=some), True),
        (Render(run_folder=some, out=some), False),
        (Segment(run_folder=some, prompts=some), False),
        (Evaluate(run_folder=some), False),
        (Export(run_folder=some, name="a", format="mesh", out=some), False),
        (Masks(scene=some), False),
    ):
        monkeypatch.setattr(type(command), "run", out_of_memory)
        assert run_command(command) == 1
        said = capsys.readouterr().err
        assert said.startswith("sanerf: out of memory; ") and said.count("\n") == 1
        # Its own option, not the one of the `train` that made the run.
        assert ("--downscale" in said.replace("train --downscale", "")) == own == hasattr(command, "downscale")


def test_a_refusal_in_a_process_of_its_own_is_two_on_the_shell_and_one_line(tmp_path):
    ended = in_a_process("train", tmp_path / "nowhere", "--out", tmp_path / "run")
    assert_refused(ended, "there is no folder")
    assert list(tmp_path.iterdir()) == []
