"""PLY files of points and triangle meshes: written as little-endian binary, read in all three encodings.

Vertices have float xyz, then optional normals (nx ny nz), 8-bit sRGB colours (red green blue) and any further numbers,
one a vertex and each under its own name (a splat's opacity and scales, say). Faces are triangles. Coordinates are
in whatever frame the caller has: for sanerf's exports, the scene file's own.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sanerf.errors import UserError
from sanerf.files import atomic_write
from sanerf.shapes import Float32, Int, UInt8

_CODE_OF_TYPE = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
_TYPE_OF_CODE = {code: name for name, code in reversed(_CODE_OF_TYPE.items())}
_XYZ, _NORMAL, _RGB = ("x", "y", "z"), ("nx", "ny", "nz"), ("red", "green", "blue")
_LONGEST_HEADER = 1 << 16


@dataclass(frozen=True)
class Ply:
    """What a PLY file holds. `extra` maps a property's name to one number a vertex, in the file's order."""

    vertices: Float32[np.ndarray, "vertices 3"]
    normals: Float32[np.ndarray, "vertices 3"] | None = None
    colours: UInt8[np.ndarray, "vertices 3"] | None = None
    faces: Int[np.ndarray, "faces 3"] | None = None
    extra: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: list[tuple[str, str]]
    """Name and numpy code; a list's code is "count/item"."""


def write_ply(path: Path, ply: Ply, *, comment: str = "") -> None:
    """Write `ply`; 64-bit integers are stored in 32 bits and must fit, bools as 0 and 1."""
    columns: list[tuple[str, np.ndarray]] = []
    for names, block in ((_XYZ, ply.vertices), (_NORMAL, ply.normals), (_RGB, ply.colours)):
        if block is not None:
            columns += [(name, block[:, i]) for i, name in enumerate(names)]
    columns += [(name, _storable(name, values)) for name, values in ply.extra.items()]
    names = [name for name, _ in columns]
    assert len(set(names)) == len(names), names
    table = np.empty(len(ply.vertices), dtype=[(name, "<" + _code(column)) for name, column in columns])
    for name, column in columns:
        table[name] = column

    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {line}" for line in comment.splitlines()]
    lines += [f"element vertex {len(table)}"]
    lines += [f"property {_TYPE_OF_CODE[_code(column)]} {name}" for name, column in columns]
    if ply.faces is not None:
        lines += [f"element face {len(ply.faces)}", "property list uchar int vertex_indices"]
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(("\n".join([*lines, "end_header"]) + "\n").encode("ascii", errors="replace"))
        file.write(table.tobytes())
        if ply.faces is not None:
            triangles = np.empty(len(ply.faces), dtype=[("count", "u1"), ("vertices", "<i4", 3)])
            triangles["count"], triangles["vertices"] = 3, ply.faces
            file.write(triangles.tobytes())


