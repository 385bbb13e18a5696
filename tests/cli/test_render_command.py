"""`sanerf render`: the files of the contract, at test views and along a path."""

import json

import numpy as np
from command_process import assert_refused, files, size_of
from command_stage import HEIGHT, TEST, VIEWS, WIDTH, ball_mask, stage_camera
from PIL import Image

from analytic_scene import cast
from sanerf.files import open_own_folder
from sanerf.geometry.cameras import image_rays


def test_rendered_files_have_the_names_and_sizes_of_the_contract(segmented, sanerf):
    out = segmented.root / "rendered"
    ended = sanerf("render", segmented.run, "--views", "test", "--what", "rgb,depth,mask:ball,overlay:wall",
                   "--out", out, "--json")  # fmt: skip
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["views"] == 2
    kinds = {"rgb": "RGB", "depth": "RGB", "mask/ball": "L", "overlay/wall": "RGB"}
    pictures = {f"{kind}/{stem}.png": mode for kind, mode in kinds.items() for stem in TEST}
    assert files(out) == sorted([*pictures, *(f"depth/{stem}.npy" for stem in TEST)])
    for name, mode in pictures.items():
        assert size_of(out / name) == (mode, (WIDTH, HEIGHT)), name
    for stem in TEST:
        camera = stage_camera(*VIEWS[int(stem)])
        ball = ball_mask(int(stem))
        found = np.asarray(Image.open(out / "mask" / "ball" / f"{stem}.png")) > 127
        assert (found & ball).sum() / (found | ball).sum() > 0.85
        # Along the camera's axis and in the file's unit, of which the stage's is two.
        depth = np.load(out / "depth" / f"{stem}.npy")
        assert depth.shape == (HEIGHT, WIDTH) and depth.dtype == np.float32
        true_depth = 2 * cast(camera)[0].float() * image_rays(camera).z_per_distance
        off = np.abs(depth - true_depth.reshape(HEIGHT, WIDTH).numpy())[ball]
        assert float(np.nanmedian(off)) < 0.2


def test_a_camera_path_is_rendered(segmented, sanerf, tmp_path):
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[2, 3] = -2.4
    path = tmp_path / "path.json"
    frames = [{"transform_matrix": pose.tolist()}] * 2
    path.write_text(json.dumps({"w": 20, "h": 10, "fl_x": 20, "fl_y": 20, "cx": 10, "cy": 5, "frames": frames}))
    ended = sanerf("render", segmented.run, "--views", path, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert files(tmp_path / "out") == ["rgb/00000.png", "rgb/00001.png"]
    middle = np.asarray(Image.open(tmp_path / "out" / "rgb" / "00001.png"))[5, 10].astype(int)
    assert np.abs(middle - np.array([0.9, 0.2, 0.1]) * 255).max() < 40


def test_pictures_of_several_calls_lie_in_one_folder_and_nothing_of_others_is_lost(segmented, sanerf, tmp_path):
    out = tmp_path / "out"
    assert sanerf("render", segmented.run, "--what", "rgb", "--out", out).code == 0
    (out / "my_notes.txt").write_text("mine")
    assert sanerf("render", segmented.run, "--what", "depth", "--out", out).code == 0
    expected = ["my_notes.txt", *(f"rgb/{stem}.png" for stem in TEST)]
    expected += [f"depth/{stem}.{ending}" for stem in TEST for ending in ("npy", "png")]
    assert files(out) == sorted(expected)
    other = tmp_path / "everything"
    open_own_folder(other, "masks --everything")
    (other / "index.html").write_text("hours of work")
    ended = sanerf("render", segmented.run, "--what", "rgb", "--out", other)
    assert_refused(ended, "everything was written by `sanerf masks --everything`, not by `sanerf render`; choose a new")
    assert files(other) == ["index.html"]


def test_arguments_are_checked_before_the_field_is_loaded(segmented, sanerf, tmp_path, monkeypatch):
    def loaded(*_, **__):
        raise AssertionError("the field is loaded")

    monkeypatch.setattr("sanerf.cli.render.load_trained", loaded)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "holiday.txt").touch()
    (tmp_path / "bad.json").write_text('{"w": 20}')
    for options, message in (
        (("--what", "rgb,colour"), "--what knows .*, not 'colour'"),
        (("--views", "best"), "--views should be test, train, all or .*, not 'best'"),
        (("--views", tmp_path / "no.json"), r"there is no file .*no\.json"),
        (("--views", tmp_path / "bad.json"), "has no 'h'; a camera path needs"),
        (("--out", tmp_path / "mine"), "holds files that sanerf did not write"),
        (("--out", tmp_path / "bad.json"), r"cannot write .*bad\.json: it is a file, and a folder"),
    ):
        out = () if "--out" in options else ("--out", tmp_path / "out")
        assert_refused(sanerf("render", segmented.run, *options, *out), message)
    assert files(tmp_path) == ["bad.json", "mine/holiday.txt"]
