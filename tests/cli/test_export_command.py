"""`sanerf export`: files that other programs open."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_process import files, size_of
from command_stage import HEIGHT, TEST, VIEWS, WIDTH

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
