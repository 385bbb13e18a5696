"""The pictures that prompts name, painted strokes and rough masks, as copies of one's own: users move their files."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from sanerf.data.images import load_mask
from sanerf.prompts.file import MaskPrompt, PaintedScribble, PromptSet
from sanerf.shapes import Bool

_Drawn = TypeVar("_Drawn", PaintedScribble, MaskPrompt)


def copy_drawings(prompts: PromptSet) -> tuple[PromptSet, dict[Path, Bool[Tensor, "_ _"]]]:
    """The same prompts with the paths that copies of their pictures shall have, and by those paths what they show.

    Paths are prompts/NAME/scribbles_I.png and prompts/NAME/masks_I.png, from a folder of the caller's; I is the
    prompt's place, from 0, among the object's of its kind. Raises UserError where a picture cannot be read.
    """
    pictures: dict[Path, Bool[Tensor, "_ _"]] = {}

    def copied(prompt: _Drawn, name: str, kind: str, index: int) -> _Drawn:
        path = Path("prompts", name, f"{kind}_{index}.png")
        pictures[path] = load_mask(prompt.path)
        return replace(prompt, path=path)

    objects = [
        replace(
            entry,
            scribbles=tuple(
                copied(scribble, entry.name, "scribbles", i) if isinstance(scribble, PaintedScribble) else scribble
                for i, scribble in enumerate(entry.scribbles)
            ),
            masks=tuple(copied(mask, entry.name, "masks", i) for i, mask in enumerate(entry.masks)),
        )
        for entry in prompts.objects
    ]
    return PromptSet(tuple(objects)), pictures
