"""A `Scene` as JSON, so that a run folder needs nothing of the capture but its pictures."""

from pathlib import Path
from typing import Any

import torch

from sanerf.data.scene import Scene, TrainingMask, View
from sanerf.geometry.cameras import Camera
from sanerf.geometry.lenses import Lens
from sanerf.geometry.transforms import Similarity

_INFINITE = "infinite"


def scene_to_json(scene: Scene) -> dict[str, Any]:
    """Plain JSON values; picture paths relative to the scene's root, which is written absolute."""
    similarity = scene.world_from_file
    return {
        "root": str(scene.root.resolve()),
        "layout": scene.layout,
        "near": scene.near,
        "far": _INFINITE if scene.far == float("inf") else scene.far,
        "has_alpha": scene.has_alpha,
        "world_from_file": {
            "scale": similarity.scale,
            "rotation": similarity.rotation.tolist(),
            "translation": similarity.translation.tolist(),
        },
        "train": [scene.views[i].name for i in scene.train],
        "test": [scene.views[i].name for i in scene.test],
        "views": [_view_to_json(view, scene.root) for view in scene.views],
        "warnings": list(scene.warnings),
    }


def scene_from_json(document: dict[str, Any]) -> Scene:
    """The scene that `scene_to_json` wrote. KeyError or ValueError where the document is another thing."""
    root = Path(document["root"])
    views = tuple(_view_from_json(entry, root) for entry in document["views"])
    index = {view.name: i for i, view in enumerate(views)}
    similarity = document["world_from_file"]
    return Scene(
        root=root,
        layout=document["layout"],
        views=views,
        train=tuple(index[name] for name in document["train"]),
        test=tuple(index[name] for name in document["test"]),
        world_from_file=Similarity(
            similarity["scale"],
            torch.tensor(similarity["rotation"], dtype=torch.float64),
            torch.tensor(similarity["translation"], dtype=torch.float64),
        ),
        near=document["near"],
        far=float("inf") if document["far"] == _INFINITE else document["far"],
        has_alpha=document["has_alpha"],
        warnings=tuple(document["warnings"]),
    )


def _view_to_json(view: View, root: Path) -> dict[str, Any]:
    camera = view.camera
    out = {
        "name": view.name,
        "image": _from_root(view.image_path, root),
        "size": [camera.width, camera.height],
        "intrinsics": [camera.fx, camera.fy, camera.cx, camera.cy],
        "lens": {"family": camera.lens.family, "coefficients": list(camera.lens.coefficients)},
        "world_from_cam": camera.world_from_cam.tolist(),
    }
    if view.training_mask is not None:
        mask = view.training_mask
        out["training_mask"] = {"path": _from_root(mask.path, root), "excluded": mask.excluded}
    return out


def _from_root(path: Path, root: Path) -> str:
    """A path relative to the root where it lies inside, else absolute."""
    path, root = path.resolve(), root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _view_from_json(entry: dict[str, Any], root: Path) -> View:
    world_from_cam = torch.tensor(entry["world_from_cam"], dtype=torch.float64)
    (width, height), (fx, fy, cx, cy) = entry["size"], entry["intrinsics"]
    # Run format 1 knew OpenCV's lens alone.
    lens = entry["lens"] if "lens" in entry else {"family": "opencv", "coefficients": entry["distortion"]}
    camera = Camera(width, height, fx, fy, cx, cy, world_from_cam, Lens(lens["family"], tuple(lens["coefficients"])))
    mask = entry.get("training_mask")
    training_mask = None if mask is None else TrainingMask(root / mask["path"], mask["excluded"])
    return View(entry["name"], root / entry["image"], camera, training_mask)
