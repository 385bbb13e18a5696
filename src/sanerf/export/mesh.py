"""The object as a closed, coloured triangle mesh: marching cubes of any scalar function of position.

Inside is where the function is above the level; faces turn counter-clockwise seen from outside, so the volume is
positive. Vertices are in the frame of the box that was given: nothing here turns axes or scales.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch import Tensor

from sanerf.errors import MissingExtraError, UserError
from sanerf.export.lattice import Lattice, lattice_positions, make_lattice, sample_lattice
from sanerf.geometry.transforms import Similarity
from sanerf.render.pictures import to_bytes
from sanerf.shapes import Bool, Float, Float32, Float64, Int, UInt8


@dataclass(frozen=True)
class Mesh:
    """Triangles with unit vertex normals pointing outwards.

    `invented` marks the vertices of the lids that close what the box cut open: no photograph showed a surface there.
    """

    vertices: Float32[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    normals: Float32[np.ndarray, "vertices 3"]
    invented: Bool[np.ndarray, "vertices"]
    colours: UInt8[np.ndarray, "vertices 3"] | None = None


def mesh_from_function(
    value_at: Callable[[Float[Tensor, "points 3"]], Float[Tensor, "points"]],
    *,
    bounds_min: Float[Tensor, "3"],
    bounds_max: Float[Tensor, "3"],
    resolution: int = 256,
    level: float = 0.5,
    smooth: float = 0.0,
    chunk: int = 1 << 16,
) -> Mesh:
    """The surface on which `value_at` passes `level`, within the box, closed where the box cuts it.

    `resolution` is the number of cells along the longest side, rounded up to a multiple of 8. The function is asked
    for at most `chunk` points at once, on the device and in the dtype of `bounds_min`: first on every eighth lattice
    point, then only near the surface (see `sample_lattice`). Parts thinner than a coarse cell may be missed where
    nothing else of the object is near. `smooth` blurs the values by so many cells first (for values of bounded range,
    such as probabilities; a blurred density moves its surface). Needs the extra "mesh". Raises UserError where nothing
    passes the level or the grid would not fit into memory.
    """
    lattice = make_lattice(bounds_min, bounds_max, resolution=resolution)
    values = sample_lattice(value_at, lattice, level=level, chunk=chunk).numpy()
    if smooth > 0:
        values = gaussian_filter(values, smooth, mode="nearest")
    low, high = float(values.min()), float(values.max())
    if not low <= level < high:
        raise UserError(f"there is no surface at level {level:g} in the box: the values go from {low:g} to {high:g}")
    vertices, faces, invented = _march(values, lattice, level)
    return Mesh(vertices, faces, vertex_normals(vertices, faces), invented)


def _march(
    values: Float32[np.ndarray, "nx ny nz"], lattice: Lattice, level: float
) -> tuple[Float32[np.ndarray, "vertices 3"], Int[np.ndarray, "faces 3"], Bool[np.ndarray, "vertices"]]:
    """Marching cubes (Lewiner et al. 2003) with a layer of outside values round the box."""
    marching_cubes = load_marching_cubes()
    outside = min(float(values.min()), level - (float(values.max()) - level) - 1e-6)
    padded = np.pad(values, 1, constant_values=outside)
    # The manual of scikit-image (0.26) names "descent" for values higher inside, but "ascent" turns faces outwards.
    index, faces, _, _ = marching_cubes(padded, level, gradient_direction="ascent")
    index = index.astype(np.float64) - 1
    cells = np.array(lattice.cells)
    # A lid's vertices come to lie between the box and the padding: put them on the box, so that the lid is flat.
    invented = ((index < 0) | (index > cells)).any(axis=1)
    positions = lattice_positions(lattice, torch.from_numpy(np.clip(index, 0, cells)))
    return positions.numpy().astype(np.float32), faces.astype(np.int32), invented


def load_marching_cubes() -> Callable[..., Any]:
    """scikit-image's. MissingExtraError where it is not installed."""
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise MissingExtraError("scikit-image", "mesh") from error
    return marching_cubes


def keep_large_components(mesh: Mesh, *, fraction: float = 0.05, cavities: bool = False) -> Mesh:
    """Without the connected pieces of fewer than `fraction` of the largest one's faces.

    Unless `cavities`, also without the inner walls of hollow pieces (those of negative volume): a radiance field knows
    nothing of an object's inside, and what it makes up there only doubles the mesh.
    """
    piece_of_face = _piece_of_vertex(mesh)[mesh.faces[:, 0]]
    sizes = np.bincount(piece_of_face)
    kept = np.ones(len(sizes), dtype=bool)
    if not cavities:
        kept = np.bincount(piece_of_face, weights=_tetrahedra(mesh), minlength=len(sizes)) > 0
    if kept.any():
        kept &= sizes >= fraction * sizes[kept].max()
    return _with_faces(mesh, kept[piece_of_face])


