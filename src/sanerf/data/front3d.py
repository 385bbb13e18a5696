"""3D-FRONT as NeRF-RPN and Instance-NeRF curate it: `train/transforms.json` beside `train/images/`.

Poses and intrinsics are as in any transforms.json: camera axes are OpenGL's, the world is in metres with z up, the
centre of the first pixel is (0.5, 0.5). `room_bbox` is the room's box, and `bounding_boxes`, which are not read, those
of its furniture. The Hypersim scenes of the same authors have the same files without a box. A copy with transforms.json
at its root, as SANeRF-HQ reads it, is read as any transforms.json; its room_bbox counts there too.

Instance masks come beside the scenes, not in them: `seg/SCENE/N.hdf5` has the identities of frame N under
`cp_instance_id_segmaps`, `metadata/SCENE.json` the name of each identity (`sanerf masks`, docs/layouts.md).

Two things are not described in public, and are chosen: a `val` or `test` part beside `train` is held out, and
`train_transforms.json` with `val_transforms.json`, which Instance-NeRF trains its instance field on, is read where its
frames are pictures; there it lists masks, which is refused with a sentence.

Sources: NeRF-RPN (github.com/lyclyc52/NeRF_RPN, data/README.md); the scripts that rendered the data
(github.com/hjk0918/BlenderProc, scripts/render.py and seg.py); Instance-NeRF's training code
(github.com/zymk9/torch-ngp, nerf/dataset.py); SANeRF-HQ (github.com/lyclyc52/SANeRF-HQ, nerf/provider.py).
"""

from pathlib import Path

from sanerf.data.capture import Capture, room_box, sorted_views
from sanerf.data.transforms_json import read_frames
from sanerf.data.transforms_parts import part_names, read_parts
from sanerf.errors import UserError
from sanerf.files import read_json


def is_front3d(root: Path) -> bool:
    """Whether the folder has a training part in one of the two forms."""
    return _part_file(root, "train") is not None


def read_front3d(root: Path) -> Capture:
    """The capture of the training part and of its test or else val companion."""
    train_file = _part_file(root, "train")
    assert train_file is not None, root
    held_out = next((file for part in ("test", "val") if (file := _part_file(root, part))), None)
    sources = (train_file,) if held_out is None else (train_file, held_out)
    for source in sources:
        _refuse_masks(source)
    parts, warnings = read_parts(root, sources)
    return Capture(
        root=root,
        layout="3d-front",
        views=sorted_views([view for part in parts for view in part], train_file),
        train=part_names(parts[0]) if held_out else None,
        test=part_names(parts[1]) if held_out else None,
        room=room_box(read_json(train_file).get("room_bbox"), train_file),
        warnings=warnings,
    )


def _part_file(root: Path, part: str) -> Path | None:
    candidates = (root / part / "transforms.json", root / f"{part}_transforms.json")
    return next((path for path in candidates if path.is_file()), None)


def _refuse_masks(source: Path) -> None:
    frames = read_frames(read_json(source), source)
    if all(frame.listed_path.endswith((".hdf5", ".npy")) for frame in frames):
        raise UserError(
            f"{source} lists masks ({frames[0].listed_path}, ...) and no pictures; use the scene's folder with "
            "train/transforms.json, and the masks with `sanerf masks`"
        )
