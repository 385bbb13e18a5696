"""SAM-family weights as models of transformers: from a folder, the authors' checkpoints or the Hugging Face hub."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from sanerf.errors import MissingExtraError, UserError
from sanerf.segmenter.checkpoint import CHECKPOINT_ENDINGS, load_authors_checkpoint
from sanerf.segmenter.preprocess import MASK_STRIDE

_FINGERPRINT_VERSION = "sanerf-sam-1"
"""Raise when preprocessing or the choice of maps changes, so that caches of the older code are not read."""

_VOLATILE = {"transformers_version", "dtype", "torch_dtype", "architectures", "chunk_size_feed_forward"}


def load_pretrained(model_class: str, source: str, device: torch.device) -> Any:
    """A frozen float32 transformers model in evaluation mode.

    `model_class` is a class of transformers, "SamModel", "SamHQModel" or "Sam2Model"; `source` a folder made by
    `save_pretrained`, a checkpoint file of the authors or a hub name. Raises MissingExtraError without transformers and
    UserError where the weights cannot be had or do not fit.
    """
    try:
        import transformers
        from huggingface_hub.errors import HFValidationError
        from safetensors import SafetensorError
    except ImportError as error:
        raise MissingExtraError("transformers", "sam") from error

    try:
        cls = getattr(transformers, model_class)
    except (ImportError, RuntimeError) as error:
        # A torchvision that does not fit torch breaks transformers' vision models.
        raise UserError(f"transformers cannot import {model_class} here: {_first_line(error)}") from error
    file = Path(source).expanduser()
    if file.is_file():
        return load_authors_checkpoint(file, model_class).eval().requires_grad_(False).to(device)
    folder = _local_folder(source, cls.config_class.model_type)
    is_folder = folder is not None
    try:
        model, report = cls.from_pretrained(
            folder or source, dtype=torch.float32, local_files_only=is_folder, output_loading_info=True
        )
    except (OSError, HFValidationError) as error:
        if is_folder:
            raise UserError(
                f"{source} holds no weights that can be read; expected model.safetensors as written by save_pretrained"
            ) from error
        raise UserError(
            f"{source!r} is neither a folder here nor a model that could be had from the Hugging Face hub; "
            "download it where there is a network and give its folder"
        ) from error
    except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError) as error:
        reason = _first_line(error)
        raise UserError(f"the weights in {source} are damaged or not of a {model_class}: {reason}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        # transformers would go on with random values in their place.
        raise UserError(f"the weights in {source} lack {len(missing)} of {model_class}'s tensors, such as {missing[0]}")
    # SAM 2's encoder names its sizes elsewhere.
    config = model.config.vision_config if model_class != "Sam2Model" else model.config.prompt_encoder_config
    side, patch = config.image_size, config.patch_size
    if side % patch or patch % MASK_STRIDE:
        raise UserError(f"{source} has an input of {side} pixels in patches of {patch}, which no SAM mask decoder fits")
    return model.eval().requires_grad_(False).to(device)


def _local_folder(source: str, model_type: str) -> Path | None:
    """The folder that `source` is, None for a hub name; raises UserError where it can be neither."""
    path = Path(source).expanduser()
    if not path.is_dir():
        if source.endswith(CHECKPOINT_ENDINGS):
            raise UserError(f"there is no file {source!r}; expected a checkpoint as the model's authors give it out")
        if path.is_absolute() or source.startswith((".", "~")) or source.count("/") > 1 or not source.strip():
            raise UserError(f"there is no folder {source!r}; expected one with config.json and model.safetensors")
        return None
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        found = config.get("model_type")
    except FileNotFoundError as error:
        raise UserError(f"{source} has no config.json; expected a folder made by save_pretrained") from error
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path / 'config.json'} cannot be read: {_first_line(error)}") from error
    # The folders of SAM 2 on the hub are those of its video model, which holds the model of single pictures.
    if found is not None and _plain(found).removesuffix("_video") != _plain(model_type):
        raise UserError(f"{source} holds a model of type {found!r}; expected {model_type!r}")
    return path


def _plain(model_type: object) -> str:
    """Early files say "sam-hq" where later ones say "sam_hq"."""
    return str(model_type).replace("-", "_")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def model_fingerprint(model: Any, kind: str, dtype: torch.dtype) -> str:
    """SHA-256 over configuration, weights and what the encoder counts in; the same wherever the model lies."""
    counted_in = "" if dtype == torch.float32 else f" {dtype}"
    digest = hashlib.sha256(f"{_FINGERPRINT_VERSION} {kind}{counted_in}".encode())
    digest.update(json.dumps(_stable(model.config.to_dict()), sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def _stable(value: object) -> object:
    """A configuration without what depends on the machine or on transformers' version."""
    if isinstance(value, dict):
        named = {str(key): item for key, item in value.items()}
        return {key: _stable(item) for key, item in named.items() if key[:1] != "_" and key not in _VOLATILE}
    return [_stable(item) for item in value] if isinstance(value, list | tuple) else value
