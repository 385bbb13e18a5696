"""SAM-family weights as models of transformers: from a folder, the authors' checkpoints or the Hugging Face hub."""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sanerf.errors import MissingExtraError, UserError
from sanerf.segmenter.checkpoint import CHECKPOINT_ENDINGS, FAMILIES, load_authors_checkpoint
from sanerf.segmenter.preprocess import MASK_STRIDE

_FINGERPRINT_VERSION = "sanerf-sam-1"
"""Raise when preprocessing or the choice of maps changes, so that caches of the older code are not read."""

_VOLATILE = {"transformers_version", "dtype", "torch_dtype", "architectures", "chunk_size_feed_forward"}
_log = logging.getLogger(__name__)


def load_pretrained(model_class: str, source: str, device: torch.device) -> Any:
    """A frozen float32 transformers model in evaluation mode.

    `model_class` is a class of transformers, "SamModel", "SamHQModel" or "Sam2Model"; `source` a folder made by
    `save_pretrained`, a checkpoint file of the authors or a hub name. Raises MissingExtraError without transformers and
    UserError where the weights cannot be had, do not fit or are no numbers.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", "sam") from error
    try:
        cls = getattr(transformers, model_class)
    except (ImportError, RuntimeError) as error:
        # A torchvision that does not fit torch breaks transformers' vision models.
        raise UserError(f"transformers cannot import {model_class} here: {_first_line(error)}") from error
    check_source(source)
    file = Path(source).expanduser()
    model = load_authors_checkpoint(file, model_class) if file.is_file() else _from_folder_or_hub(cls, source)
    for name, tensor in model.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise UserError(f"the weights in {source} are damaged: {name} has values that are no finite numbers")
    return model.eval().requires_grad_(False).to(device)


def check_source(source: str) -> None:
    """Raise UserError where `source`, by its look and by what lies here, can be no weights: before any long work.

    What is neither a file nor a folder here may still be a name on the Hugging Face hub, which is not asked.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return
    if path.is_file():
        if path.suffix == ".safetensors":
            raise UserError(f"{source} is one file of a folder in transformers' format; give the folder")
        return
    if source.endswith(CHECKPOINT_ENDINGS):
        raise UserError(f"there is no file {source!r}; expected a checkpoint as the model's authors give it out")
    if path.is_absolute() or source.startswith((".", "~")) or source.count("/") > 1 or not source.strip():
        raise UserError(f"there is no folder {source!r}; expected one with config.json and model.safetensors")
    if "/" not in source:
        raise UserError(
            f"{source!r} is no file or folder here, no name that `sanerf weights` lists, and no name on the Hugging "
            "Face hub, which would be OWNER/NAME"
        )


def _from_folder_or_hub(cls: Any, source: str) -> Any:
    from huggingface_hub.errors import HFValidationError
    from safetensors import SafetensorError

    folder = _local_folder(source, cls.config_class.model_type)
    if folder is None:
        _log.info("%s is not here; asking the Hugging Face hub for it", source)
    try:
        with _transformers_quiet():
            model, report = cls.from_pretrained(
                folder or source, dtype=torch.float32, local_files_only=folder is not None, output_loading_info=True
            )
    except (OSError, HFValidationError) as error:
        if folder is not None:
            raise UserError(
                f"{source} holds no weights that can be read; expected model.safetensors as written by save_pretrained"
            ) from error
        raise UserError(
            f"{source!r} is neither a folder here nor a model that could be had from the Hugging Face hub; "
            "download it where there is a network and give its folder"
        ) from error
    except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError) as error:
        reason = _first_line(error)
        if "ignore_mismatched_sizes" in reason:  # advice to those who call from_pretrained
            reason = "tensors have other shapes than config.json says"
        raise UserError(f"the weights in {source} are damaged or not of a {cls.__name__}: {reason}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        # transformers would go on with random values in their place.
        raise UserError(
            f"the weights in {source} lack {len(missing)} of {cls.__name__}'s tensors, such as {missing[0]}"
        )
    # SAM 2's encoder names its sizes elsewhere.
    config = model.config.prompt_encoder_config if cls.__name__ == "Sam2Model" else model.config.vision_config
    side, patch = config.image_size, config.patch_size
    if side % patch or patch % MASK_STRIDE:
        raise UserError(f"{source} has an input of {side} pixels in patches of {patch}, which no SAM mask decoder fits")
    return model


@contextmanager
def _transformers_quiet() -> Iterator[None]:
    """Within, transformers and the hub's client say nothing below an error, and draw no bar of weights read.

    What is wrong is said in one sentence by those who call; a hundred lines of tensors or of vain attempts hide it.
    """
    from transformers.utils import logging as theirs

    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels, bars = [logger.level for logger in loggers], theirs.is_progress_bar_enabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            theirs.enable_progress_bar()


def _local_folder(source: str, model_type: str) -> Path | None:
    """The folder that `source` is, None for a hub name; raises UserError for the folder of another model."""
    path = Path(source).expanduser()
    if not path.is_dir():
        return None
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        found = config.get("model_type")
    except FileNotFoundError as error:
        raise UserError(f"{source} has no config.json; expected a folder made by save_pretrained") from error
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path / 'config.json'} cannot be read: {_first_line(error)}") from error
    # The folders of SAM 2 on the hub are those of its video model, which holds the model of single pictures.
    kind = _plain(found).removesuffix("_video")
    if found is not None and kind != _plain(model_type):
        option = next((family.option for family in FAMILIES.values() if _plain(family.option) == kind), None)
        advice = f"; use --segmenter {option}:{source}" if option else ""
        raise UserError(f"{source} holds a model of type {found!r}; expected {model_type!r}{advice}")
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
