"""Snapshots of instant-ngp (`.ingp`, `.msgpack`): a msgpack map, compressed in the first case.

Of the map these keys count: the network configuration's `encoding`, `network`, `rgb_network` and `dir_encoding`, and
`snapshot` with the parameters (`params_binary`, of type `params_type`), the boxes `aabb` and `render_aabb` and, under
`nerf.dataset`, the frame. The parameters are the density network's, the colour network's and the grid's, in
tiny-cuda-nn's layout. The colour network is given the density network's 16 outputs, then 16 harmonics of the direction.

The frame: a point p of transforms.json becomes scale * p + offset (0.33 and 0.5 by default), whose axes are then
cycled, (x, y, z) to (y, z, x). Density is per unit of that frame. Only facts about the file format stand here:
instant-ngp's own code is not free.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sanerf.adapters.file_kinds import kind_of_file
from sanerf.adapters.hash_field import CropBox, HashField, HashFieldParts, HashFieldSettings
from sanerf.adapters.tiny_cuda_nn import SHIFT, GridShape, NetworkShape, level_growth, take_apart, without_biases
from sanerf.errors import MissingExtraError, UserError
from sanerf.geometry.transforms import Similarity
from sanerf.shapes import Float

LARGEST_SNAPSHOT = 8 * 2**30
"""Bytes that a snapshot may have when unpacked; the largest of instant-ngp's configurations have a twentieth."""

_GZIP_OR_ZLIB = 47
_FINEST = 2048
"""Grid points over the unit cube at the finest level where the configuration does not give the scale per level."""


def read_snapshot(path: Path) -> dict[str, Any]:
    """The map in a snapshot file. UserError where it is none."""
    try:
        import msgpack
    except ImportError as error:
        raise MissingExtraError("msgpack", "adapters") from error
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b" or content[:1] == b"\x78":
            unpacker = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
            content = unpacker.decompress(content, LARGEST_SNAPSHOT)
            if not unpacker.eof:
                raise UserError(f"{path} cannot be read: it is cut short or larger than 8 GiB")
        document = msgpack.unpackb(content, strict_map_key=False)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (zlib.error, ValueError, TypeError, msgpack.UnpackException) as error:
        raise UserError(
            f"{path} is no snapshot of instant-ngp, or a damaged one: by its first bytes it is {kind_of_file(path)}; "
            "save it again in instant-ngp's window, or copy it again"
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("snapshot"), dict):
        raise UserError(f"{path} is no snapshot of instant-ngp: it has no entry 'snapshot'; save one in its window")
    return document


def instant_ngp_field(path: Path, world_from_file: Similarity) -> HashField:
    """The field in a snapshot, for a scene whose file frame is that of the transforms.json it was trained on.

    Raises UserError for files that are no snapshots and for networks that are built otherwise.
    """
    document = read_snapshot(path)
    try:
        return _field(document, path, world_from_file)
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        wrong = (
            f"it has no entry {error}" if type(error) is KeyError else "its entries are not of the kinds they should be"
        )
        raise UserError(
            f"{path} is no snapshot of instant-ngp that can be used: {wrong}; save it again with instant-ngp"
        ) from error


def _field(document: dict[str, Any], path: Path, world_from_file: Similarity) -> HashField:
    snapshot = document["snapshot"]
    if snapshot.get("mode", "nerf").lower() != "nerf":
        raise UserError(f"{path} is a snapshot of instant-ngp's mode {snapshot['mode']!r}; only 'nerf' can be used")
    nerf = snapshot.get("nerf", {})
    dataset = nerf.get("dataset", {})
    if dataset.get("from_mitsuba") or dataset.get("n_extra_learnable_dims") or dataset.get("has_light_dirs"):
        raise UserError(
            f"{path} was trained with Mitsuba's cameras, latent codes or light directions; none can be used"
        )
    aabb_scale = int(dataset.get("aabb_scale", nerf.get("aabb_scale", 1)))
    grid = _grid_shape(document["encoding"], aabb_scale, path)
    _check_directions(document["dir_encoding"], path)
    density_shape = _network_shape(document["network"], grid.levels * grid.features, 16, path)
    colour_shape = _network_shape(document["rgb_network"], density_shape.outputs + 16, 3, path)
    shapes = [density_shape, colour_shape]
    (density, colour), table = take_apart(_parameters(snapshot, path), shapes, grid=grid, source=str(path))
    # The grid pads its features with zeros: those columns count for nothing.
    density[0] = density[0][:, : density_shape.inputs]

    scales, sides, rows = grid.layout()
    low, high = _box(snapshot["aabb"]) if "aabb" in snapshot else _cube(aabb_scale)
    crop_low, crop_high = _box(snapshot["render_aabb"]) if "render_aabb" in snapshot else (low, high)
    turn = torch.tensor(snapshot.get("render_aabb_to_local", np.eye(3).tolist()), dtype=torch.float32)
    parts = HashFieldParts(
        table=table,
        scales=scales,
        sides=sides,
        rows=rows,
        cube_low=low,
        cube_high=high,
        density_layers=without_biases(density),
        colour_layers=without_biases(colour),
        crop=CropBox(turn, crop_low, crop_high),
    )
    settings = HashFieldSettings(
        origin=f"instant-ngp {path.name}",
        shift=SHIFT,
        smooth=document["encoding"].get("interpolation", "Linear").lower() == "smoothstep",
        contracted=False,
        harmonics="unit",
        density_factor=1.0,
    )
    return HashField(settings, parts, field_from_file(dataset).after(world_from_file.inverse()))


