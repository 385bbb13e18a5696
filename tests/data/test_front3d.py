"""3D-FRONT as Instance-NeRF has it, written by hand: axes, the room's box, parts, HDF5 masks and their names."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ball_scene import (
    CX,
    CY,
    FX,
    FY,
    HEIGHT,
    IDENTITIES,
    WIDTH,
    Shot,
    assert_balls_are_where_cameras_see_them,
    save_png,
    shots,
)
from PIL import Image

from sanerf.data.instance_maps import map_paths, read_map, read_objects, write_object_masks
from sanerf.data.load import load_scene, read_capture
from sanerf.errors import UserError

ROOM = [[-1.0, -1.0, 0.0], [3.0, 5.0, 2.5]]


def write_part(root: Path, prefix: str, taken: list[Shot], folder: str = "train") -> dict[str, Shot]:
    """`root/FOLDER/transforms.json` and its pictures; the shots by the names that views get."""
    out, frames = {}, []
    for i, shot in enumerate(taken):
        save_png(root / folder / "images" / f"{prefix}{i:03d}.png", shot.rgb)
        blender = shot.pose.copy()
        blender[:3, 1:3] *= -1
        frames.append({"file_path": f"images/{prefix}{i:03d}.png", "transform_matrix": blender.tolist()})
        out[f"{folder}/images/{prefix}{i:03d}.png"] = shot
    numbers = {"fl_x": FX, "fl_y": FY, "cx": CX, "cy": CY, "w": WIDTH, "h": HEIGHT, "k1": 0, "k2": 0, "p1": 0, "p2": 0}
    boxes = [{"extents": [1, 1, 1], "orientation": np.eye(3).tolist(), "position": [1, 2, 0.5]}]
    room = {"room_bbox": ROOM, "bounding_boxes": boxes, "aabb_scale": 2, "scale": 0.25, "offset": [0.25, 0.0, 0.2]}
    (root / folder / "transforms.json").write_text(json.dumps({**numbers, **room, "frames": frames}))
    return out


def test_balls_are_where_the_cameras_see_them(tmp_path):
    written = write_part(tmp_path, "0", shots())
    capture = read_capture(tmp_path)
    assert (capture.layout, capture.train, capture.test) == ("3d-front", None, None)
    assert_balls_are_where_cameras_see_them(capture, written)


def test_a_second_part_is_held_out(tmp_path):
    written = write_part(tmp_path, "0", shots()[:3])
    written |= write_part(tmp_path, "1", shots()[3:], "val")
    assert_balls_are_where_cameras_see_them(read_capture(tmp_path), written)
    scene = load_scene(tmp_path)
    assert [scene.views[i].name for i in scene.test] == ["val/images/1000.png", "val/images/1001.png"]
    assert len(scene.train) == 3


@pytest.mark.parametrize("inside", ["", "train"])
def test_the_room_fills_the_cube_that_is_not_contracted(tmp_path, inside):
    write_part(tmp_path, "0", shots())
    scene = load_scene(tmp_path / inside)
    corners = scene.world_from_file.apply(torch.tensor(ROOM, dtype=torch.float64))
    # The longest side, 6 of the file's units along y, is 2; the others keep their proportions, and nothing turns.
    torch.testing.assert_close(corners, torch.tensor([[-2, -3, -1.25], [2, 3, 1.25]], dtype=torch.float64) / 3)
    assert scene.far == float("inf")


@pytest.mark.parametrize(
    ("room", "sentence"),
    [
        ([[0, 0, 0], [1, 1]], "room_bbox in .* expected its least and greatest corner"),
        (5, "room_bbox in .* is 5; expected"),
        ([[0, 0, 0], [1, 0, 1]], "an empty box"),
    ],
)
def test_a_room_that_is_no_box_is_refused(tmp_path, room, sentence):
    write_part(tmp_path, "0", shots()[:2])
    source = tmp_path / "train" / "transforms.json"
    source.write_text(json.dumps({**json.loads(source.read_text()), "room_bbox": room}))
    with pytest.raises(UserError, match=sentence):
        read_capture(tmp_path)


def test_lists_of_masks_are_not_taken_for_pictures(tmp_path):
    frames = [{"file_path": "masks/0.hdf5", "transform_matrix": np.eye(4).tolist()}]
    (tmp_path / "train_transforms.json").write_text(json.dumps({"fl_x": 100, "frames": frames, "num_instances": 3}))
    with pytest.raises(UserError, match=r"lists masks \(masks/0\.hdf5, \.\.\.\) and no pictures"):
        read_capture(tmp_path)


def test_blenderprocs_masks_become_masks_of_the_named_objects(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    written = write_part(tmp_path / "scene", "0", shots())
    (tmp_path / "seg").mkdir()
    for i, shot in enumerate(shots()):
        with h5py.File(tmp_path / "seg" / f"{i}.hdf5", "w") as file:
            file["cp_instance_id_segmaps"] = shot.identities
            file["instance_segmaps"] = np.zeros_like(shot.identities)
    scene = load_scene(tmp_path / "scene")
    paths = map_paths(tmp_path / "seg", scene)
    for index, path in paths.items():
        assert np.array_equal(read_map(path), written[scene.views[index].name].identities)
    metadata = {
        "scene_bbox": [value for corner in ROOM for value in corner],
        "instances": [
            {"name": "chair.001", "id": IDENTITIES[0], "aabb": [0.9, 1.9, 0.4, 1.1, 2.1, 0.6]},
            {"name": "lamp", "id": IDENTITIES[2]},
        ],
    }
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    objects = read_objects(tmp_path / "metadata.json")
    assert objects == {"chair.001": (7,), "lamp": (12,)}
    write_object_masks(tmp_path / "seg", objects, scene, tmp_path / "masks")
    for index, view in enumerate(scene.views):
        mask = np.asarray(Image.open(tmp_path / "masks" / "chair.001" / f"{scene.output_stem(index)}.png"))
        assert np.array_equal(mask == 255, written[view.name].identities == 7)
