"""Structure from motion on rendered pictures of known pose, interrupted and whole; and the words where it fails."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sanerf.data.transforms_json import read_transforms
from sanerf.errors import UserError
from sanerf.sfm import process as process_module
from sanerf.sfm.process import process

pycolmap = pytest.importorskip("pycolmap", reason="the extra 'colmap' is not installed")

TABLE = Path(str(files("sanerf") / "assets" / "table_scene"))
VIEWS = 14


def nothing(activity: str, done: int, total: int) -> None:
    pass


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and shift that take points to points with the least squared error (Umeyama 1991)."""
    mean_s, mean_t = source.mean(axis=0), target.mean(axis=0)
    u, values, vt = np.linalg.svd((target - mean_t).T @ (source - mean_s))
    signs = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ signs @ vt
    scale = (values * np.diag(signs)).sum() / ((source - mean_s) ** 2).sum()
    return scale, rotation, mean_t - scale * rotation @ mean_s


class Killed(Exception):
    pass


def killed(*arguments, **options):
    raise Killed


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """Neighbouring views of the bundled scene, without their poses, and `world_from_cam` of each."""
    folder = tmp_path_factory.mktemp("photos")
    views = {view.name: view for view in read_transforms(TABLE).views}
    centre = next(iter(views.values())).camera.centre
    nearest = sorted(views.values(), key=lambda view: float((view.camera.centre - centre).norm()))[:VIEWS]
    for view in nearest:
        shutil.copyfile(view.image_path, folder / view.image_path.name.replace("_", " "))
    return folder, {view.image_path.name: view.camera.world_from_cam.numpy() for view in nearest}


@pytest.mark.slow
def test_poses_of_rendered_pictures_are_found_also_after_a_kill(photos, tmp_path, monkeypatch):
    """Centres within 0.5 % of the distance to the table, directions within 0.3 degrees, after alignment; the second
    call goes on with the features of the first."""
    folder, truth = photos
    out = tmp_path / "scene"
    with monkeypatch.context() as patched:
        patched.setattr(process_module, "reconstruct", killed)
        with pytest.raises(Killed):
            process(folder, out, frames=10, seed=0, progress=nothing)
    with pytest.raises(UserError, match="unfinished work of another call"):
        process(folder, out, frames=11, seed=0, progress=nothing)
    said: list[tuple[str, int, int]] = []
    result = process(folder, out, frames=10, seed=0, progress=lambda *what: said.append(what))
    assert [what for what in said if what[0] == "features"] == [("features", VIEWS, VIEWS)]
    assert not (out / ".process").exists()
    assert result.registered == VIEWS and result.reprojection_error < 1.0

    model = pycolmap.Reconstruction(str(out / "sparse" / "0"))
    found = {image.name: image.cam_from_world().inverse().matrix() for image in model.images.values()}
    names = sorted(truth)
    centres = np.array([found[name][:, 3] for name in names])
    expected = np.array([truth[name][:3, 3] for name in names])
    scale, rotation, shift = similarity(centres, expected)
    distance = np.linalg.norm(expected, axis=1).mean()
    assert np.linalg.norm(scale * centres @ rotation.T + shift - expected, axis=1).max() < 0.005 * distance
    for name in names:
        between = (rotation @ found[name][:, :3]).T @ truth[name][:3, :3]
        assert np.degrees(np.arccos(np.clip((np.trace(between) - 1) / 2, -1, 1))) < 0.3
    document = json.loads((out / "process.json").read_text())
    assert [photo["name"] for photo in document["photos"]] == names
    assert all(photo["registered"] and photo["matches"] > 100 for photo in document["photos"])


def test_photographs_of_nothing_are_explained_and_a_full_folder_is_left_alone(tmp_path, monkeypatch):
    folder, out = tmp_path / "photos", tmp_path / "scene"
    folder.mkdir()
    for index in range(3):
        Image.new("RGB", (200, 150), (40 * index, 90, 120)).save(folder / f"{index}.png")
    # A failure that is final leaves nothing that would be in the way of a call with other photographs or frames.
    with pytest.raises(UserError, match=r"no posed scene: 0 of 3 photos registered; these 3 show too little structure"):
        process(folder, out, frames=10, seed=0, progress=nothing)
    assert not out.exists()
    with pytest.raises(UserError, match=r"no posed scene: 0 of 3 photos registered; these 3 show too little structure"):
        process(folder, out, frames=11, seed=0, progress=nothing)
    # What an older sanerf left unfinished is not gone on from: it measured sharpness otherwise.
    note, sharp = out / ".process" / "call.json", out / ".process" / "sharpness.json"
    with monkeypatch.context() as patched:
        patched.setattr(process_module, "reconstruct", killed)
        with pytest.raises(Killed):
            process(folder, out, frames=10, seed=0, progress=nothing)
    before, unfinished = sharp.read_text(), json.loads(note.read_text())
    sharp.write_text(json.dumps({name: 4711.0 for name in json.loads(before)}))
    unfinished["call"]["format_version"] = 1
    note.write_text(json.dumps(unfinished))
    with monkeypatch.context() as patched:
        patched.setattr(process_module, "reconstruct", killed)
        with pytest.raises(Killed):
            process(folder, out, frames=10, seed=0, progress=nothing)
    assert sharp.read_text() == before
    # One more, of which nothing can be seen, does not stop the others. With other photographs the call starts anew.
    (folder / "3 cut.png").write_bytes((folder / "0.png").read_bytes()[:60])
    with pytest.raises(
        UserError, match=r"0 of 4 photos registered; these 3 show .*; this one cannot be read: 3 cut\.png"
    ):
        process(folder, out, frames=10, seed=0, progress=nothing)
    (folder / "2.png").unlink()
    with pytest.raises(UserError, match=r"3 cut\.png cannot be read: .*; 2 of 3 photographs in .* can be read"):
        process(folder, out, frames=10, seed=0, progress=nothing)
    (folder / "3 cut.png").unlink()
    with pytest.raises(UserError, match="0 of 2 photos registered"):
        process(folder, out, frames=10, seed=0, progress=nothing)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty; choose another --out"):
        process(folder, other, frames=10, seed=0, progress=nothing)
    with pytest.raises(UserError, match="is one photograph; give the folder"):
        process(folder / "0.png", tmp_path / "third", frames=10, seed=0, progress=nothing)
    with pytest.raises(UserError, match="there is no folder or video"):
        process(tmp_path / "none", tmp_path / "third", frames=10, seed=0, progress=nothing)
    assert not (tmp_path / "third").exists() and [p.name for p in other.iterdir()] == ["thesis.txt"]
