"""The pictures that structure from motion sees: a folder's photographs, or the sharpest frames of a video."""

import logging
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sanerf.data.images import open_picture, pictures_in
from sanerf.data.sharpness import sharpness
from sanerf.errors import MissingExtraError, UserError
from sanerf.files import atomic_folder
from sanerf.progress import OnPart
from sanerf.shapes import UInt8

_log = logging.getLogger("sanerf")
_ORIENTATION = 0x0112
_JPEG_QUALITY = 95


def photographs(source: Path) -> list[Path]:
    """The pictures in a folder by name. UserError where there are none."""
    found = pictures_in(source)
    if not found:
        raise UserError(f"there are no pictures in {source}")
    return found


def scene_name(name: str) -> str:
    """The name of a photograph in the scene: blanks, at which COLMAP's lists of pairs break, become underscores."""
    return "_".join(name.split())


def gather_photos(source: Path, images: Path, on_progress: OnPart, *, least: int = 1) -> dict[str, float]:
    """Put the photographs of a folder into the new folder `images`, upright, as `scene_name`s; their sharpness.

    Files are copied as they are, except those that a camera marked as turned: those are turned and written anew.
    One that cannot be read is left out, and logged. Raises UserError where there are no pictures, and where some cannot
    be read and fewer than `least` can.
    """
    photos = photographs(source)
    found: dict[str, float] = {}
    unreadable: list[UserError] = []
    with atomic_folder(images) as folder:
        for done, path in enumerate(photos, start=1):
            name = scene_name(path.name)
            if name in found:
                raise UserError(f"two photographs in {source} would both be called {name}; rename one")
            try:
                picture = open_picture(path)
            except UserError as error:
                _log.warning("left out: %s", error)
                unreadable.append(error)
                continue
            if picture.getexif().get(_ORIENTATION, 1) != 1:
                picture = ImageOps.exif_transpose(picture)
                picture.save(folder / name, quality=_JPEG_QUALITY, exif=picture.getexif())
            else:
                shutil.copyfile(path, folder / name)
            found[name] = sharpness(np.asarray(picture.convert("RGB")))
            on_progress(done, len(photos))
        if unreadable and len(found) < least:
            raise UserError(f"{unreadable[0]}; {len(found)} of {len(photos)} photographs in {source} can be read")
    return found


def pick_frames(video: Path, images: Path, count: int, on_progress: OnPart) -> dict[str, float]:
    """Write `count` frames of a video, the sharpest of each of as many equal stretches, as JPEG; their sharpness.

    Names are the frames' numbers in the video; frames are turned as the video says. A video with fewer frames gives all
    of them. Needs the extra "video". Raises UserError for what is no video.
    """
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise MissingExtraError("av", "video") from error
    found: dict[str, float] = {}
    try:
        container = av.open(str(video))
    except FFmpegError as error:
        raise _no_video(video, error) from error
    with container, atomic_folder(images) as folder:
        if not container.streams.video:
            raise UserError(f"{video} has no pictures in it")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        try:
            total = stream.frames or sum(1 for _ in container.decode(stream))
            container.seek(0)
            best: tuple[float, int, np.ndarray] | None = None
            count = min(count, total)
            for index, frame in enumerate(container.decode(stream)):
                rgb = turned(frame.to_ndarray(format="rgb24"), frame.rotation)
                value = sharpness(rgb)
                if best is None or value > best[0]:
                    best = (value, index, rgb)
                stretch = min((index + 1) * count // total, count)
                if stretch > len(found):
                    name = f"{best[1]:06d}.jpg"
                    Image.fromarray(best[2]).save(folder / name, quality=_JPEG_QUALITY)
                    found[name], best = best[0], None
                on_progress(min(index + 1, total), total)
        except FFmpegError as error:
            raise _no_video(video, error) from error
        if not found:
            raise UserError(f"there are no frames in {video}")
    return found


def _no_video(video: Path, error: Exception) -> UserError:
    """Of the decoder's words only what is wrong: it adds numbers of its own and the path once more."""
    reason = getattr(error, "strerror", None) or type(error).__name__
    return UserError(f"{video} cannot be read as a video ({reason}); expected a video or a folder of photographs")


def turned(rgb: UInt8[np.ndarray, "h w 3"], degrees: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """A picture turned counterclockwise by the nearest multiple of 90 degrees."""
    return np.ascontiguousarray(np.rot90(rgb, round(degrees / 90)))
