"""Camera poses by pycolmap: features, matches, incremental mapping (Schoenberger and Frahm 2016).

The database in the work folder keeps features and matches, so that an interrupted call goes on where it stood; mapping
is done anew. All random choices are seeded.
"""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sanerf.errors import MissingExtraError
from sanerf.progress import Progress
from sanerf.sfm.pairs import photo_pairs
from sanerf.shapes import Int64

FEATURE_SIDE = 1600
"""Features are sought at so many pixels along the longer side at most."""
MOST_FEATURES = 4096
_PHOTOS_AT_ONCE = 4
_PAIRS_AT_ONCE = 32
_CAMERA_MODEL = "OPENCV"


@dataclass(frozen=True)
class Matched:
    """What the database knows: names in order, features of each photo, and verified matches of each pair."""

    names: tuple[str, ...]
    features: Int64[np.ndarray, "photos"]
    matches: Int64[np.ndarray, "photos photos"]


def extract_and_match(images: Path, database: Path, *, seed: int, progress: Progress) -> Matched:
    """Features of all pictures in `images` and verified matches between them, in the file `database`.

    Photographs of one size and one lens share one camera (OPENCV model). Needs the extra "colmap".
    """
    pycolmap = load_pycolmap()
    names = sorted(path.name for path in images.iterdir() if path.is_file() and path.name[0] != ".")
    _extract(pycolmap, images, database, names, progress)
    with pycolmap.Database.open(str(database)) as opened:
        identity = {image.name: image.image_id for image in opened.read_all_images()}
        found = [opened.read_descriptors(identity[name]) for name in names]
        descriptors = [np.asarray(getattr(d, "data", d), dtype=np.float32).reshape(-1, 128) for d in found]
    pairs = photo_pairs(descriptors, seed)
    _match(pycolmap, database, [(names[i], names[j]) for i, j in pairs], identity, progress)
    matches = np.zeros((len(names), len(names)), np.int64)
    with pycolmap.Database.open(str(database)) as opened:
        for i, j in pairs:
            if opened.exists_two_view_geometry(identity[names[i]], identity[names[j]]):
                geometry = opened.read_two_view_geometry(identity[names[i]], identity[names[j]])
                matches[i, j] = matches[j, i] = len(geometry.inlier_matches)
    return Matched(tuple(names), np.array([len(d) for d in descriptors], np.int64), matches)


def reconstruct(images: Path, database: Path, work: Path, *, seed: int, total: int, progress: Progress) -> Any | None:
    """The largest reconstruction (pycolmap's) from a matched database; None where there is none at all.

    `total` is the number of photographs, for the progress.
    """
    pycolmap = load_pycolmap()
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = seed % 2**31
    options.min_model_size = 3
    done = 0

    def one_more() -> None:
        nonlocal done
        done = min(done + 1, total)
        progress("register", done, total)

    work.mkdir(parents=True, exist_ok=True)
    # That there is no model is an error to COLMAP's log; the caller says it in a sentence.
    pycolmap.logging.minloglevel = int(pycolmap.logging.FATAL)
    try:
        models = pycolmap.incremental_mapping(
            str(database), str(images), str(work), options=options, next_image_callback=one_more
        )
    finally:
        pycolmap.logging.minloglevel = int(pycolmap.logging.ERROR)
    found: list[Any] = list(models.values())
    return max(found, key=lambda model: model.num_reg_images(), default=None)


def _extract(pycolmap: Any, images: Path, database: Path, names: Sequence[str], progress: Progress) -> None:
    """Features of the photographs that have none yet, a few at a time."""
    cameras: dict[tuple[object, ...], int] = {}
    known: dict[str, int] = {}
    if database.exists():
        with pycolmap.Database.open(str(database)) as opened:
            known = {i.name: i.camera_id for i in opened.read_all_images() if opened.exists_keypoints(i.image_id)}
    kinds = {name: _kind(images / name) for name in names}
    for name, camera in known.items():
        cameras.setdefault(kinds[name], camera)
    options = pycolmap.FeatureExtractionOptions()
    options.max_image_size, options.use_gpu = FEATURE_SIDE, False
    options.sift.max_num_features = MOST_FEATURES
    done = len(known)
    progress("features", done, len(names))
    for kind in sorted({kinds[name] for name in names}, key=str):
        left = iter(name for name in names if kinds[name] == kind and name not in known)
        while batch := list(islice(left, _PHOTOS_AT_ONCE if kind in cameras else 1)):
            reader = pycolmap.ImageReaderOptions()
            reader.camera_model = _CAMERA_MODEL
            if kind in cameras:
                reader.existing_camera_id = cameras[kind]
            pycolmap.extract_features(
                str(database),
                str(images),
                image_names=batch,
                camera_mode=pycolmap.CameraMode.SINGLE,
                reader_options=reader,
                extraction_options=options,
                device=pycolmap.Device.cpu,
            )
            if kind not in cameras:
                with pycolmap.Database.open(str(database)) as opened:
                    cameras[kind] = opened.read_image_with_name(batch[0]).camera_id
            done += len(batch)
            progress("features", done, len(names))


def _kind(path: Path) -> tuple[object, ...]:
    """What photographs of one camera share: size, maker, model and focal length as EXIF has it."""
    with Image.open(path) as picture:
        exif = picture.getexif()
        return (picture.size, exif.get(0x010F), exif.get(0x0110), str(exif.get_ifd(0x8769).get(0x920A)))


def _match(
    pycolmap: Any, database: Path, pairs: list[tuple[str, str]], identity: dict[str, int], progress: Progress
) -> None:
    """Match and verify the pairs that are not in the database yet, some at a time."""
    with pycolmap.Database.open(str(database)) as opened:
        left = [(a, b) for a, b in pairs if not opened.exists_two_view_geometry(identity[a], identity[b])]
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = 0
    done = len(pairs) - len(left)
    listed = database.parent / "pairs.txt"
    progress("match", done, len(pairs))
    for start in range(0, len(left), _PAIRS_AT_ONCE):
        batch = left[start : start + _PAIRS_AT_ONCE]
        listed.write_text("".join(f"{a} {b}\n" for a, b in batch), encoding="utf-8")
        pairing = pycolmap.ImportedPairingOptions()
        pairing.match_list_path = str(listed)
        pycolmap.match_image_pairs(
            str(database),
            matching_options=matching,
            pairing_options=pairing,
            verification_options=verification,
            device=pycolmap.Device.cpu,
        )
        done += len(batch)
        progress("match", done, len(pairs))


def load_pycolmap() -> Any:
    """The package, quiet but for errors. MissingExtraError where it is not installed."""
    with _signals_afterwards():
        try:
            import pycolmap
        except ImportError as error:
            raise MissingExtraError("pycolmap", "colmap") from error
    pycolmap.logging.minloglevel = int(pycolmap.logging.ERROR)
    return pycolmap


@contextmanager
def _signals_afterwards() -> Iterator[None]:
    """Control-C and SIGTERM wait until the block is left, and find whom they would have found before it.

    While it is imported, the package makes a RuntimeError of an interruption, or nothing; and afterwards it takes
    SIGTERM for a crash and prints a stack.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)
