"""`sanerf relink`: a run and its scene, moved together, go on where the photographs are found again."""

import json
import shutil

from command_process import assert_refused


def test_commands_that_need_photographs_say_how_to_point_the_run_at_them(segmented, sanerf, tmp_path):
    run = shutil.copytree(segmented.run, tmp_path / "run")
    scene = shutil.copytree(segmented.scene, tmp_path / "moved")
    document = json.loads((run / "run.json").read_text())
    document["scene"]["root"] = str(tmp_path / "gone")
    (run / "run.json").write_text(json.dumps(document))

    evaluate = ("evaluate", run, "--json")
    cutouts = ("export", run, "--name", "ball", "--format", "rgba", "--out", tmp_path / "cutouts")
    gone = rf"photographs of {run} are not in {tmp_path / 'gone'} any more; .* `sanerf relink {run} SCENE` tells"
    for command in (evaluate, cutouts, ("segment", run, "--prompts", segmented.prompts)):
        assert_refused(sanerf(*command), gone)
    # Rendering needs none.
    assert sanerf("render", run, "--out", tmp_path / "rendered").code == 0

    assert_refused(sanerf("relink", run, segmented.masks), r"is not the scene of .*: 10 of its 10 pictures are not")
    linked = sanerf("relink", run, scene, "--json")
    assert linked.code == 0, linked.err
    assert json.loads(linked.out) == {"run": str(run), "scene": str(scene), "views": 10}
    scored, expected = sanerf(*evaluate), sanerf("evaluate", segmented.run, "--report", tmp_path / "r.html", "--json")
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["psnr"] == json.loads(expected.out)["psnr"]
