"""A path to a foreign field, by what lies there; and the field as tensors and text, as a run folder keeps it."""

import dataclasses
import json
from pathlib import Path

from torch import Tensor

from sanerf.adapters.hash_field import HashField, HashFieldParts, HashFieldSettings
from sanerf.adapters.instant_ngp import instant_ngp_field
from sanerf.adapters.nerfacto import nerfacto_field
from sanerf.errors import UserError
from sanerf.geometry.transforms import IDENTITY, Similarity


def load_field(path: Path, world_from_file: Similarity, *, scene: Path) -> HashField:
    """The trained field at `path`, in the world of the scene in the folder `scene`.

    `path` is a snapshot of instant-ngp, or the folder, config.yml or a checkpoint of a nerfacto training. Raises
    UserError, one sentence, for whatever cannot be used.
    """
    if not path.exists():
        raise UserError(f"there is no file or folder {path}")
    if path.suffix in (".ingp", ".msgpack"):
        return instant_ngp_field(path, world_from_file)
    if path.is_dir() or path.suffix in (".ckpt", ".yml"):
        return nerfacto_field(path, world_from_file, scene=scene)
    raise UserError(
        f"{path} is no trained field: expected a snapshot of instant-ngp (.ingp, .msgpack) or the folder, config.yml "
        "or a checkpoint (.ckpt) of a nerfacto training"
    )


def to_stored(field: HashField) -> tuple[dict[str, Tensor], str]:
    """Tensors and JSON text from which `from_stored` makes the field again."""
    return dict(field.state_dict()), json.dumps(dataclasses.asdict(field.settings))


def from_stored(tensors: dict[str, Tensor], text: str) -> HashField:
    """The field that `to_stored` took apart. ValueError, KeyError or TypeError where it is another thing."""
    settings = HashFieldSettings(**json.loads(text))
    parts = HashFieldParts(
        table=tensors["table"],
        scales=tensors["scales"],
        sides=tensors["sides"],
        rows=tensors["rows"],
        cube_low=tensors["cube"][0],
        cube_high=tensors["cube"][1],
        density_layers=_stored_layers(tensors, "density_network"),
        colour_layers=_stored_layers(tensors, "colour_network"),
    )
    field = HashField(settings, parts, IDENTITY)
    field.load_state_dict(tensors)
    return field


def _stored_layers(tensors: dict[str, Tensor], network: str) -> list[tuple[Tensor, Tensor]]:
    weights = sorted((name for name in tensors if name.startswith(network) and name.endswith("weight")), key=_position)
    return [(tensors[name], tensors[name.removesuffix("weight") + "bias"]) for name in weights]


def _position(name: str) -> int:
    return int(name.split(".")[1])
