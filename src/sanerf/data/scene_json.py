"""A `Scene` as JSON, so that a run folder needs nothing of the capture but its pictures."""

from pathlib import Path
from typing import Any

import torch

from sanerf.data.scene import Scene, View
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
    path = view.image_path.resolve()
    inside = path.is_relative_to(root.resolve())
    return {
        "name": view.name,
        "image": path.relative_to(root.resolve()).as_posix() if inside else str(path),
        "size": [camera.width, camera.height],
        "intrinsics": [camera.fx, camera.fy, camera.cx, camera.cy],
        "lens": {"family": camera.lens.family, "coefficients": list(camera.lens.coefficients)},
        "world_from_cam": camera.world_from_cam.tolist(),
    }


def _view_from_json(entry: dict[str, Any], root: Path) -> View:
    world_from_cam = torch.tensor(entry["world_from_cam"], dtype=torch.float64)
    (width, height), (fx, fy, cx, cy) = entry["size"], entry["intrinsics"]
    # Run format 1 knew OpenCV's lens alone.
    lens = entry["lens"] if "lens" in entry else {"family": "opencv", "coefficients": entry["distortion"]}
    camera = Camera(width, height, fx, fy, cx, cy, world_from_cam, Lens(lens["family"], tuple(lens["coefficients"])))
    return View(entry["name"], root / entry["image"], camera)