def read_ply(path: Path) -> Ply:
    """Read points or a triangle mesh, ascii or binary of either endianness.

    Positions and normals become float32; colours other than 8-bit red, green and blue stay in `extra` under their
    names. Elements besides vertex and face are skipped. Raises UserError on anything else.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    encoding, elements, body = _parse_header(path, data)
    order = ">" if encoding == "binary_big_endian" else "<"
    try:
        source = np.array(data[body:].split(), dtype=np.float64) if encoding == "ascii" else data[body:]
        tables = _read_elements(source, elements, order)
    except (ValueError, IndexError) as error:
        raise UserError(f"{path} is damaged or cut short: {error}") from error
    if "vertex" not in tables or not set(_XYZ) <= tables["vertex"].keys():
        raise UserError(f"{path} has no vertices with x, y and z")
    columns = tables["vertex"]

    def take(names: tuple[str, ...]) -> np.ndarray:
        return np.stack([columns.pop(name) for name in names], axis=1)

    vertices = take(_XYZ).astype(np.float32)
    normals = take(_NORMAL).astype(np.float32) if set(_NORMAL) <= columns.keys() else None
    has_colours = all(name in columns and columns[name].dtype == np.uint8 for name in _RGB)
    colours = take(_RGB) if has_colours else None
    faces = tables["face"]["triangles"].astype(np.int32) if "triangles" in tables.get("face", {}) else None
    if faces is not None and len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise UserError(f"{path} is damaged: a face names a vertex that is not there")
    return Ply(vertices, normals, colours, faces, columns)


def _code(column: np.ndarray) -> str:
    return f"{column.dtype.kind}{column.dtype.itemsize}"


def _storable(name: str, values: np.ndarray) -> np.ndarray:
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name), name
    assert values.ndim == 1, (name, values.shape)
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype in (np.int64, np.uint64):
        assert values.size == 0 or (values.min() >= -(2**31) and values.max() < 2**31), name
        return values.astype(np.int32)
    assert _code(values) in _TYPE_OF_CODE, (name, values.dtype)
    return values


def _parse_header(path: Path, data: bytes) -> tuple[str, list[_Element], int]:
    end = re.search(rb"end_header\r?\n", data[:_LONGEST_HEADER])
    if not data.startswith(b"ply") or end is None:
        raise UserError(f"{path} is not a PLY file")
    encoding, elements = "", []
    for line in data[: end.start()].decode("ascii", errors="replace").splitlines()[1:]:
        match line.split():
            case ["format", ("ascii" | "binary_little_endian" | "binary_big_endian") as encoding, _]:
                pass
            case ["element", name, count] if count.isdigit():
                elements.append(_Element(name, int(count), []))
            case ["property", "list", count, item, name] if elements and {count, item} <= _CODE_OF_TYPE.keys():
                elements[-1].properties.append((name, f"{_CODE_OF_TYPE[count]}/{_CODE_OF_TYPE[item]}"))
            case ["property", kind, name] if elements and kind in _CODE_OF_TYPE:
                elements[-1].properties.append((name, _CODE_OF_TYPE[kind]))
            case [] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise UserError(f"{path} has a PLY header line that cannot be read: {line!r}")
    if not encoding:
        raise UserError(f"{path} has a PLY header without a format line")
    return encoding, elements, end.end()


def _read_elements(source: np.ndarray | bytes, elements: list[_Element], order: str) -> dict[str, dict]:
    """Each element's columns; `source` is the body's numbers (ascii) or bytes. ValueError where they do not fit."""
    tables, at = {}, 0
    for element in elements:
        if {"vertex", "face"} <= tables.keys():
            break
        fields = []
        for name, code in element.properties:
            if "/" not in code:
                fields.append((name, order + code))
                continue
            if element.name != "face" or name not in ("vertex_indices", "vertex_index"):
                raise ValueError(f"lists such as {element.name} {name} are not supported")
            fields += [("corners", order + code.split("/")[0]), ("triangles", order + code.split("/")[1], 3)]
        dtype = np.dtype(fields)
        if isinstance(source, bytes):
            if element.count * dtype.itemsize > len(source) - at:
                raise ValueError(f"{element.count} entries of {element.name} do not fit into the file")
            table = np.frombuffer(source, dtype, element.count, at)
            columns = {name: table[name].astype(table[name].dtype.newbyteorder("=")) for name in dtype.names or ()}
            at += element.count * dtype.itemsize
        else:
            widths = [int(np.prod(dtype[name].shape)) for name in dtype.names or ()]
            numbers = source[at : at + element.count * sum(widths)].reshape(element.count, sum(widths))
            starts = np.cumsum([0, *widths])
            columns = {
                name: numbers[:, start] if width == 1 else numbers[:, start : start + width]
                for name, start, width in zip(dtype.names or (), starts[:-1], widths, strict=True)
            }
            columns = {n: c.astype(dtype[n].base.newbyteorder("=")) for n, c in columns.items()}
            at += numbers.size
        if "corners" in columns and (columns.pop("corners") != 3).any():
            raise ValueError("only triangles are supported, and a face has another number of corners")
        tables[element.name] = columns
    return tables
