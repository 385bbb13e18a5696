"""The object as an oriented, coloured point cloud: where the rays of its pixels end.

Points are the rays' ends in the frame of the rays; one point a voxel remains, with the mean position and colour of what
fell into it. Normals are unit, fitted to the neighbourhood and turned towards the cameras that saw the point.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from sanerf.errors import UserError
from sanerf.export.ply import Ply, write_ply
from sanerf.geometry.cameras import Rays
from sanerf.geometry.transforms import Similarity
from sanerf.render.pictures import to_bytes
from sanerf.shapes import Bool, Float, Float32, Float64, UInt8

_NORMAL_NEIGHBOURS = 16
_CHUNK = 1 << 16


@dataclass(frozen=True)
class PointCloud:
    """Points with unit normals and sRGB colours."""

    points: Float32[np.ndarray, "points 3"]
    normals: Float32[np.ndarray, "points 3"]
    colours: UInt8[np.ndarray, "points 3"]

    def __len__(self) -> int:
        return len(self.points)


def surface_points(
    rays: Rays,
    distances: Float[Tensor, "rays"],
    *,
    colours: Float[Tensor, "rays 3"],
    voxel: float,
    outlier_spread: float = 2.0,
) -> PointCloud:
    """The cloud of where rays that show the object end.

    `colours` are sRGB in 0 to 1. `voxel` is the edge length in the rays' frame within which points become one.
    Isolated points go (`isolated`, with `outlier_spread`; 0 or less keeps them). Rays that end nowhere (distance not
    finite or not positive) are left out. The rays may come from many views, one after the other. Raises UserError where
    nothing remains.
    """
    assert voxel > 0, voxel
    hit = torch.isfinite(distances) & (distances > 0)
    if not hit.any():
        raise UserError("no ray ends on the object, so there are no points")
    chosen = rays[hit]
    ends = chosen.at(distances[hit]).double().cpu().numpy()
    attributes = np.concatenate([colours[hit].cpu().numpy(), -chosen.directions.cpu().numpy()], axis=1)
    points, means = voxel_means(ends, attributes.astype(np.float64), voxel)
    if outlier_spread > 0:
        keep = ~isolated(points, spread=outlier_spread)
        points, means = points[keep], means[keep]
    return PointCloud(
        points=points.astype(np.float32),
        normals=facing_normals(points, means[:, 3:]).astype(np.float32),
        colours=to_bytes(means[:, :3]),
    )


def voxel_means(
    points: Float64[np.ndarray, "points 3"], attributes: Float64[np.ndarray, "points channels"], voxel: float
) -> tuple[Float64[np.ndarray, "voxels 3"], Float64[np.ndarray, "voxels channels"]]:
    """Mean position and mean attributes of the points in each occupied voxel of a grid of edge `voxel`."""
    cells = np.floor((points - points.min(axis=0)) / voxel).astype(np.int64)
    shape = cells.max(axis=0) + 1
    assert float(np.prod(shape.astype(np.float64))) < 2.0**62, f"voxel {voxel} is far too small for these points"
    keys = (cells[:, 0] * shape[1] + cells[:, 1]) * shape[2] + cells[:, 2]
    _, index, counts = np.unique(keys, return_inverse=True, return_counts=True)

    def mean(values: np.ndarray) -> np.ndarray:
        sums = [np.bincount(index, weights=column, minlength=len(counts)) for column in values.T]
        return np.stack(sums, axis=1) / counts[:, None]

    return mean(points), mean(attributes)


def isolated(
    points: Float64[np.ndarray, "points 3"], *, neighbours: int = 16, spread: float = 2.0
) -> Bool[np.ndarray, "points"]:
    """Which points lie apart: the mean distance to their nearest `neighbours` is more than `spread` standard deviations
    above what it is on average (Rusu et al. 2008). A cloud of no more than `neighbours` points has none.
    """
    if len(points) <= neighbours:
        return np.zeros(len(points), dtype=bool)
    mean_distance = KDTree(points).query(points, k=neighbours + 1)[0][:, 1:].mean(axis=1)
    return mean_distance > mean_distance.mean() + spread * mean_distance.std() + 1e-12


def facing_normals(
    points: Float64[np.ndarray, "points 3"], towards: Float64[np.ndarray, "points 3"]
) -> Float64[np.ndarray, "points 3"]:
    """Unit normals of the planes fitted to each point's neighbourhood, on the side of `towards`.

    With fewer than three points there is no plane, and `towards` itself is the answer.
    """
    count = min(_NORMAL_NEIGHBOURS, len(points))
    if count < 3:
        return towards / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
    tree = KDTree(points)
    normals = np.empty_like(points)
    for start in range(0, len(points), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        near = points[tree.query(points[chunk], k=count)[1]]
        centred = near - near.mean(axis=1, keepdims=True)
        # eigh sorts ascending: the first axis is the one along which the neighbourhood spreads least.
        normals[chunk] = np.linalg.eigh(np.einsum("pki,pkj->pij", centred, centred))[1][:, :, 0]
    away = (normals * towards).sum(axis=1) < 0
    return np.where(away[:, None], -normals, normals)


def transform_points(cloud: PointCloud, target_from_source: Similarity) -> PointCloud:
    """The cloud in another frame: to export, the scene file's own, `world_from_file.inverse()`."""
    points = target_from_source.apply(torch.from_numpy(cloud.points.astype(np.float64)))
    normals = cloud.normals.astype(np.float64) @ target_from_source.rotation.numpy().T
    return replace(cloud, points=points.numpy().astype(np.float32), normals=normals.astype(np.float32))


def write_points(path: Path, cloud: PointCloud) -> None:
    """Write the cloud as PLY with normals and colours. UserError for another ending."""
    check_points_ending(path)
    write_ply(path, Ply(cloud.points, cloud.normals, cloud.colours), comment="points of an object, by sanerf")


def check_points_ending(path: Path) -> None:
    """Raise UserError where `write_points` knows no format for the path's ending."""
    if path.suffix.lower() != ".ply":
        raise UserError(f"points are written as .ply, not as {path.suffix or 'a file without ending'}: {path}")
