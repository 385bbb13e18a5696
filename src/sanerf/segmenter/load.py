"""From what a user writes after `--segmenter` to a segmenter."""

import torch

from sanerf.errors import UserError
from sanerf.segmenter.protocol import Segmenter
from sanerf.segmenter.weights import weight_source


def load_segmenter(spec: str, device: torch.device) -> Segmenter:
    """The segmenter of `mini`, `sam:PATH`, `sam-hq:PATH` or `sam2:PATH`.

    PATH is a folder in transformers' format, a checkpoint file of the authors, a hub name, or the name of a weight that
    `sanerf weights` has pulled or been told of. Raises UserError for anything else, MissingExtraError where an optional
    package is missing. `masks:DIR` is no segmenter: `sanerf.aggregate.view_masks` reads that.
    """
    kind, colon, source = spec.partition(":")
    if spec == "mini":
        from sanerf.segmenter.mini.segmenter import load_mini

        return load_mini(device)
    if kind in ("sam", "sam-hq", "sam2") and not source:
        raise UserError(f"{spec!r} names no weights; expected {kind}:PATH with a file, a folder or a hub name")
    if kind in ("sam", "sam-hq", "sam2"):
        source = weight_source(kind, source)
    if kind == "sam":
        from sanerf.segmenter.sam import load_sam

        return load_sam(source, device)
    if kind == "sam-hq":
        from sanerf.segmenter.sam_hq import load_sam_hq

        return load_sam_hq(source, device)
    if kind == "sam2":
        from sanerf.segmenter.sam2 import load_sam2

        return load_sam2(source, device)
    if kind == "masks" and colon:
        raise UserError(
            f"{spec!r} gives masks and no segmenter, which this needs; use mini, sam:PATH, sam-hq:PATH or sam2:PATH"
        )
    raise UserError(f"unknown segmenter {spec!r}; expected mini, sam:PATH, sam-hq:PATH, sam2:PATH or masks:DIR")
