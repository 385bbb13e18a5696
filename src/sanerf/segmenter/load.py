"""From what a user writes after `--segmenter` to a segmenter."""

import torch

from sanerf.errors import UserError
from sanerf.segmenter.protocol import Segmenter
from sanerf.segmenter.weights import weight_source

_FAMILY = ("sam", "sam-hq", "sam2")


def load_segmenter(spec: str, device: torch.device) -> Segmenter:
    """The segmenter of `mini`, `sam:PATH`, `sam-hq:PATH` or `sam2:PATH`.

    PATH is a folder in transformers' format, a checkpoint file of the authors, a hub name, or the name of a weight that
    `sanerf weights` has pulled or been told of. Raises UserError for anything else, MissingExtraError where an optional
    package is missing. `masks:DIR` is no segmenter: `sanerf.aggregate.view_masks` reads that.
    """
    kind, source = _kind_and_source(spec)
    if kind == "mini":
        from sanerf.segmenter.mini.segmenter import load_mini

        return load_mini(device)
    if kind == "sam":
        from sanerf.segmenter.sam import load_sam

        return load_sam(source, device)
    if kind == "sam-hq":
        from sanerf.segmenter.sam_hq import load_sam_hq

        return load_sam_hq(source, device)
    from sanerf.segmenter.sam2 import load_sam2

    return load_sam2(source, device)


def check_segmenter(spec: str) -> None:
    """Raise UserError where `load_segmenter` would for what `spec` says, without reading any weights.

    For commands that have long work to do before they need the segmenter. Damaged weights, and names that the Hugging
    Face hub does not have, are found only by loading.
    """
    kind, source = _kind_and_source(spec)
    if kind != "mini":
        from sanerf.segmenter.pretrained import check_source

        check_source(source)


def _kind_and_source(spec: str) -> tuple[str, str]:
    """`mini` and nothing, or a member of the family and what to load; UserError for anything else."""
    kind, colon, source = spec.partition(":")
    if spec == "mini":
        return spec, ""
    if kind in _FAMILY and not source:
        raise UserError(f"{spec!r} names no weights; expected {kind}:PATH with a file, a folder or a hub name")
    if kind in _FAMILY:
        return kind, weight_source(kind, source)
    if kind == "masks" and colon:
        raise UserError(
            f"{spec!r} gives masks and no segmenter, which this needs; use mini, sam:PATH, sam-hq:PATH or sam2:PATH"
        )
    raise UserError(f"unknown segmenter {spec!r}; expected mini, sam:PATH, sam-hq:PATH, sam2:PATH or masks:DIR")
