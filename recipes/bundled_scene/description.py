"""What `scene.json` of the bundled scene says."""

from __future__ import annotations

from bundled_scene import layout


def scene_description(settings: dict, blender: str, visible_fraction: dict[str, list[float]]) -> dict:
    """The contents of `scene.json`."""
    objects = [
        {"name": o.name, "description": o.description, "visible_fraction": visible_fraction[o.name]}
        for o in layout.OBJECTS
    ]
    return {
        **settings,
        "blender": blender,
        "hdri": layout.HDRI,
        "hdri_source": "Poly Haven 'courtyard' by Greg Zaal, CC0, as shipped with Blender",
        "metres_per_unit": 1.0,
        "world": "z up; the origin is the middle of the table top",
        "visible_fraction": "the part of an object's silhouette that nothing hides: least and mean over training views",
        "objects": objects,
    }
