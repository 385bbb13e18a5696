"""Checkpoints of nerfstudio's nerfacto, of both its implementations.

The field: the point, contracted in the maximum norm to [-2, 2]^3 (or, without contraction, the box `aabb`), becomes a
point of the unit cube; a hash grid; a network whose first output is the density's logarithm, up to the factor
`average_init_density`, and whose others, after 16 harmonics of the direction and before an embedding of the picture, go
into the colour network. Seen as for evaluation, the embedding is the mean over all pictures, or zero.

The "torch" implementation hashes every level, at floor(N * b^l) cells over the cube, and keeps weights and biases by
layer; "tcnn" is tiny-cuda-nn's layout (`tiny_cuda_nn`), whose padded inputs of the colour network are ones. Constant
inputs become biases here.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sanerf.adapters.hash_field import HashField, HashFieldParts, HashFieldSettings
from sanerf.adapters.nerfstudio_files import field_from_file, read_field_tensors, read_model_config, training_files
from sanerf.adapters.tiny_cuda_nn import SHIFT, GridShape, NetworkShape, level_growth, take_apart, without_biases
from sanerf.errors import UserError, on_one_line
from sanerf.geometry.transforms import Similarity

HARMONICS = 16

Layers = list[tuple[Tensor, Tensor]]
"""(weight, bias) of a network's layers."""


@dataclass(frozen=True)
class _Grid:
    """A grid's arrays, as `HashFieldParts` has them."""

    table: Tensor
    scales: Tensor
    sides: Tensor
    rows: Tensor


