"""Photographs that need no cameras: loose ones, or a scene's views."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from sanerf.data.images import load_image, load_photo, pictures_in
from sanerf.data.load import NoSceneError, load_scene
from sanerf.errors import UserError
from sanerf.shapes import UInt8

_log = logging.getLogger("sanerf")


@dataclass(frozen=True)
class PhotoFile:
    """A photograph by its file's name and the stem of what is written of it."""

    name: str
    stem: str
    load: Callable[[], UInt8[Tensor, "h w 3"]]


def find_photos(source: Path) -> list[PhotoFile]:
    """A photograph, those of a folder (or of `images` in it), or a scene's views. UserError where there are none.

    A scene that cannot be read is taken as a folder of loose photographs, and a warning says so.
    """
    if source.is_file():
        return [_loose(source)]
    try:
        scene = load_scene(source)
    except UserError as error:
        # Who needs no cameras can do with pictures that have none, or whose cameras cannot be read.
        photos = [_loose(path) for path in pictures_in(source) or pictures_in(source / "images")]
        if not photos and source.is_dir():
            raise UserError(f"there are no photographs in {source} or its images/, nor a scene: {error}") from error
        if not photos:
            raise
        if not isinstance(error, NoSceneError):
            _log.warning("%s is a scene that cannot be used (%s); its pictures are taken as loose ones", source, error)
    else:
        photos = [
            PhotoFile(view.name, scene.output_stem(i), lambda view=view: load_image(view))
            for i, view in enumerate(scene.views)
        ]
    by_stem: dict[str, str] = {}
    for photo in photos:
        if photo.stem in by_stem:
            raise UserError(
                f"{source} has {by_stem[photo.stem]} and {photo.name}, whose masks would have one name; rename one"
            )
        by_stem[photo.stem] = photo.name
    return photos


def _loose(path: Path) -> PhotoFile:
    return PhotoFile(path.name, path.stem, lambda: load_photo(path))
