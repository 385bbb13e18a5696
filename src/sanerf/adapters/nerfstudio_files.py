"""The files of a nerfstudio training: where they lie, and how they are read without running what is in them.

    RUN/config.yml                       the configuration, full of YAML tags that name Python objects
    RUN/dataparser_transforms.json       `transform` (3 x 4) and `scale`: the trained frame from the capture's
    RUN/nerfstudio_models/step-*.ckpt    the weights, a pickle

config.yml's tags are passed over: a tagged mapping is read as a mapping. Of the pickle only tensors and plain values
are taken (torch's `weights_only`); anything else in it is refused.
"""

import math
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sanerf.adapters.file_kinds import kind_of_file
from sanerf.errors import MissingExtraError, UserError
from sanerf.files import read_json
from sanerf.geometry.transforms import Similarity

_DAMAGES = (ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError,
            pickle.UnpicklingError, struct.error)  # fmt: skip
"""What torch's reader raises for damaged archives and pickles, and for those of other things."""


@dataclass(frozen=True)
class TrainingFiles:
    """The three files of one training."""

    config: Path
    transforms: Path
    checkpoint: Path


def training_files(path: Path) -> TrainingFiles:
    """The files of the training that `path` names by its folder, its config.yml or a checkpoint.

    The newest checkpoint where there are several. UserError where one is missing.
    """
    checkpoint = path if path.suffix == ".ckpt" else None
    root = path if path.is_dir() else path.parent
    if checkpoint is not None and not (root / "config.yml").is_file():
        root = root.parent
    if checkpoint is None:
        found = sorted(root.glob("nerfstudio_models/step-*.ckpt")) or sorted(root.glob("step-*.ckpt"))
        if not found:
            raise UserError(f"{root} has no checkpoint: expected nerfstudio_models/step-*.ckpt in it")
        checkpoint = found[-1]
    for needed in (root / "config.yml", root / "dataparser_transforms.json"):
        if not needed.is_file():
            raise UserError(f"{needed} is missing; nerfstudio writes it beside nerfstudio_models, and it is needed")
    return TrainingFiles(root / "config.yml", root / "dataparser_transforms.json", checkpoint)


def read_model_config(path: Path) -> dict[str, Any]:
    """The mapping `pipeline.model` of a config.yml. UserError where there is none."""
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("pyyaml", "adapters") from error

    class TagsPassedOver(yaml.SafeLoader):
        """Plain values only; what a tag stands for is never made."""

    def passed_over(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return node.value

    TagsPassedOver.add_multi_constructor("", passed_over)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=TagsPassedOver)
        model = document["pipeline"]["model"]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" from line {mark.line + 1} on"
        raise UserError(
            f"{path} is no configuration of nerfstudio: it is no YAML text{where}; copy the training's config.yml again"
        ) from error
    except (KeyError, TypeError):
        model = None
    if not isinstance(model, dict):
        raise UserError(
            f"{path} is no configuration of nerfstudio: it has no settings under pipeline, model; expected the "
            "config.yml that nerfstudio writes when it trains nerfacto"
        )
    return model


def read_field_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint's field, without the prefix `_model.field.`. UserError where there are none."""
    try:
        # Memory-mapped: the optimisers' states, twice the weights, are never read.
        with torch.serialization.safe_globals(_numpy_numbers()):
            document = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state = document["pipeline"].items()
    except _DAMAGES as error:
        raise UserError(f"{path} {_what_is_wrong(path, error)}") from error
    prefixes = ("_model.field.", "module._model.field.", "_model.module.field.")
    tensors = {
        name.removeprefix(prefix): value
        for name, value in state
        for prefix in prefixes
        if isinstance(name, str) and name.startswith(prefix) and isinstance(value, Tensor)
    }
    if not tensors:
        raise UserError(f"{path} has no weights of a field (_model.field...); is it a checkpoint of nerfacto?")
    return tensors


def field_from_file(files: TrainingFiles, scene: Path) -> Similarity:
    """The trained frame from that of the scene's files.

    nerfstudio trains on s0 (T0 p_file), its own turning and centring before its own scale. What it saves in
    `dataparser_transforms.json` is T0 behind the `applied_transform` of the scene's transforms.json, and s0 times the
    `applied_scale` there (its nerfstudio data parser); both are taken off again.
    """
    saved = read_json(files.transforms)
    turned = _rigid(saved.get("transform"), files.transforms)
    scale = _positive(saved.get("scale"), files.transforms)
    if (scene / "transforms.json").is_file():
        listed = read_json(scene / "transforms.json")
        rigid = np.eye(4)[:3].tolist() if listed.get("applied_transform") is None else listed["applied_transform"]
        turned = turned.after(_rigid(rigid, scene / "transforms.json").inverse())
        scale /= _positive(listed.get("applied_scale", 1.0), scene / "transforms.json")
    return Similarity(scale, turned.rotation, scale * turned.translation)


def _rigid(matrix: Any, source: Path) -> Similarity:
    """p -> R p + t of a 3 x 4 matrix."""
    try:
        values = np.array(matrix, dtype=np.float64)[:3]
    except (TypeError, ValueError, IndexError) as error:
        raise UserError(f"the transform in {source} is not a 3 x 4 matrix of numbers") from error
    if values.shape != (3, 4) or not np.isfinite(values).all():
        raise UserError(f"the transform in {source} is not a 3 x 4 matrix of numbers")
    rotation = values[:, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
        raise UserError(f"the transform in {source} is no rotation with a shift; other frames cannot be used")
    return Similarity(1.0, torch.from_numpy(rotation.copy()), torch.from_numpy(values[:, 3].copy()))


def _positive(value: Any, source: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UserError(f"the scale in {source} is {value!r}; expected a positive number")
    return float(value)


def _numpy_numbers() -> list[Any]:
    """NumPy's plain numbers, which older checkpoints have in their schedulers' states, under both of their names."""
    scalar = np._core.multiarray.scalar  # pyright: ignore[reportAttributeAccessIssue]
    kinds = [type(np.dtype(name)) for name in ("f4", "f8", "i4", "i8")]
    return [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"), np.dtype, *kinds]


def _what_is_wrong(path: Path, error: Exception) -> str:
    """What is said of a checkpoint in which no weights were found, by the `error` that ended the search."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot be read: {error.strerror}"
    kind = kind_of_file(path)
    if kind != "a zip archive":
        return (
            f"is no checkpoint of nerfstudio, or a damaged one: by its first bytes it is {kind}; expected the "
            "step-*.ckpt of a training"
        )
    if isinstance(error, pickle.UnpicklingError):
        return (
            "is not opened: it is damaged, or holds Python objects, which may run code; nerfacto's own checkpoints "
            "hold none"
        )
    if isinstance(error, KeyError | TypeError | AttributeError):
        return (
            "is no checkpoint of nerfstudio: it has no weights under 'pipeline'; expected the step-*.ckpt of a training"
        )
    return "is a damaged checkpoint or none: its archive cannot be read to the end; copy it again"
