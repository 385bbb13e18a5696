"""Which file is whose mask: names, stems, and stems that two views share."""

from pathlib import Path

import torch

from sanerf.data.mask_files import mask_paths
from sanerf.data.scene import Scene, View
from sanerf.geometry.cameras import Camera
from sanerf.geometry.transforms import IDENTITY

CAMERA = Camera(4, 3, 4.0, 4.0, 2.0, 1.5, torch.eye(4, dtype=torch.float64))


def scene_of(*names: str) -> Scene:
    views = tuple(View(name, Path("images", name), CAMERA) for name in names)
    return Scene(Path("."), "made up", views, tuple(range(len(views))), (), IDENTITY, 0.05, 3.0)


def touch(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def found(root: Path, name: str, scene: Scene, views=None, single_object: bool = False) -> dict[int, str]:
    views = range(len(scene.views)) if views is None else views
    paths = mask_paths(root, name, scene, list(views), single_object=single_object)
    return {index: path.relative_to(root).as_posix() for index, path in paths.items()}


def test_a_view_without_a_file_is_left_out_and_full_stops_in_names_stay(tmp_path):
    touch(tmp_path, "cape/a.png", "cape/c.d.png", "cape/c.png")
    scene = scene_of("a.jpg", "b.jpg", "c.d.jpg")
    assert found(tmp_path, "cape", scene) == {0: "cape/a.png", 2: "cape/c.d.png"}
    assert found(tmp_path, "cape", scene, views=[1, 2]) == {2: "cape/c.d.png"}
    assert found(tmp_path, "hat", scene) == {}


def test_one_object_needs_no_folder_but_its_folder_goes_before(tmp_path):
    touch(tmp_path, "cape/a.png", "b.png")
    scene = scene_of("a.jpg", "b.jpg")
    assert found(tmp_path, "cape", scene, single_object=True) == {0: "cape/a.png"}
    assert found(tmp_path, "hat", scene, single_object=True) == {1: "b.png"}
    assert found(tmp_path, "hat", scene) == {}


def test_views_of_equal_stem_share_no_mask(tmp_path):
    scene = scene_of("left/a.jpg", "right/a.jpg", "right/b.jpg")
    touch(tmp_path, "cape/a.png")
    assert found(tmp_path, "cape", scene) == {}
    # Where one of the two is not asked about, the stem is unique: masks of test views that training views also have.
    assert found(tmp_path, "cape", scene, views=[1, 2]) == {1: "cape/a.png"}
    touch(tmp_path, "cape/b.png", "cape/left-a.png", "cape/right-a.png")
    assert found(tmp_path, "cape", scene) == {0: "cape/left-a.png", 1: "cape/right-a.png", 2: "cape/b.png"}
    touch(tmp_path, "cape/right/a.png", "cape/right/b.png")
    assert found(tmp_path, "cape", scene) == {0: "cape/left-a.png", 1: "cape/right/a.png", 2: "cape/right/b.png"}