def keep_seen_components(
    mesh: Mesh, seen: Float32[np.ndarray, "points 3"], *, reach: float, fraction: float = 0.05
) -> Mesh:
    """Without the connected pieces that have fewer than `fraction` as many of the points `seen` within `reach` of their
    vertices as the piece with most: what a radiance field makes up where nobody looked is large, but hardly seen.

    A mesh near which no point was seen stays whole.
    """
    distance, vertex = (np.asarray(found) for found in KDTree(mesh.vertices).query(seen))
    pieces = _piece_of_vertex(mesh)
    counts = np.bincount(pieces[vertex[distance <= reach]], minlength=pieces.max() + 1)
    return _with_faces(mesh, (counts >= fraction * counts.max())[pieces[mesh.faces[:, 0]]])


def _piece_of_vertex(mesh: Mesh) -> Int[np.ndarray, "vertices"]:
    """The number of the connected piece that each vertex belongs to."""
    count = len(mesh.vertices)
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]]])
    graph = coo_array((np.ones(len(edges), dtype=bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, piece_of_vertex = connected_components(graph, directed=False)
    return piece_of_vertex


def _with_faces(mesh: Mesh, kept: Bool[np.ndarray, "faces"]) -> Mesh:
    """The mesh of some of the faces, without the vertices that no face uses any more."""
    used = np.zeros(len(mesh.vertices), dtype=bool)
    used[mesh.faces[kept]] = True
    new_index = np.cumsum(used) - 1
    return Mesh(
        vertices=mesh.vertices[used],
        faces=new_index[mesh.faces[kept]].astype(np.int32),
        normals=mesh.normals[used],
        invented=mesh.invented[used],
        colours=None if mesh.colours is None else mesh.colours[used],
    )


def colour_vertices(
    mesh: Mesh,
    colour_at: Callable[[Float[Tensor, "points 3"], Float[Tensor, "points 3"]], Float[Tensor, "points 3"]],
    *,
    chunk: int = 1 << 16,
) -> Mesh:
    """The mesh with `colour_at(vertices, outward normals)`, sRGB in 0 to 1, at every vertex.

    The function gets float32 tensors on the CPU. A field whose colour depends on the direction of sight is best asked
    for the look along the negative normal.
    """
    colours = np.empty((len(mesh.vertices), 3), dtype=np.uint8)
    for start in range(0, len(colours), chunk):
        part = slice(start, start + chunk)
        with torch.no_grad():
            found = colour_at(torch.from_numpy(mesh.vertices[part]), torch.from_numpy(mesh.normals[part]))
        colours[part] = to_bytes(found.float())
    return replace(mesh, colours=colours)


def transform_mesh(mesh: Mesh, target_from_source: Similarity) -> Mesh:
    """The mesh in another frame: to export, the scene file's own, `world_from_file.inverse()`."""
    vertices = target_from_source.apply(torch.from_numpy(mesh.vertices.astype(np.float64))).numpy()
    normals = mesh.normals.astype(np.float64) @ target_from_source.rotation.numpy().T
    return replace(mesh, vertices=vertices.astype(np.float32), normals=normals.astype(np.float32))


def vertex_normals(
    vertices: Float32[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float32[np.ndarray, "vertices 3"]:
    """Unit means of the adjacent faces' normals, weighted by area; zero at vertices without a face of any area."""
    scaled = _face_normals(vertices, faces)
    sums = np.stack(
        [np.bincount(faces.ravel(), weights=np.repeat(axis, 3), minlength=len(vertices)) for axis in scaled.T], axis=1
    )
    return (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-30)).astype(np.float32)


def signed_volume(mesh: Mesh) -> float:
    """The enclosed volume in the vertices' unit cubed; it means something for closed meshes, as all made here are."""
    return float(_tetrahedra(mesh).sum())


def surface_area(mesh: Mesh) -> float:
    """The area of all faces, lids included, in the vertices' unit squared."""
    return float(np.linalg.norm(_face_normals(mesh.vertices, mesh.faces), axis=1).sum() / 2)


def _face_normals(
    vertices: Float32[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float64[np.ndarray, "faces 3"]:
    """Outward normals, twice as long as the face's area."""
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    return np.cross(b - a, c - a)


def _tetrahedra(mesh: Mesh) -> Float64[np.ndarray, "faces"]:
    """Signed volumes of the tetrahedra between each face and the first vertex; over a closed piece they add up."""
    origin = mesh.vertices[:1].astype(np.float64)
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) - origin for i in range(3))
    return (a * np.cross(b, c)).sum(axis=1) / 6
