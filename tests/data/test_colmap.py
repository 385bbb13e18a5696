"""COLMAP's models: layouts, text and binary, pictures that are missing, and what is refused."""

import math
import re
import shutil
import sys

import numpy as np
import pytest
import torch
from colmap_writer import HEIGHT, SHRUNK, WIDTH, write_colmap
from scene_writer import write_picture, write_transforms

from sanerf.data.check import check_scene
from sanerf.data.colmap import find_model, read_colmap
from sanerf.data.load import load_scene
from sanerf.errors import MissingExtraError, UserError
from sanerf.geometry.cameras import project
from sanerf.geometry.lenses import PINHOLE, Lens

pytest.importorskip("pycolmap", reason="pycolmap reads COLMAP's models: pip install 'sanerf[colmap]'")

CAMERAS = """# Camera list with one line of data per camera:
1 PINHOLE 16 12 20 22 8.5 6.25
3 OPENCV_FISHEYE 8 6 5 5 4 3 0.1 0 0 0
"""
# Image 7 is turned by 90 degrees about its y axis (w, x, y, z = cos 45, 0, sin 45, 0): world +x lies at its -z.
IMAGES = """# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME
2 1 0 0 0 0.5 -1 2 1 a.png
8.5 6.25 4
7 0.7071067811865476 0 0.7071067811865476 0 0 0 3 3 deep/b.png

9 1 0 0 0 0 0 0 1 c.png

"""
POINTS = "4 -0.5 1 5 10 20 30 0.1 2 0\n"


def write_by_hand(root, folder="sparse/0", pictures=("a.png", "deep/b.png", "c.png")):
    """A text model of the oldest form, cameras, images and points3D, with pictures of 8 x 6."""
    (root / folder).mkdir(parents=True)
    for name, text in (("cameras", CAMERAS), ("images", IMAGES), ("points3D", POINTS)):
        (root / folder / f"{name}.txt").write_text(text)
    for name in pictures:
        write_picture(root / "images" / name)
    return root


