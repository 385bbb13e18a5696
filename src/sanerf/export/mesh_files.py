"""Mesh files: PLY, binary glTF (GLB) and Wavefront OBJ, all with vertex colours.

Coordinates are written untouched, in the frame the mesh is in (for sanerf's exports the scene file's own). The glTF
standard calls y up and a unit a metre, OBJ says nothing; a capture's frame seldom follows either, and a silent turn
would break the match with the cameras. Turn the object in the program that opens it.
"""

import io
import json
import struct
from pathlib import Path

import numpy as np

from sanerf.errors import UserError
from sanerf.export.mesh import Mesh
from sanerf.export.ply import Ply, write_ply
from sanerf.files import atomic_write
from sanerf.shapes import Float, UInt8

_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_UINT32, _FLOAT = 5125, 5126
_ENDINGS = (".ply", ".glb", ".obj")


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Write the mesh in the format of the path's ending: .ply, .glb or .obj. UserError for any other.

    PLY also carries `invented`, 1 at the vertices of lids.
    """
    check_mesh_ending(path)
    {".ply": _write_ply, ".glb": _write_glb, ".obj": _write_obj}[path.suffix.lower()](path, mesh)


def check_mesh_ending(path: Path) -> None:
    """Raise UserError where `write_mesh` knows no format for the path's ending."""
    if path.suffix.lower() not in _ENDINGS:
        raise UserError(f"a mesh is written as {', '.join(_ENDINGS)}, not as {path.suffix or 'no ending'}: {path}")


def _write_ply(path: Path, mesh: Mesh) -> None:
    extra = {"invented": mesh.invented}
    write_ply(path, Ply(mesh.vertices, mesh.normals, mesh.colours, mesh.faces, extra), comment="mesh by sanerf")


def _write_obj(path: Path, mesh: Mesh) -> None:
    """Vertex colours follow the coordinates on their line, as Blender, MeshLab and others read them."""
    columns = [mesh.vertices] if mesh.colours is None else [mesh.vertices, mesh.colours / 255.0]
    text = io.StringIO()
    text.write("# mesh by sanerf: coordinates in the scene file's own frame\n")
    np.savetxt(text, np.concatenate(columns, axis=1), fmt="v" + " %.7g" * 3 + " %.4f" * (3 * len(columns) - 3))
    np.savetxt(text, mesh.normals, fmt="vn %.4f %.4f %.4f")
    np.savetxt(text, np.repeat(mesh.faces + 1, 2, axis=1), fmt="f %d//%d %d//%d %d//%d")
    with atomic_write(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="ascii", newline="\n")


def _write_glb(path: Path, mesh: Mesh) -> None:
    """One mesh, one material. glTF wants vertex colours linear, so the sRGB ones are converted.

    The light is already in a radiance field's colours: viewers that know KHR_materials_unlit show them as they are,
    the others see a rough dielectric.
    """
    document: dict = {
        "asset": {"version": "2.0", "generator": "sanerf"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": path.stem}],
        "materials": [
            {
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
                "extensions": {"KHR_materials_unlit": {}},
            }
        ],
        "bufferViews": [],
        "accessors": [],
    }
    chunks: list[bytes] = []

    def add(array: np.ndarray, kind: str, component: int, **accessor: object) -> int:
        view = {"buffer": 0, "byteOffset": sum(map(len, chunks)), "byteLength": array.nbytes}
        view["target"] = _ELEMENT_ARRAY_BUFFER if kind == "SCALAR" else _ARRAY_BUFFER
        chunks.append(np.ascontiguousarray(array).tobytes())
        entry = {"bufferView": len(chunks) - 1, "componentType": component, "type": kind, "count": len(array)}
        document["bufferViews"].append(view)
        document["accessors"].append({**entry, **accessor})
        return len(chunks) - 1

    low, high = mesh.vertices.min(axis=0).tolist(), mesh.vertices.max(axis=0).tolist()
    attributes = {
        "POSITION": add(mesh.vertices.astype("<f4"), "VEC3", _FLOAT, min=low, max=high),
        "NORMAL": add(mesh.normals.astype("<f4"), "VEC3", _FLOAT),
    }
    if mesh.colours is not None:
        attributes["COLOR_0"] = add(_linear(mesh.colours).astype("<f4"), "VEC3", _FLOAT)
    indices = add(mesh.faces.astype("<u4").ravel(), "SCALAR", _UINT32)
    document["meshes"] = [{"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}]
    document["buffers"] = [{"byteLength": sum(map(len, chunks))}]

    head = json.dumps(document, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 4)
    body = b"".join(chunks)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(head) + 8 + len(body)))
        file.write(struct.pack("<I4s", len(head), b"JSON") + head)
        file.write(struct.pack("<I4s", len(body), b"BIN\0") + body)


def _linear(colours: UInt8[np.ndarray, "vertices 3"]) -> Float[np.ndarray, "vertices 3"]:
    """Linear light in 0 to 1 of sRGB bytes (IEC 61966-2-1)."""
    srgb = np.arange(256) / 255.0
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)[colours]
