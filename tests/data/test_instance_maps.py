"""Instance maps: every kind of file, whose map is whose, the list of values, and masks written from them."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_writer import save_json, write_transforms

from sanerf.data.images import load_mask
from sanerf.data.instance_maps import Instance, list_instances, map_paths, read_map, read_objects, write_object_masks
from sanerf.data.load import load_scene
from sanerf.data.mask_files import mask_paths
from sanerf.errors import UserError


def maps(count: int = 3) -> list[np.ndarray]:
    """Maps of 8x6: 3 in the left half of all, 40 in one column more with each view, 900 in the last view alone."""
    out = []
    for i in range(count):
        values = np.zeros((6, 8), dtype=np.uint16)
        values[:, :4] = 3
        values[:, 5 : 6 + i] = 40
        out.append(values)
    out[-1][0, 4] = 900
    return out


def write_maps(folder: Path, form: str = "{:03d}.png") -> Path:
    folder.mkdir(parents=True)
    for i, values in enumerate(maps()):
        Image.fromarray(values).save(folder / form.format(i))
    return folder


def test_values_are_those_of_the_file_in_every_form(tmp_path):
    values = np.array([[0, 1, 250], [7, 2, 0]], dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "grey.png")
    palette = Image.frombytes("P", (3, 2), values.tobytes())
    palette.putpalette([255 - i // 3 for i in range(768)])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(values.astype(np.uint16) * 200).save(tmp_path / "sixteen.png")
    np.save(tmp_path / "signed.npy", values.astype(np.int64)[..., None] - 1)
    assert np.array_equal(read_map(tmp_path / "grey.png"), values)
    assert np.array_equal(read_map(tmp_path / "palette.png"), values)
    assert np.array_equal(read_map(tmp_path / "sixteen.png"), values.astype(int) * 200)
    assert np.array_equal(read_map(tmp_path / "signed.npy"), values.astype(int) - 1)


def test_a_map_belongs_to_the_view_of_its_stem_or_of_its_number(tmp_path):
    write_transforms(tmp_path / "scene", count=3)
    scene = load_scene(tmp_path / "scene")
    by_stem = write_maps(tmp_path / "by_stem")
    by_number = write_maps(tmp_path / "by_number", "segmentation_{:05d}.png")
    for folder in (by_stem, by_number):
        assert [path.name[-5:] for path in map_paths(folder, scene).values()] == ["0.png", "1.png", "2.png"]
    (by_number / "segmentation_00001.png").unlink()
    assert set(map_paths(by_number, scene)) == {0, 2}
    np.save(by_number / "mask_2.npy", maps()[2])
    with pytest.raises(UserError, match=r"has mask_2\.npy and segmentation_00002\.png for the view 002\.png; keep one"):
        map_paths(by_number, scene)
    with pytest.raises(UserError, match=r"has no instance map for any of the 3 views; expected files like 000\.png"):
        map_paths(tmp_path / "nowhere", scene)


def test_one_map_is_never_that_of_two_views(tmp_path):
    content = write_transforms(tmp_path / "scene", count=2)
    for i, name in enumerate(("left_7", "right_7")):
        (tmp_path / "scene" / "images" / f"00{i}.png").rename(tmp_path / "scene" / "images" / f"{name}.png")
        content["frames"][i]["file_path"] = f"images/{name}.png"
    save_json(tmp_path / "scene" / "transforms.json", content)
    (tmp_path / "maps").mkdir()
    np.save(tmp_path / "maps" / "7.npy", maps()[0])
    with pytest.raises(UserError, match="one map would be that of several views"):
        map_paths(tmp_path / "maps", load_scene(tmp_path / "scene"))


def test_the_list_has_every_value_where_it_is_largest(tmp_path):
    write_transforms(tmp_path / "scene", count=3)
    found = list_instances(write_maps(tmp_path / "maps"), load_scene(tmp_path / "scene"))
    assert [(entry.value, entry.views, entry.example, entry.pixels) for entry in found] == [
        (3, 3, 0, 24),
        (40, 3, 2, 18),
        (900, 1, 2, 1),
    ]
    assert found[2] == Instance(900, 1, 2, 1, (4.5, 0.5))
    for entry in found:
        x, y = entry.xy
        assert maps()[entry.example][int(y), int(x)] == entry.value


def test_masks_are_written_as_mask_files_says_empty_ones_included(tmp_path):
    write_transforms(tmp_path / "scene", count=3)
    scene = load_scene(tmp_path / "scene")
    folder, out = write_maps(tmp_path / "maps"), tmp_path / "masks"
    assert write_object_masks(folder, {"shelf": (3, 40), "pin": (900,)}, scene, out) == {"shelf": 3, "pin": 1}
    for name, numbers in (("shelf", (3, 40)), ("pin", (900,))):
        paths = mask_paths(out, name, scene, [0, 1, 2])
        assert len(paths) == 3
        for index, path in paths.items():
            assert np.array_equal(load_mask(path).numpy(), np.isin(maps()[index], numbers))


def test_an_object_that_no_map_has_leaves_nothing_behind(tmp_path):
    write_transforms(tmp_path / "scene", count=3)
    scene = load_scene(tmp_path / "scene")
    with pytest.raises(UserError, match=r"'chair' \(value 5\) is in none of the 3 maps"):
        write_object_masks(write_maps(tmp_path / "maps"), {"shelf": (3,), "chair": (5,)}, scene, tmp_path / "masks")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps", "scene"]


def test_objects_are_named_in_either_form(tmp_path):
    file = tmp_path / "objects.json"
    file.write_text('{"chair": 12, "table": [3, 4]}')
    assert read_objects(file) == {"chair": (12,), "table": (3, 4)}
    # Two instances of one name are one object.
    file.write_text('{"instances": [{"name": "chair", "id": 1}, {"name": "chair", "id": 9}]}')
    assert read_objects(file) == {"chair": (1, 9)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"chair": "12"}', "gives 'chair' the values '12'; expected"),
        ('{"chair": []}', "gives 'chair' the values"),
        ('{"chair": [1, 0]}', "whole numbers above 0"),
        ('{"chair": true}', "gives 'chair' the values True"),
        ('{"a/b": 1}', "calls an object 'a/b', which cannot be the name of a folder"),
        ('{"instances": [{"id": 3}]}', "gives None the values 3"),
        ("{}", "names no object"),
    ],
)
def test_unusable_lists_of_objects_are_refused(tmp_path, text, sentence):
    (tmp_path / "objects.json").write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_objects(tmp_path / "objects.json")


def test_files_that_are_no_maps_are_refused_in_a_sentence(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "colours.png")
    with pytest.raises(UserError, match=r"is a coloured picture \(RGB\); expected an instance map"):
        read_map(tmp_path / "colours.png")
    np.save(tmp_path / "floats.npy", np.zeros((4, 4)))
    with pytest.raises(UserError, match=r"holds float64 of shape \(4, 4\); expected h x w whole numbers"):
        read_map(tmp_path / "floats.npy")
    np.save(tmp_path / "probabilities.npy", np.zeros((4, 4, 21), dtype=np.int8))
    with pytest.raises(UserError, match=r"of shape \(4, 4, 21\)"):
        read_map(tmp_path / "probabilities.npy")
    for name in ("broken.npy", "broken.png"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(UserError, match=r"broken"):
            read_map(tmp_path / name)


def test_hdf5_files_need_one_array_or_blenderprocs_and_their_package(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    with h5py.File(tmp_path / "0.hdf5", "w") as file:
        file["labels"] = maps()[0]
    assert np.array_equal(read_map(tmp_path / "0.hdf5"), maps()[0])
    with h5py.File(tmp_path / "0.hdf5", "a") as file:
        file["depth"] = np.zeros((6, 8))
    with pytest.raises(UserError, match="has no 'cp_instance_id_segmaps' and no other single array"):
        read_map(tmp_path / "0.hdf5")
    (tmp_path / "1.hdf5").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"1\.hdf5 is not a readable HDF5 file"):
        read_map(tmp_path / "1.hdf5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"this needs h5py, which is not installed: pip install 'sanerf\[hdf5\]'"):
        read_map(tmp_path / "0.hdf5")
