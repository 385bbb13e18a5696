"""The Blender layout of NeRF's synthetic scenes: `transforms_train.json` beside `transforms_test.json`.

Pictures are RGBA, alone on a transparent background; the frame's z axis is up and the object stands at its origin. A
view is called by its path in the scene folder ("train/r_0.png"), for train and test repeat file names.
`transforms_val.json` is read only where there is no test file.
"""

from pathlib import Path

from sanerf.data.capture import Capture, sorted_views
from sanerf.data.images import has_real_alpha
from sanerf.data.transforms_parts import part_names, read_parts


def read_blender(root: Path) -> Capture:
    """The capture of `root/transforms_train.json` and its test or else val companion."""
    train_file = root / "transforms_train.json"
    companions = [root / f"transforms_{part}.json" for part in ("test", "val")]
    test_file = next((path for path in companions if path.is_file()), None)
    parts, warnings = read_parts(root, (train_file,) if test_file is None else (train_file, test_file))
    views = [view for part in parts for view in part]
    # Real captures also come in this layout; without transparent pictures they are treated like any other.
    has_alpha = has_real_alpha([view.image_path for view in views])
    return Capture(
        root=root,
        layout="blender",
        views=sorted_views(views, train_file),
        train=part_names(parts[0]) if test_file else None,
        test=part_names(parts[1]) if test_file else None,
        has_alpha=has_alpha,
        z_is_up=has_alpha,
        warnings=warnings,
    )
