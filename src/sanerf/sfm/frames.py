"""The pictures that structure from motion sees: photographs as they lie in a folder, or the sharpest frames of a video.

Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000) of the grey picture, brought to one size, so that
it compares between pictures of the same things; it has no absolute scale.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy.ndimage import laplace

from sanerf.data.images import PICTURE_SUFFIXES
from sanerf.errors import MissingExtraError, UserError
from sanerf.files import atomic_folder
from sanerf.shapes import UInt8

SHARPNESS_SIDE = 640
"""Longer side of the picture whose sharpness is measured."""
_ORIENTATION = 0x0112
_JPEG_QUALITY = 95

Progress = Callable[[int, int], None]


def sharpness(rgb: UInt8[np.ndarray, "h w 3"]) -> float:
    """Variance of the Laplacian of a picture's brightness (0 to 255) at a longer side of `SHARPNESS_SIDE`."""
    picture = Image.fromarray(rgb).convert("L")
    picture.thumbnail((SHARPNESS_SIDE, SHARPNESS_SIDE), Image.Resampling.BOX)
    return float(laplace(np.asarray(picture, dtype=np.float32)).var())


def gather_photos(source: Path, images: Path, progress: Progress) -> dict[str, float]:
    """Put the photographs of a folder into the new folder `images`, upright, under their own names; their sharpness.

    Files are copied as they are, except those that a camera marked as turned: those are turned and written anew.
    Raises UserError for a folder without pictures and for one that cannot be read.
    """
    photos = sorted(path for path in source.iterdir() if path.suffix.lower() in _suffixes() and path.name[0] != ".")
    if not photos:
        raise UserError(f"there are no pictures in {source}: expected {', '.join(sorted(_suffixes()))}")
    found = {}
    with atomic_folder(images) as folder:
        for done, path in enumerate(photos, start=1):
            try:
                with Image.open(path) as picture:
                    turned = picture.getexif().get(_ORIENTATION, 1) != 1
                    upright = ImageOps.exif_transpose(picture) if turned else picture
                    rgb = np.asarray(upright.convert("RGB"))
                    if turned:
                        exif = upright.getexif()
                        upright.save(folder / path.name, quality=_JPEG_QUALITY, exif=exif)
            except (UnidentifiedImageError, OSError) as error:
                raise UserError(f"{path} cannot be read as a picture ({error}); take it out of the folder") from error
            if not turned:
                shutil.copyfile(path, folder / path.name)
            found[path.name] = sharpness(rgb)
            progress(done, len(photos))
    return found


def pick_frames(video: Path, images: Path, count: int, progress: Progress) -> dict[str, float]:
    """Write `count` frames of a video, the sharpest of each of as many equal stretches, as JPEG; their sharpness.

    Names are the frames' numbers in the video. A video with fewer frames gives all of them. Needs the extra "video".
    Raises UserError for what is no video.
    """
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise MissingExtraError("av", "video") from error
    found: dict[str, float] = {}
    try:
        with av.open(str(video)) as container, atomic_folder(images) as folder:
            if not container.streams.video:
                raise UserError(f"{video} has no pictures in it")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            total = stream.frames or sum(1 for _ in container.decode(stream))
            container.seek(0)
            best: tuple[float, int, np.ndarray] | None = None
            count = min(count, total)
            for index, frame in enumerate(container.decode(stream)):
                rgb = frame.to_ndarray(format="rgb24")
                value = sharpness(rgb)
                if best is None or value > best[0]:
                    best = (value, index, rgb)
                stretch = min((index + 1) * count // total, count)
                if stretch > len(found):
                    name = f"{best[1]:06d}.jpg"
                    Image.fromarray(best[2]).save(folder / name, quality=_JPEG_QUALITY)
                    found[name], best = best[0], None
                progress(min(index + 1, total), total)
    except (FFmpegError, OSError) as error:
        raise UserError(f"{video} cannot be read as a video ({error})") from error
    if not found:
        raise UserError(f"there are no frames in {video}")
    return found


def _suffixes() -> set[str]:
    return {suffix.lower() for suffix in PICTURE_SUFFIXES}
