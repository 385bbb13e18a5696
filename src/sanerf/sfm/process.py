"""`process`: photographs or a video to a scene folder that `train` reads.

OUT/images/         the photographs, upright and without blanks in their names, or the frames that were picked
OUT/sparse/0/       the posed cameras and points, in COLMAP's binary format
OUT/process.json    what became of every photograph
OUT/.process/       features and matches; kept while the work goes on, deleted when it is done
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from sanerf.data.images import is_picture
from sanerf.errors import UserError
from sanerf.files import atomic_folder, read_json, write_json
from sanerf.locks import file_lock
from sanerf.progress import Progress
from sanerf.sfm.explain import Photo, explanation
from sanerf.sfm.frames import gather_photos, photographs, pick_frames, scene_name
from sanerf.sfm.reconstruct import extract_and_match, load_pycolmap, reconstruct

FORMAT_VERSION = 2
"""Before 2, sharpness was not divided by brightness."""
LEAST_REGISTERED = 3
_LOCK_FILE = ".lock"


@dataclass(frozen=True)
class Processed:
    """A posed scene: every photograph's fate, and the mean reprojection error in pixels of the pictures."""

    photos: tuple[Photo, ...]
    reprojection_error: float

    @property
    def registered(self) -> int:
        return sum(photo.registered for photo in self.photos)


def process(source: Path, out: Path, *, frames: int, seed: int, progress: Progress) -> Processed:
    """Make the scene folder `out` of a folder of photographs or a video (of which `frames` frames are taken).

    Goes on where an interrupted call with the same arguments stood. UserError where too few photographs find a place,
    with the reason, and nothing is left then; where `out` holds something else, and where another process is at work on
    it.
    """
    if not source.exists():
        raise UserError(f"there is no folder or video {source}")
    if source.is_file() and is_picture(source):
        raise UserError(f"{source} is one photograph; give the folder that it lies in, or a video")
    load_pycolmap()
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; choose another --out")
    with file_lock(out / _LOCK_FILE, f"at work on {out}; wait until it is done, or choose another --out"):
        return _process(source, out, frames=frames, seed=seed, progress=progress)


def _process(source: Path, out: Path, *, frames: int, seed: int, progress: Progress) -> Processed:
    work = out / ".process"
    call = {"source": str(source.resolve()), "frames": frames, "seed": seed, "format_version": FORMAT_VERSION}
    files = photographs(source) if source.is_dir() else [source]
    _take_over(out, work, call, [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files])
    try:
        sharp = _pictures(source, out / "images", work, frames, progress)
    except UserError:
        # Nothing has been done that would be worth going on with.
        _leave(out, work)
        raise
    matched = extract_and_match(out / "images", work / "database.db", seed=seed, progress=progress)
    model = reconstruct(
        out / "images", work / "database.db", work / "models", seed=seed, total=len(sharp), progress=progress
    )
    registered = {image.name for image in model.images.values() if image.has_pose} if model is not None else set()
    photos = tuple(
        Photo(name, sharp[name], int(features), int(matches.max(initial=0)), name in registered)
        for name, features, matches in zip(matched.names, matched.features, matched.matches, strict=True)
    )
    photos += tuple(
        Photo(path.name, 0.0, 0, 0, registered=False, readable=False)
        for path in files
        if source.is_dir() and scene_name(path.name) not in sharp
    )
    if model is None or len(registered) < LEAST_REGISTERED:
        # The same call would end so again, and what it left would be in the way of a better one.
        _leave(out, work)
        raise UserError(f"no posed scene: {explanation(list(photos))}; take more photos that overlap by two thirds")
    with atomic_folder(out / "sparse" / "0") as folder:
        model.write_binary(str(folder))
    result = Processed(photos, float(model.compute_mean_reprojection_error()))
    document = {
        **call,
        "reprojection_error": round(result.reprojection_error, 4),
        "photos": [asdict(p) for p in photos],
    }
    write_json(out / "process.json", document)
    shutil.rmtree(work, ignore_errors=True)
    return result


def _take_over(out: Path, work: Path, call: dict[str, object], files: list[list[object]]) -> None:
    """Make `out` ready for a call, or for going on with the same one; from the start, where its files (names, sizes,
    times) or the format have changed since. UserError where it is somebody else's."""
    note = work / "call.json"
    if any(entry.name != _LOCK_FILE for entry in out.glob("*")):
        if not note.exists():
            raise UserError(f"{out} is not empty; choose another --out")
        before = read_json(note)
        if {**before["call"], "format_version": FORMAT_VERSION} != call:
            raise UserError(f"{out} holds the unfinished work of another call; delete it or choose another --out")
        if before["files"] != files or before["call"] != call:
            _leave(out, work)
    work.mkdir(parents=True, exist_ok=True)
    write_json(note, {"call": call, "files": files})


def _leave(out: Path, work: Path) -> None:
    """Delete what a call has put into `out` before its end, what says that there are pictures before the pictures."""
    (work / "sharpness.json").unlink(missing_ok=True)
    shutil.rmtree(out / "images", ignore_errors=True)
    shutil.rmtree(work)


def _pictures(source: Path, images: Path, work: Path, frames: int, progress: Progress) -> dict[str, float]:
    """The pictures in `images` and their sharpness by name, done once."""
    note = work / "sharpness.json"
    if note.exists() and images.is_dir():
        return read_json(note)

    def on_picture(done: int, total: int) -> None:
        progress("pictures", done, total)

    if source.is_dir():
        sharp = gather_photos(source, images, on_picture, least=LEAST_REGISTERED)
    else:
        sharp = pick_frames(source, images, frames, on_picture)
    write_json(note, sharp)
    return sharp
