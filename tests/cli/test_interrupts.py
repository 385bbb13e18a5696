"""Control-C: what a command says then, and that `process` goes on afterwards."""

import signal

import numpy as np
import pytest
from command_process import assert_refused, files, in_a_process
from PIL import Image

WHOLE = "sanerf: interrupted; nothing is half written"

# The signal comes as a person sends it, while features are sought.
STOP = """
import os, signal
from sanerf.sfm import reconstruct
def stopped(*arguments):
    os.kill(os.getpid(), signal.SIGINT)
reconstruct._match = stopped
"""


def test_process_is_interrupted_by_a_signal_and_goes_on_with_its_pictures_and_features(sanerf, tmp_path, monkeypatch):
    pytest.importorskip("pycolmap", reason="the extra 'colmap' is not installed")
    photos, out = tmp_path / "photos", tmp_path / "scene"
    photos.mkdir()
    for index in range(3):
        Image.new("RGB", (64, 48), (40 * index, 90, 120)).save(photos / f"{index}.png")
    ended = in_a_process("process", photos, "--out", out, prelude=STOP)
    assert ended.code == 1 and ended.out == "" and "Traceback" not in ended.err
    assert ended.err.splitlines()[-1] == f"{WHOLE}, and the same command goes on from what this one has done"
    assert files(out / ".process") == ["call.json", "database.db", "sharpness.json"]

    def again(*_, **__):
        raise AssertionError("pictures are gathered again")

    monkeypatch.setattr("sanerf.sfm.process.gather_photos", again)
    assert_refused(sanerf("process", photos, "--out", out), "no posed scene: 0 of 3 photos registered")


# In the middle of pycolmap's own import, where what is raised is made something else, or nothing.
STOP_THE_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "pyceres":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


def test_process_is_interrupted_while_pycolmap_is_imported(tmp_path):
    pytest.importorskip("pycolmap", reason="the extra 'colmap' is not installed")
    photos, out = tmp_path / "photos", tmp_path / "scene"
    photos.mkdir()
    for index in range(3):
        Image.new("RGB", (64, 48), (40 * index, 90, 120)).save(photos / f"{index}.png")
    ended = in_a_process("process", photos, "--out", out, prelude=STOP_THE_IMPORT)
    assert ended.code == 1 and ended.out == "" and not out.exists()
    assert ended.err.splitlines() == [f"{WHOLE}, and the same command goes on from what this one has done"]


def test_a_process_that_finds_nothing_says_so_in_one_line_and_leaves_nothing(tmp_path):
    pytest.importorskip("pycolmap", reason="the extra 'colmap' is not installed")
    photos, out = tmp_path / "photos", tmp_path / "scene"
    photos.mkdir()
    noise = np.random.default_rng(0)
    for index in range(3):
        small = Image.fromarray(noise.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        small.resize((320, 240), Image.Resampling.NEAREST).save(photos / f"{index}.png")
    ended = in_a_process("process", photos, "--out", out)
    assert_refused(ended, "no posed scene: 0 of 3 photos registered; these 3 share no features with the others")
    assert "sfm" not in ended.err and "Failed to create" not in ended.err and not out.exists()


@pytest.mark.parametrize("command", ["export", "render", "evaluate"])
def test_a_command_that_begins_anew_does_not_promise_to_go_on(command, segmented, sanerf, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("sanerf.cli.opened.open_device", interrupted)
    options = {
        "export": ("--name", "ball", "--format", "points", "--out", tmp_path / "ball.ply"),
        "render": ("--out", tmp_path / "out"),
        "evaluate": (),
    }
    ended = sanerf(command, segmented.run, *options[command])
    assert (ended.code, ended.out) == (1, "") and ended.err.splitlines()[-1] == WHOLE
    assert list(tmp_path.iterdir()) == []


# A shell starts its background jobs so; who asks them to end means it all the same.
IN_THE_BACKGROUND = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
def asked_to_end(*arguments, **named):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    raise AssertionError("the signal was ignored")
from sanerf.cli.doctor import Doctor
Doctor.run = asked_to_end
"""


def test_a_command_in_the_background_ignores_control_c_and_ends_when_asked_to():
    ended = in_a_process("doctor", prelude=IN_THE_BACKGROUND)
    assert (ended.code, ended.out) == (1, "") and ended.err.splitlines()[-1] == WHOLE