def nerfacto_field(path: Path, world_from_file: Similarity, *, scene: Path) -> HashField:
    """The field of a training, for the scene in the folder `scene` on which it was trained.

    Raises UserError for files that are missing, damaged or of another method.
    """
    files = training_files(path)
    model, tensors = read_model_config(files.config), read_field_tensors(files.checkpoint)
    source = str(files.checkpoint)
    try:
        tcnn = any(name.startswith("mlp_head") and name.endswith("params") for name in tensors)
        grid, density, colour = _read_tcnn(tensors, model, source) if tcnn else _read_torch(tensors, model, source)
        contracted = not model.get("disable_scene_contraction", False)
        low, high = torch.full((3,), -2.0), torch.full((3,), 2.0)
        if not contracted:
            low, high = tensors["aabb"].float().clone()
        parts = HashFieldParts(
            table=grid.table,
            scales=grid.scales,
            sides=grid.sides,
            rows=grid.rows,
            cube_low=low,
            cube_high=high,
            density_layers=density,
            colour_layers=_folded(colour, density[-1][0].shape[0] - 1, _appearance(tensors, model), ones_follow=tcnn),
        )
        settings = HashFieldSettings(
            origin=f"nerfacto {files.checkpoint.name}",
            shift=SHIFT if tcnn else 0.0,
            smooth=False,
            contracted=contracted,
            harmonics="unit" if tcnn else "shifted",
            # Older nerfactos do not know the factor; their density is the exponential alone.
            density_factor=float(model.get("average_init_density", 1.0)),
        )
    except UserError:
        raise
    except (KeyError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{source} is no checkpoint of nerfacto that can be used: {on_one_line(error)}") from error
    return HashField(settings, parts, field_from_file(files, scene).after(world_from_file.inverse()))


def _read_torch(tensors: dict[str, Tensor], model: dict[str, Any], source: str) -> tuple[_Grid, Layers, Layers]:
    names = [name for name in tensors if name.startswith("mlp_base") and name.endswith("hash_table")]
    density, colour = _layers(tensors, "mlp_base"), _layers(tensors, "mlp_head")
    if not names or not density or not colour:
        raise UserError(f"{source} has no hash grid and networks of nerfacto; its field has {', '.join(tensors)[:200]}")
    table = tensors[names[0]]
    levels = density[0][0].shape[1] // table.shape[1]
    scales = tensors.get(names[0].removesuffix("hash_table") + "scalings")
    if scales is None:
        finest = int(tensors["max_res"]) if "max_res" in tensors else int(model.get("max_res", 2048))
        scales = torch_scales(int(model.get("base_res", 16)), finest, levels)
    rows = torch.full((levels,), table.shape[0] // levels)
    if int(rows.sum()) != table.shape[0] or len(scales) != levels or int(rows[0]).bit_count() != 1:
        raise UserError(f"{source} has {table.shape[0]} rows in its hash grid, which {levels} levels cannot share")
    return _Grid(table, scales.float(), torch.zeros(levels, dtype=torch.int64), rows), density, colour


def torch_scales(coarsest: int, finest: int, levels: int) -> Tensor:
    """Cells over the cube of nerfstudio's torch grid: in single precision, by which 2048 may come out as 2047."""
    return torch.floor(coarsest * level_growth(coarsest, finest, levels) ** torch.arange(levels))


def _layers(tensors: dict[str, Tensor], prefix: str) -> Layers:
    """The layers of the network whose weights start with `prefix`; some networks stand under two names."""
    found = {}
    for name, value in tensors.items():
        match = re.fullmatch(rf"{prefix}.*?layers\.(\d+)\.weight", name)
        if match:
            found[int(match[1])] = (value, tensors[name.removesuffix("weight") + "bias"])
    return [found[k] for k in sorted(found)]


def _read_tcnn(tensors: dict[str, Tensor], model: dict[str, Any], source: str) -> tuple[_Grid, Layers, Layers]:
    levels = int(tensors["num_levels"]) if "num_levels" in tensors else int(model.get("num_levels", 16))
    finest = int(tensors["max_res"]) if "max_res" in tensors else int(model.get("max_res", 2048))
    log2_rows = int(tensors.get("log2_hashmap_size", torch.tensor(model.get("log2_hashmap_size", 19))))
    base, features = int(model.get("base_res", 16)), int(model.get("features_per_level", 2))
    shape = GridShape(levels, features, log2_rows, base, level_growth(base, finest, levels))
    density_shape = NetworkShape(levels * features, int(model.get("hidden_dim", 64)), 1, 16)
    given = HARMONICS + 15 + len(_appearance(tensors, model))
    colour_shape = NetworkShape(given, int(model.get("hidden_dim_color", 64)), 2, 3)

    def of(*names: str) -> Tensor | None:
        return next((tensors[name].reshape(-1) for name in names if name in tensors), None)

    both = of("mlp_base.model.params", "mlp_base.tcnn_encoding.params", "mlp_base.params")
    if both is None:
        network, grid = of("mlp_base_mlp.tcnn_encoding.params"), of("mlp_base_grid.tcnn_encoding.params")
        if network is None or grid is None:
            raise UserError(f"{source} has no density network of nerfacto; its field has {', '.join(tensors)[:200]}")
        both = torch.cat([network, grid])
    (density,), table = take_apart(both, [density_shape], grid=shape, source=source)
    # The grid pads its features with zeros: those columns count for nothing.
    density[0] = density[0][:, : density_shape.inputs]
    head = of("mlp_head.tcnn_encoding.params", "mlp_head.params")
    if head is None:
        raise UserError(f"{source} has no colour network of nerfacto; its field has {', '.join(tensors)[:200]}")
    (colour,), _ = take_apart(head, [colour_shape], grid=None, source=source)
    return _Grid(table, *shape.layout()), without_biases(density), without_biases(colour)


def _appearance(tensors: dict[str, Tensor], model: dict[str, Any]) -> Tensor:
    """The picture's embedding with which to look, empty where there is none."""
    embeddings = tensors.get("embedding_appearance.embedding.weight")
    if embeddings is None:
        return torch.zeros(0)
    mean = embeddings.float().mean(dim=0)
    return mean if model.get("use_average_appearance_embedding", True) else torch.zeros_like(mean)


def _folded(colour: Layers, features: int, appearance: Tensor, *, ones_follow: bool) -> Layers:
    """The colour network with its inputs in the order of `HashFieldParts`, constant ones folded into the first bias.

    nerfacto's order is harmonics, `features` of the density network's outputs (all but the first), embedding, and, in
    tiny-cuda-nn's layout, ones up to the padded width.
    """
    weight, bias = colour[0][0].float(), colour[0][1].float()
    widths = [HARMONICS, features, len(appearance)]
    if weight.shape[1] < sum(widths) or (weight.shape[1] > sum(widths) and not ones_follow):
        raise UserError(f"the colour network has {weight.shape[1]} inputs where nerfacto's has {sum(widths)}")
    harmonics, geometry, embedded, padding = weight.split([*widths, weight.shape[1] - sum(widths)], dim=1)
    folded = bias + embedded @ appearance + padding.sum(dim=1)
    first = torch.cat([torch.zeros(len(weight), 1), geometry, harmonics], dim=1)
    return [(first, folded), *colour[1:]]
