"""`sanerf doctor`: what it tells of the machine and of a scene."""

import json

import torch
from command_process import assert_refused
from command_stage import HEIGHT, WIDTH, write_scene


def test_doctor_tells_of_the_machine_and_the_scene(stage, sanerf):
    ended = sanerf("doctor", stage.scene, "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["machine"]["torch"] == torch.__version__
    facts = result["scene"]["facts"]
    assert (facts["views"], facts["train"], facts["test"], facts["sizes"]) == (10, 8, 2, [[WIDTH, HEIGHT]])


def test_all_pictures_that_cannot_be_read_are_named(sanerf, tmp_path):
    scene = write_scene(tmp_path / "scene", frames=4)
    (scene / "images" / "1.png").write_text("no picture")
    cut = scene / "images" / "3.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    ended = sanerf("doctor", scene)
    assert_refused(ended, r"1\.png cannot be read: it is not a picture .*; and the picture .*3\.png cannot be read")
    assert not any(f"{good}.png" in ended.err for good in (0, 2))
    # What is wrong elsewhere comes first.
    (scene / "transforms.json").write_text("{")
    assert_refused(sanerf("doctor", scene), r"transforms\.json")


def test_a_run_folder_is_called_one(stage, sanerf):
    assert_refused(sanerf("doctor", stage.run), f"is a run folder, .*; that of this run is {stage.scene}")