def test_a_model_written_by_hand(tmp_path):
    capture = read_colmap(write_by_hand(tmp_path))
    assert [view.name for view in capture.views] == ["a.png", "c.png", "deep/b.png"]
    assert (capture.layout, capture.warnings, capture.train, capture.has_alpha) == ("colmap", (), None, False)
    first, _, turned = (view.camera for view in capture.views)
    # Calibrated for 16 x 12, the picture has 8 x 6.
    assert (first.width, first.height, first.fx, first.fy, first.cx, first.cy) == (8, 6, 10.0, 11.0, 4.25, 3.125)
    assert first.lens == PINHOLE and turned.lens == Lens("fisheye", (0.1,))
    assert first.world_from_cam[:3, 3].tolist() == [-0.5, 1.0, -2.0]
    # R takes x to -z and z to x; the centre is -R^T (0, 0, 3).
    expected = torch.tensor([[0, 0, -1, 3], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(turned.world_from_cam, expected, rtol=0, atol=1e-12)
    # The one 3D point lies on the first camera's axis: it is seen at the optical centre.
    xy, depth_z = project(first, torch.tensor([[-0.5, 1.0, 5.0]], dtype=torch.float64))
    torch.testing.assert_close(xy, torch.tensor([[4.25, 3.125]], dtype=torch.float64))
    assert depth_z.tolist() == [7.0]


def test_text_and_binary_are_the_same_capture(tmp_path):
    write_colmap(tmp_path / "binary", "OPENCV", cameras=2)
    write_colmap(tmp_path / "text", "OPENCV", cameras=2, text=True)
    assert (tmp_path / "binary/sparse/0/rigs.bin").is_file() and (tmp_path / "text/sparse/0/frames.txt").is_file()
    pairs = zip(read_colmap(tmp_path / "binary").views, read_colmap(tmp_path / "text").views, strict=True)
    for binary, text in pairs:
        assert (binary.name, binary.camera.lens, binary.camera.fx) == (text.name, text.camera.lens, text.camera.fx)
        torch.testing.assert_close(binary.camera.world_from_cam, text.camera.world_from_cam, rtol=0, atol=1e-12)


@pytest.mark.parametrize("folder", ["sparse/0", "sparse", "colmap/sparse/0"])
def test_the_model_may_lie_in_three_places(tmp_path, folder):
    scene = load_scene(write_by_hand(tmp_path, folder))
    assert find_model(tmp_path) == tmp_path / folder
    assert (scene.layout, len(scene.views), scene.test) == ("colmap", 3, (0,))


def test_a_transforms_json_goes_before_the_model_that_it_was_made_of(tmp_path):
    write_by_hand(tmp_path, "colmap/sparse/0")
    write_transforms(tmp_path)
    assert load_scene(tmp_path).layout == "transforms.json"


def test_full_size_pictures_go_before_smaller_ones_and_those_before_none(tmp_path):
    write_by_hand(tmp_path)
    for divisor in (4, 2):
        for name in ("a.png", "deep/b.png", "c.png"):
            write_picture(tmp_path / f"images_{divisor}" / name, 8 // divisor, 6 // divisor)
    assert read_colmap(tmp_path).views[0].camera.width == 8
    shutil.rmtree(tmp_path / "images")
    camera = read_colmap(tmp_path).views[0].camera
    # images_2 of a calibration for 16 x 12: the pictures have 4 x 3.
    assert (camera.width, camera.height, camera.fx, camera.cy) == (4, 3, 5.0, 1.5625)
    shutil.rmtree(tmp_path / "images_2")
    assert read_colmap(tmp_path).views[0].image_path == tmp_path / "images_4" / "a.png"


def test_smaller_copies_may_have_another_ending(tmp_path):
    write_by_hand(tmp_path, pictures=("deep/b.jpg", "a.jpg", "c.png", "c.jpg"))
    capture = read_colmap(tmp_path)
    assert [view.name for view in capture.views] == ["a.jpg", "c.png", "deep/b.jpg"]


def test_pictures_may_lie_beside_the_model(tmp_path):
    write_by_hand(tmp_path, pictures=())
    for name in ("a.png", "c.png", "d.png", "masks/a.png"):
        write_picture(tmp_path / name)
    capture = read_colmap(tmp_path)
    assert [view.image_path for view in capture.views] == [tmp_path / "a.png", tmp_path / "c.png"]
    assert capture.warnings == (
        f"1 picture of the 3 with a pose left out, for want of the file in {tmp_path.name}: deep/b.png",
        f"1 of the 3 photographs in {tmp_path.name} left out, for want of a pose (COLMAP did not register them): d.png",
    )


def test_missing_pictures_and_photographs_without_a_pose_give_one_sentence_each(tmp_path):
    reconstruction = write_colmap(tmp_path)
    names = sorted(image.name for image in reconstruction.images.values())
    for name in names[:5]:
        (tmp_path / "images" / name).unlink()
    for i in range(2):
        write_picture(tmp_path / "images" / f"blurry{i}.png", WIDTH // SHRUNK, HEIGHT // SHRUNK)
    capture = read_colmap(tmp_path)
    assert [view.name for view in capture.views] == names[5:]
    assert capture.warnings == (
        f"5 pictures of the 8 with a pose left out, for want of the file in images: {', '.join(names[:3])}, ...",
        "2 of the 5 photographs in images left out, for want of a pose (COLMAP did not register them): "
        "blurry0.png, blurry1.png",
    )


def test_pictures_that_colmap_lists_without_a_pose_are_counted(tmp_path):
    import pycolmap

    reconstruction = write_colmap(tmp_path)
    frame = reconstruction.reg_frame_ids()[0]
    name = next(image.name for image in reconstruction.images.values() if image.frame_id == frame)
    reconstruction.deregister_frame(frame)
    assert isinstance(reconstruction, pycolmap.Reconstruction) and reconstruction.num_images() == 8
    reconstruction.write_binary(tmp_path / "sparse/0")
    capture = read_colmap(tmp_path)
    assert len(capture.views) == 7 and name not in {view.name for view in capture.views}
    assert len(capture.warnings) == 1 and capture.warnings[0].startswith("1 of the 8 photographs in images left out")


def test_separate_models_are_told_of(tmp_path):
    write_by_hand(tmp_path)
    for number in ("1", "2"):
        shutil.copytree(tmp_path / "sparse/0", tmp_path / "sparse" / number)
    assert read_colmap(tmp_path).warnings == (
        "COLMAP made 3 separate models of these photographs; 0 is read, 1, 2 not",
    )


def test_pictures_with_transparent_pixels_make_a_scene_with_alpha(tmp_path):
    write_by_hand(tmp_path, pictures=())
    for name in ("a.png", "deep/b.png", "c.png"):
        write_picture(tmp_path / "images" / name, mode="RGBA")
    assert read_colmap(tmp_path).has_alpha


def test_doctor_reads_the_scene(tmp_path):
    write_colmap(tmp_path, "OPENCV_FISHEYE")
    report = check_scene(tmp_path)
    assert (report.facts["layout"], report.facts["views"], report.facts["distorted"]) == ("colmap", 8, True)
    assert "8 views (32x24) in the colmap layout" in report.sentences[0]


def edit(root, file, old, new):
    path = root / "sparse/0" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("cameras.txt", "1 PINHOLE 16 12 20 22 8.5 6.25", "1 EQUIRECTANGULAR 16 12 16 12",
         "a.png in .* has the model EQUIRECTANGULAR, which is no lens in front of a picture .*; cut panoramas"),
        ("cameras.txt", "20 22", "20 -22", r"camera of a.png in .* has the parameters .*positive focal lengths"),
        ("cameras.txt", "PINHOLE", "BOX", "is no COLMAP model that pycolmap .* can read"),
        ("cameras.txt", "16 12 20", "16 20 20", "is 8x6 but its calibration is for 16x20, another shape"),
        ("images.txt", "0.5 -1 2 1 a.png", "nan -1 2 1 a.png", "a.png in .* not finite numbers|can read"),
        ("images.txt", "7 0.7071067811865476", "7 seven", "is no COLMAP model that pycolmap .* can read"),
        ("images.txt", IMAGES, "", "has no picture with a pose; COLMAP registered none of 0"),
    ],
)  # fmt: skip
def test_unusable_models_are_refused_in_a_sentence(tmp_path, file, old, new, sentence):
    write_by_hand(tmp_path)
    edit(tmp_path, file, old, new)
    with pytest.raises(UserError, match=sentence) as refusal:
        read_colmap(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("file", ["cameras.bin", "images.bin", "rigs.bin"])
def test_damaged_binary_models_are_refused_in_a_sentence(tmp_path, file):
    write_colmap(tmp_path)
    path = tmp_path / "sparse/0" / file
    path.write_bytes(path.read_bytes()[:21])
    with pytest.raises(UserError, match=r"is no COLMAP model that pycolmap .* can read .*; make it anew"):
        read_colmap(tmp_path)


@pytest.mark.parametrize("text", [False, True])
def test_the_points_of_the_model_are_not_needed(tmp_path, text):
    write_colmap(tmp_path, text=text)
    points = tmp_path / "sparse/0" / ("points3D.txt" if text else "points3D.bin")
    whole = read_colmap(tmp_path)
    points.write_bytes(points.read_bytes()[:21])
    damaged = read_colmap(tmp_path)
    points.unlink()
    without = read_colmap(tmp_path)
    for views in (damaged.views, without.views):
        for view, expected in zip(views, whole.views, strict=True):
            assert torch.equal(view.camera.world_from_cam, expected.camera.world_from_cam)


def test_a_model_without_pictures_is_refused(tmp_path):
    write_by_hand(tmp_path, pictures=())
    first = re.escape(str(tmp_path / "images" / "a.png"))
    with pytest.raises(
        UserError, match=f"none of the 3 pictures with a pose in .* is there; the first should be {first}"
    ):
        read_colmap(tmp_path)


def test_without_pycolmap_the_extra_is_named(tmp_path, monkeypatch):
    write_by_hand(tmp_path)
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(
        MissingExtraError, match=r"needs pycolmap, which is not installed: pip install 'sanerf\[colmap\]'"
    ):
        load_scene(tmp_path)


def test_the_world_is_normalised_as_for_other_layouts(tmp_path):
    reconstruction = write_colmap(tmp_path)
    scene = load_scene(tmp_path, holdout="none")
    centres = torch.stack([view.camera.centre for view in scene.views])
    assert float(centres.norm(dim=-1).mean()) == pytest.approx(1.0)
    # Back in the file's frame the centres are pycolmap's own.
    own = {image.name: image.projection_center() for image in reconstruction.images.values()}
    expected = torch.from_numpy(np.stack([own[view.name] for view in scene.views]))
    torch.testing.assert_close(scene.world_from_file.inverse().apply(centres), expected, rtol=0, atol=1e-9)
    assert scene.far == math.inf
