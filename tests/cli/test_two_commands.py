"""Commands that write into a run folder on which another is at work."""

import shutil

import pytest
from command_process import assert_refused, files
from command_stage import write_scene

from sanerf.locks import file_lock
from sanerf.run.lock import run_lock


@pytest.mark.parametrize("command", ["train", "segment", "import-field"])
def test_a_second_command_on_a_run_is_refused_and_changes_nothing(command, stage, sanerf, tmp_path, monkeypatch):
    run = shutil.copytree(stage.run, tmp_path / "run")
    before = {name: (run / name).stat().st_mtime_ns for name in files(run)}
    arguments = {
        "train": (stage.scene, "--out", run),
        "segment": (run, "--prompts", stage.prompts, "--segmenter", f"masks:{stage.masks}"),
        "import-field": (stage.scene, "--field", tmp_path / "any.ingp", "--out", run),
    }
    # The lock is asked for once the field has been read.
    monkeypatch.setattr("sanerf.run.import_run.load_field", lambda *_, **__: NoField())
    with run_lock(run):
        ended = sanerf(command, *arguments[command])
    assert_refused(ended, r"another command \(process \d+\) is at work on \S+run; wait until it is done")
    assert {name: (run / name).stat().st_mtime_ns for name in files(run)} == before


def test_a_second_process_on_a_scene_is_refused_and_changes_nothing(sanerf, tmp_path):
    pytest.importorskip("pycolmap", reason="the extra 'colmap' is not installed")
    scene = write_scene(tmp_path / "photos", frames=3)
    out = tmp_path / "out"
    with file_lock(out / ".lock", "held by the test"):
        ended = sanerf("process", scene / "images", "--out", out)
        assert [path.name for path in out.iterdir()] == [".lock"]
    assert_refused(ended, r"another command \(process \d+\) is at work on \S+out; wait until it is done, or choose")
    assert not out.exists()


class NoField:
    def to(self, device):
        return self
