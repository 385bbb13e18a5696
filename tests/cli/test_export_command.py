"""`sanerf export`: files that other programs open."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from command_process import assert_refused, files, size_of
from command_stage import HEIGHT, TEST, VIEWS, WIDTH, ball_mask
from PIL import Image

from analytic_scene import BALL_RADIUS


def test_exports_open_in_other_programs(segmented, sanerf):
    import trimesh

    out = segmented.root / "exports"

    def export(form: str, path: Path, *options: object) -> None:
        ended = sanerf("export", segmented.run, "--name", "ball", "--format", form, "--out", path, "--json", *options)
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["out"] == str(path)

    export("masks", out / "masks", "--views", "test")
    (masks,) = {path.parent for path in (out / "masks").rglob("*.png")}
    assert files(masks) == ["0.png", "8.png"]
    for stem in TEST:
        assert size_of(masks / f"{stem}.png") == ("L", (WIDTH, HEIGHT))
    export("rgba", out / "rgba", "--views", "all")
    assert files(out / "rgba") == sorted(f"{i}.png" for i in range(len(VIEWS)))
    assert size_of(out / "rgba" / "3.png") == ("RGBA", (WIDTH, HEIGHT))
    export("points", out / "ball.ply")
    export("mesh", out / "ball.glb", "--resolution", 40)
    cloud = trimesh.load(out / "ball.ply")
    mesh = trimesh.load(out / "ball.glb", force="mesh")
    # In the file's frame the ball has its centre at the origin and twice the radius.
    radii = np.linalg.norm(np.asarray(cloud.vertices), axis=1)
    assert len(radii) > 50 and float(np.median(radii)) == pytest.approx(2 * BALL_RADIUS, abs=0.2)
    assert len(mesh.faces) > 50
    assert float(np.abs(mesh.vertices).max()) < 2 * BALL_RADIUS + 0.6


def test_cut_outs_and_masks_of_another_object_are_never_lost(segmented, sanerf, tmp_path):
    def export(form: str, name: str, out: Path):
        return sanerf("export", segmented.run, "--name", name, "--format", form, "--views", "test", "--out", out)

    rgba, masks = tmp_path / "rgba", tmp_path / "masks"
    assert export("rgba", "ball", rgba).code == 0
    (rgba / "my_notes.txt").write_text("mine")
    ball = {name: (rgba / name).read_bytes() for name in files(rgba)}
    assert set(ball) == {"0.png", "8.png", "my_notes.txt"}
    assert_refused(
        export("rgba", "wall", rgba),
        "rgba was written by `sanerf export --format rgba --name ball`, not by .* --name wall`; choose a new folder",
    )
    assert export("rgba", "ball", rgba).code == 0
    assert {name: (rgba / name).read_bytes() for name in files(rgba)} == ball
    for name in ("ball", "wall"):
        assert export("masks", name, masks).code == 0
    assert files(masks) == sorted(f"{name}/{stem}.png" for name in ("ball", "wall") for stem in TEST)
    rendered = tmp_path / "rendered"
    assert sanerf("render", segmented.run, "--out", rendered).code == 0
    for out in (rendered, rgba):
        assert_refused(export("masks", "wall", out), "was written by `sanerf .*, not by `sanerf export --format masks`")
    assert_refused(export("rgba", "ball", rendered), "rendered was written by `sanerf render`, not by `sanerf export")


def test_what_cannot_work_is_refused_before_the_field_is_loaded(segmented, sanerf, tmp_path, monkeypatch):
    def loaded(*_, **__):
        raise AssertionError("the field is loaded")

    for command in ("export", "evaluate"):
        monkeypatch.setattr(f"sanerf.cli.{command}.open_trained", loaded)
    (tmp_path / "x.glb").mkdir()
    (tmp_path / "x.ply").mkdir()
    (tmp_path / "file").touch()
    export = ("export", segmented.run, "--name", "ball", "--format")
    for arguments, message in (
        ((*export, "points", "--out", tmp_path / "a.ply", "--views", "test"), "--views is for --format masks and rgba"),
        ((*export, "rgba", "--out", tmp_path / "a", "--resolution", 99), "--resolution is for --format mesh, not for"),
        ((*export, "mesh", "--out", tmp_path / "a.glb", "--resolution", 100_000), "at most 592, not 100000"),
        ((*export, "mesh", "--out", tmp_path / "a.glb", "--resolution", 10**11), "at most 592, not 100000000000"),
        ((*export, "mesh", "--out", tmp_path / "a.glb", "--resolution", 10**30), "at most 592, not 1000000"),
        ((*export, "mesh", "--out", tmp_path / "x.glb"), r"cannot write \S+x.glb: it is a folder, and a file is"),
        ((*export, "points", "--out", tmp_path / "x.ply"), r"cannot write \S+x.ply: it is a folder, and a file is"),
        ((*export, "points", "--out", tmp_path / "file" / "x.ply"), "a part of the path is a file, not a folder"),
        ((*export, "masks", "--out", tmp_path / "file" / "x"), "a part of the path is a file, not a folder"),
        (("evaluate", segmented.run, "--report", tmp_path), "cannot write .*: it is a folder, and a file is"),
        (("evaluate", segmented.run, "--report", tmp_path / "file" / "r.html"), "a part of the path is a file"),
    ):
        assert_refused(sanerf(*arguments), message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "x.glb", "x.ply"]
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    assert_refused(sanerf(*export, "mesh", "--out", tmp_path / "a.glb"), r"scikit-image.*sanerf\[mesh\]")


def test_soft_edges_are_the_cut_outs_default_and_hard_ones_the_masks(segmented, sanerf, tmp_path):
    def export(form: str, *options: object) -> dict[str, np.ndarray]:
        out = tmp_path / "-".join(map(str, (form, *options)))
        ended = sanerf("export", segmented.run, "--name", "ball", "--format", form, "--views", "test", "--out", out,
                       *options)  # fmt: skip
        assert ended.code == 0, ended.err
        return {path.stem: np.asarray(Image.open(path)) for path in out.rglob("*.png")}

    cutouts, hard_cutouts = export("rgba"), export("rgba", "--edges", "hard")
    masks, alphas = export("masks"), export("masks", "--edges", "soft")
    for stem in TEST:
        alpha = alphas[stem]
        np.testing.assert_array_equal(cutouts[stem][..., 3], alpha)
        np.testing.assert_array_equal(hard_cutouts[stem][..., 3], masks[stem])
        assert set(np.unique(masks[stem])) == {0, 255}
        # The stage's pictures are cut out themselves.
        photo = np.asarray(Image.open(segmented.scene / "images" / f"{stem}.png"))
        assert (alpha <= photo[..., 3]).all()
        ball = ball_mask(int(stem))
        for found in (masks[stem], alpha):
            assert ((found > 127) & ball).sum() / ((found > 127) | ball).sum() > 0.85
        opaque = alpha == 255
        np.testing.assert_array_equal(cutouts[stem][opaque][:, :3], photo[opaque][:, :3])
    assert any(((alpha > 0) & (alpha < 255)).any() for alpha in alphas.values())
    refused = sanerf("export", segmented.run, "--name", "ball", "--format", "mesh", "--out", tmp_path / "a.glb",
                     "--edges", "soft")  # fmt: skip
    assert_refused(refused, "--edges is for --format masks and rgba, not for mesh")


def test_a_run_of_smaller_pictures_exports_and_renders_at_the_photographs_size(segmented, sanerf, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(segmented.run, run)
    document = json.loads((run / "run.json").read_text())
    document["config"]["downscale"] = 2
    (run / "run.json").write_text(json.dumps(document))
    out = tmp_path / "masks"
    ended = sanerf("export", run, "--name", "ball", "--format", "masks", "--views", "test", "--out", out,
                   "--edges", "soft")  # fmt: skip
    assert ended.code == 0, ended.err
    assert size_of(out / "ball" / "0.png") == ("L", (WIDTH, HEIGHT))
    for options, size in (((), (WIDTH // 2, HEIGHT // 2)), (("--size", "photo"), (WIDTH, HEIGHT))):
        ended = sanerf("render", run, "--what", "rgb,mask:ball", "--out", tmp_path / f"render{len(options)}", *options)
        assert ended.code == 0, ended.err
        for name in ("rgb/0.png", "mask/ball/0.png"):
            assert size_of(tmp_path / f"render{len(options)}" / name)[1] == size
    path = tmp_path / "path.json"
    path.write_text("{}")
    refused = sanerf("render", run, "--views", path, "--size", "photo", "--out", tmp_path / "other")
    assert_refused(refused, r"--size photo is for views of the scene; \S+path.json says the size of its own")