def field_from_file(dataset: dict[str, Any]) -> Similarity:
    """transforms.json's frame to instant-ngp's unit cube, by the numbers under `nerf.dataset`."""
    scale = float(dataset.get("scale", 0.33))
    offset = torch.tensor(dataset.get("offset", [0.5, 0.5, 0.5]), dtype=torch.float64)
    cycled = torch.tensor([[0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=torch.float64)
    return Similarity(scale, cycled, cycled @ offset)


def _grid_shape(encoding: dict[str, Any], aabb_scale: int, path: Path) -> GridShape:
    kind = (encoding.get("otype", ""), encoding.get("type", "Hash"))
    if kind[0].lower() not in ("hashgrid", "grid") or kind[1].lower() != "hash":
        raise UserError(f"{path} has the position encoding {kind[0]!r}, of type {kind[1]!r}; only HashGrid can be used")
    if encoding.get("interpolation", "Linear").lower() not in ("linear", "smoothstep"):
        raise UserError(
            f"{path} interpolates its grid by {encoding['interpolation']!r}; only Linear and Smoothstep can be used"
        )
    features = int(encoding.get("n_features_per_level", 2))
    levels = int(encoding["n_features"]) // features if "n_features" in encoding else int(encoding.get("n_levels", 16))
    log2_rows = int(encoding.get("log2_hashmap_size", 15))
    base = int(encoding.get("base_resolution", 0)) or 1 << (log2_rows // 3)
    growth = float(encoding.get("per_level_scale", 0.0))
    if growth <= 0:
        growth = level_growth(base, _FINEST * aabb_scale, levels)
    return GridShape(levels, features, log2_rows, base, growth)


def _network_shape(config: dict[str, Any], inputs: int, outputs: int, path: Path) -> NetworkShape:
    kind = config.get("otype", "")
    activations = (config.get("activation", "ReLU").lower(), config.get("output_activation", "None").lower())
    if kind not in ("FullyFusedMLP", "CutlassMLP") or activations != ("relu", "none"):
        raise UserError(f"{path} has a network {kind!r} with activations {activations}; only ReLU networks can be used")
    return NetworkShape(
        inputs=inputs,
        hidden=int(config.get("n_neurons", 128)),
        hidden_layers=int(config["n_hidden_layers"]),
        outputs=int(config.get("n_output_dims", outputs)),
    )


def _check_directions(encoding: dict[str, Any], path: Path) -> None:
    first = encoding["nested"][0] if encoding.get("otype") == "Composite" else encoding
    if first.get("otype") != "SphericalHarmonics" or first.get("degree", 4) != 4:
        raise UserError(f"{path} has the direction encoding {first}; only SphericalHarmonics of degree 4 can be used")


def _parameters(snapshot: dict[str, Any], path: Path) -> Float[Tensor, "parameters"]:
    content = snapshot["params_binary"]
    content = getattr(content, "data", content)  # msgpack's ExtType, where the writer gave the binary a type
    kinds = {"__half": np.dtype("<f2"), "float": np.dtype("<f4")}
    kind = snapshot.get("params_type", "__half")
    if kind not in kinds:
        raise UserError(f"{path} has parameters of the type {kind!r}; expected __half or float")
    return torch.from_numpy(np.frombuffer(content, dtype=kinds[kind]).copy())


def _box(values: dict[str, Any]) -> tuple[Tensor, Tensor]:
    return torch.tensor(values["min"], dtype=torch.float32), torch.tensor(values["max"], dtype=torch.float32)


def _cube(side: int) -> tuple[Tensor, Tensor]:
    return torch.full((3,), 0.5 - side / 2), torch.full((3,), 0.5 + side / 2)
