"""The turned objects: mugs, a teapot, a bowl and a bottle.

Each function returns the object's parts, standing on z = 0 about the z axis; `layout` places them on the table.
"""

from __future__ import annotations

import bpy

from blender_parts import materials, shapes

Parts = list[bpy.types.Object]

CREAM = (0.75, 0.66, 0.5)
NAVY = (0.03, 0.07, 0.2)


def _dressed(shape: bpy.types.Object, material: bpy.types.Material) -> bpy.types.Object:
    shape.data.materials.append(material)
    return shape


def mug(name: str) -> Parts:
    """A cream mug with navy and orange bands, 10 cm high, its handle towards +x."""
    profile = [(0.0, 0.0), (0.03, 0.0), (0.037, 0.004), (0.04, 0.02), (0.041, 0.06), (0.043, 0.098), (0.0415, 0.1)]
    profile += [(0.0385, 0.098), (0.037, 0.06), (0.035, 0.02), (0.028, 0.01), (0.0, 0.009)]
    bands = [(0.0, NAVY), (0.22, CREAM), (0.42, (0.75, 0.22, 0.04)), (0.56, CREAM), (0.7, NAVY), (0.82, CREAM)]
    glaze = materials.banded(f"{name} glaze", bands, "Z", (0.0, 0.1), 0.35)
    body = _dressed(shapes.lathe(f"{name} body", shapes.catmull_rom(profile, 6)), glaze)
    path = [(0.037, 0, 0.08), (0.062, 0, 0.083), (0.072, 0, 0.055), (0.06, 0, 0.028), (0.037, 0, 0.026)]
    handle = shapes.tube(f"{name} handle", path, 0.006)
    return [body, _dressed(handle, materials.painted(f"{name} handle glaze", NAVY, 0.35))]


def teapot(name: str) -> Parts:
    """A speckled blue-green teapot with a brown handle and knob; its spout points towards +x."""
    specks = [(0.0, (0.02, 0.09, 0.13)), (0.42, (0.05, 0.25, 0.29)), (0.52, (0.11, 0.4, 0.42))]
    specks.append((0.62, (0.6, 0.62, 0.5)))
    glaze = materials.blotched(f"{name} glaze", specks, 75.0, 0.3)
    clay = materials.painted(f"{name} clay", (0.2, 0.07, 0.03), 0.5, 0.3)
    outline = [(0.0, 0.0), (0.04, 0.0), (0.048, 0.004), (0.066, 0.028), (0.071, 0.052), (0.063, 0.08), (0.042, 0.1)]
    outline += [(0.036, 0.103), (0.03, 0.11), (0.016, 0.118), (0.0, 0.12)]
    body = _dressed(shapes.lathe(f"{name} body", shapes.catmull_rom(outline, 6)), glaze)
    spout_path = [(0.055, 0, 0.035), (0.085, 0, 0.045), (0.098, 0, 0.075), (0.116, 0, 0.1)]
    spout = _dressed(shapes.tube(f"{name} spout", spout_path, [0.02, 0.016, 0.011, 0.009]), glaze)
    bow = [(-0.058, 0, 0.085), (-0.085, 0, 0.1), (-0.11, 0, 0.075), (-0.095, 0, 0.04), (-0.064, 0, 0.03)]
    handle = _dressed(shapes.tube(f"{name} handle", bow, 0.0075), clay)
    knob = _dressed(shapes.ellipsoid(f"{name} knob", (0.012, 0.012, 0.01)), clay)
    knob.location.z = 0.127
    return [body, spout, handle, knob]


def bowl(name: str) -> Parts:
    """A turned wooden bowl, 18 cm wide and 6.5 cm high."""
    profile = [(0.0, 0.0), (0.035, 0.0), (0.045, 0.004), (0.068, 0.022), (0.084, 0.05), (0.09, 0.064), (0.087, 0.066)]
    profile += [(0.083, 0.062), (0.077, 0.048), (0.06, 0.024), (0.035, 0.011), (0.0, 0.009)]
    turned = materials.banded(
        f"{name} wood",
        [(0.0, (0.2, 0.075, 0.025)), (0.35, (0.42, 0.19, 0.07)), (0.5, (0.25, 0.1, 0.03)), (0.8, (0.5, 0.25, 0.1))],
        "Z",
        (0.0, 0.066),
        0.45,
        crisp=False,
        wobble=0.012,
    )
    return [_dressed(shapes.lathe(f"{name} body", shapes.catmull_rom(profile, 6)), turned)]


def bottle(name: str) -> Parts:
    """A stoneware bottle, 21 cm high, with a pale label in stripes and a cork."""
    outline = [(0.0, 0.0), (0.03, 0.0), (0.035, 0.005), (0.036, 0.04), (0.036, 0.1), (0.033, 0.125), (0.018, 0.152)]
    outline += [(0.0135, 0.165), (0.013, 0.185), (0.0165, 0.188), (0.0165, 0.195), (0.0, 0.196)]
    dark, pale = (0.05, 0.13, 0.05), (0.72, 0.7, 0.58)
    stops = [(0.0, dark), (0.17, pale), (0.23, (0.55, 0.05, 0.06)), (0.27, pale), (0.37, (0.12, 0.2, 0.08))]
    stops += [(0.42, pale), (0.49, (0.55, 0.05, 0.06)), (0.53, pale), (0.58, dark), (0.9, (0.35, 0.25, 0.06))]
    body = shapes.lathe(f"{name} body", shapes.catmull_rom(outline, 5))
    cork = shapes.lathe(f"{name} cork", [(0.0, 0.194), (0.011, 0.194), (0.0125, 0.212), (0.0, 0.213)])
    grain = [(0.35, (0.2, 0.1, 0.04)), (0.6, (0.5, 0.3, 0.14))]
    cork_grain = materials.blotched(f"{name} cork grain", grain, 160.0, 0.9)
    return [_dressed(body, materials.banded(f"{name} glaze", stops, "Z", (0.0, 0.2), 0.35)), _dressed(cork, cork_grain)]
