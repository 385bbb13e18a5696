"""Photographs that need no cameras: a scene's, loose ones, and those of a scene that is broken, which is said."""

import pytest
from scene_writer import write_picture, write_transforms

from sanerf.data import images
from sanerf.data.load import load_scene
from sanerf.data.photos import find_photos
from sanerf.errors import UserError


def test_a_scene_and_loose_photographs_are_found_without_a_word(tmp_path, caplog):
    write_transforms(tmp_path / "scene", 3)
    assert [photo.name for photo in find_photos(tmp_path / "scene")] == [f"{i:03d}.png" for i in range(3)]
    for name in ("a", "b"):
        write_picture(tmp_path / "loose" / f"{name}.png")
    assert [photo.name for photo in find_photos(tmp_path / "loose")] == ["a.png", "b.png"]
    assert caplog.messages == []


@pytest.mark.parametrize("content", ["{", '{"frames": []}'])
def test_a_broken_scene_is_taken_as_loose_photographs_and_one_sentence_says_so(tmp_path, caplog, content):
    write_transforms(tmp_path, 3)
    (tmp_path / "transforms.json").write_text(content)
    with pytest.raises(UserError) as refused:
        load_scene(tmp_path)
    assert [photo.name for photo in find_photos(tmp_path)] == [f"{i:03d}.png" for i in range(3)]
    (said,) = caplog.messages
    assert said == f"{tmp_path} is a scene that cannot be used ({refused.value}); its pictures are taken as loose ones"


def test_a_scene_without_alpha_is_read_from_the_headers_of_its_pictures(tmp_path, monkeypatch):
    def decoded(*_: object):
        raise AssertionError("a picture is decoded")

    write_transforms(tmp_path, 3)
    monkeypatch.setattr(images, "_decoded", decoded)
    assert len(load_scene(tmp_path).views) == 3
    with pytest.raises(AssertionError, match="is decoded"):
        find_photos(tmp_path)[0].load()
