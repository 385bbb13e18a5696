"""Masks of views in a folder: DIR/NAME/STEM.png, one folder an object, or DIR/STEM.png where there is one object.

A view without a file is a view without a mask, which is not an empty mask.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sanerf.data.scene import Scene


def mask_paths(
    directory: Path, name: str, scene: Scene, views: Sequence[int], *, single_object: bool = False
) -> dict[int, Path]:
    """The mask files of object `name`, by view, for those of `views` that have one.

    STEM is the view's name without its ending, folders and all, or its output stem, or its file's stem where no other
    of `views` has that. With `single_object` the files may lie in `directory` itself; a folder NAME goes before.
    """
    folder = directory / name
    if single_object and not folder.is_dir():
        folder = directory
    same_stem = Counter(scene.views[index].stem for index in views)
    out = {}
    for index in views:
        view = scene.views[index]
        # Not `with_suffix`: an output stem may itself have a full stop in it.
        stems = [Path(view.name).with_suffix("").as_posix(), scene.output_stem(index)]
        stems += [view.stem] if same_stem[view.stem] == 1 else []
        found = next((path for stem in stems if (path := folder / f"{stem}.png").is_file()), None)
        if found is not None:
            out[index] = found
    return out
