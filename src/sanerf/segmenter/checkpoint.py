"""Checkpoint files as the authors of SAM, SAM-HQ and SAM 2 give them out, into transformers' models.

A file is read as tensors and nothing else (`weights_only`), so that a prepared one cannot run code. The size of the
model follows from the tensors' shapes. Every tensor must find its place: one that is missing, unknown or of another
shape is an error that names it, since a network with a random part runs just as well and gives other masks.
"""

import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sanerf.errors import UserError, on_one_line
from sanerf.segmenter.convert_sam import rename_sam, sam_config
from sanerf.segmenter.convert_sam2 import join_points, rename_sam2, sam2_config
from sanerf.segmenter.convert_sam_hq import rename_sam_hq, sam_hq_config

CHECKPOINT_ENDINGS = (".pth", ".pt")


@dataclass(frozen=True)
class Family:
    """How the checkpoints of one family are told, and how they become a model of transformers."""

    title: str
    option: str
    marker_tensor: str
    """a tensor that every file of the family has, and none of those that come after it in the table"""
    rename: Callable[[str], tuple[str, ...] | None]
    """an author's name to transformers' names of the same tensor; () for one that single pictures do not need, None
    for an unknown one"""
    config: Callable[[dict[str, Tensor]], Any]
    """transformers' configuration of the network that the tensors fill; KeyError where one is not there"""


FAMILIES = {
    "Sam2Model": Family("SAM 2", "sam2", "sam_mask_decoder.iou_token.weight", rename_sam2, sam2_config),
    "SamHQModel": Family("SAM-HQ", "sam-hq", "mask_decoder.hf_token.weight", rename_sam_hq, sam_hq_config),
    "SamModel": Family("SAM", "sam", "mask_decoder.iou_token.weight", rename_sam, sam_config),
}
"""Of each class of transformers, in the order in which they are told."""


def load_authors_checkpoint(path: Path, model_class: str) -> Any:
    """A float32 transformers model of `model_class` on the CPU, from a file of the authors.

    Raises UserError where the file is damaged, not safe to read, of another family or not complete.
    """
    return model_of_tensors(path, read_tensors_alone(path), model_class=model_class)


def model_of_tensors(path: Path, state: dict[str, Tensor], *, model_class: str) -> Any:
    """The model that the tensors of the checkpoint `path` fill, on their device."""
    import transformers

    family = FAMILIES[model_class]
    _check_family(path, state, family)
    if model_class == "Sam2Model":
        state = join_points(state)
    try:
        config = family.config(state)
    except KeyError as error:
        raise UserError(f"{path} is no whole {family.title} checkpoint: it lacks {error}") from error
    except (IndexError, ZeroDivisionError) as error:
        raise UserError(f"{path} has tensors of shapes that no {family.title} has") from error
    with torch.device("meta"):
        model = getattr(transformers, model_class)(config)
    model.load_state_dict(_renamed(path, state, family, model.state_dict()), assign=True)
    return model


def read_tensors_alone(path: Path) -> dict[str, Tensor]:
    """The named tensors of a file that torch.save wrote, which may lie under "model" or "state_dict"."""
    try:
        # Mapped, so that a file of gigabytes is not in memory twice.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} cannot be read as tensors alone, and sanerf reads nothing else, since it could run code; is it "
            "whole, and the file that the authors give out?"
        ) from error
    except (OSError, RuntimeError) as error:
        # Of torch's several sentences about a damaged archive the first says what is wrong.
        raise UserError(f"{path} is damaged or no checkpoint: {on_one_line(error).partition('. ')[0]}") from error
    except (ValueError, EOFError, LookupError) as error:
        raise UserError(f"{path} is damaged or no checkpoint: it does not begin like what torch.save writes") from error
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path} holds no named tensors; expected a checkpoint as the authors give it out")
    return {str(name): value for name, value in content.items()}


def _check_family(path: Path, state: dict[str, Tensor], wanted: Family) -> None:
    found = next((family for family in FAMILIES.values() if family.marker_tensor in state), None)
    if found is None:
        raise UserError(f"{path} is no checkpoint of SAM, SAM-HQ or SAM 2: it has no {wanted.marker_tensor}")
    if any(name.startswith("image_encoder.layers.") for name in state):
        raise UserError(
            f"{path} has the TinyViT encoder (vit_tiny, MobileSAM), which sanerf does not have; "
            f"take vit_b, the smallest of {wanted.title}"
        )
    if found is not wanted:
        raise UserError(f"{path} is a checkpoint of {found.title}; use --segmenter {found.option}:{path}")


def _renamed(path: Path, state: dict[str, Tensor], family: Family, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under transformers' names, each checked against what the model expects."""
    out: dict[str, Tensor] = {}
    unknown, misshapen = [], []
    for name, value in state.items():
        targets = family.rename(name)
        if targets is None or any(target not in expected for target in targets):
            unknown.append(name)
            continue
        for target in targets:
            shape = expected[target].shape
            if value.shape != shape:
                misshapen.append(f"{name} of {tuple(value.shape)} in place of {tuple(shape)}")
            out[target] = value.to(torch.float32, copy=True)
    missing = sorted(set(expected) - set(out))
    for problem, names in (("tensors of unknown name", unknown), ("tensors of a wrong shape", misshapen)):
        if names:
            raise UserError(f"{path} has {len(names)} {problem} for {family.title}, such as {names[0]}")
    if missing:
        raise UserError(f"{path} lacks {len(missing)} of {family.title}'s tensors, such as {missing[0]}")
    return out
