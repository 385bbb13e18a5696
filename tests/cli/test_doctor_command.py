"""`sanerf doctor`: what it tells of the machine and of a scene."""

import json

import torch
from command_stage import HEIGHT, WIDTH


def test_doctor_tells_of_the_machine_and_the_scene(stage, sanerf):
    ended = sanerf("doctor", stage.scene, "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["machine"]["torch"] == torch.__version__
    facts = result["scene"]["facts"]
    assert (facts["views"], facts["train"], facts["test"], facts["sizes"]) == (10, 8, 2, [[WIDTH, HEIGHT]])
