"""One mask a view for each object: decoded from features where prompts are seen, or read from files (Eq. 4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.data.images import load_mask
from sanerf.data.mask_files import mask_paths
from sanerf.data.scene import Scene
from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera
from sanerf.progress import OnPart
from sanerf.prompts.hearing import said_in
from sanerf.prompts.lift import IN_SPACE, LiftedPrompts, view_prompts
from sanerf.render.images import Renderer
from sanerf.segmenter.protocol import ImageFeatures, Segmenter
from sanerf.segmenter.refine import decode_chosen
from sanerf.shapes import Bool, Float

LEFT_OUT = 0.5
"""How much a pixel that a decoder leaves out of a mask counts beside one that it takes: it misses parts of an object
more often than it adds what is none. docs/bench.md has what it was chosen by."""


@dataclass(frozen=True)
class ViewMask:
    """One object's mask in one view at the run's resolution, on the CPU, how good its decoder believes it to be, and
    how much a pixel that it leaves out counts beside one that it takes."""

    probability: Float[Tensor, "h w"]
    predicted_iou: float
    left_out: float = 1.0


ViewMasks = dict[int, dict[str, ViewMask]]
"""By view index, then by object name. A view without an entry for an object has no opinion about it."""


@dataclass(frozen=True)
class Prompting:
    """Whom to ask about which objects in which views: a segmenter with its features of each view, prompts in the world,
    cameras by view, and what renders depth. First masks go back to the decoder up to `refine` times."""

    segmenter: Segmenter
    features_of: Callable[[int], ImageFeatures]
    lifted: Sequence[LiftedPrompts]
    cameras: dict[int, Camera]
    renderer: Renderer
    refine: int = 0

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self.lifted]

    @property
    def corrected(self) -> bool:
        """Whether somebody who has seen an answer has clicked again: prompts of an object are in several views."""
        return any(len(set(entry.views)) > 1 for entry in self.lifted)

    @property
    def outside(self) -> bool:
        """Whether a point outside of its object was clicked in a view."""
        return any(
            label == 0 and view != IN_SPACE
            for entry in self.lifted
            for label, view in zip(entry.labels.tolist(), entry.views, strict=True)
        )


def decode_view(
    segmenter: Segmenter,
    features: ImageFeatures,
    *,
    lifted: Sequence[LiftedPrompts],
    view: int,
    camera: Camera,
    renderer: Renderer,
    refine: int = 0,
) -> dict[str, ViewMask]:
    """The masks of those objects whose prompts can be seen in a view, each fed back to the decoder up to `refine`
    times."""
    seen = [(entry.name, view_prompts(entry, view, camera, renderer)) for entry in lifted]
    asked = [(name, prompts) for name, prompts in seen if prompts is not None]
    chosen = decode_chosen(segmenter, features, [prompts for _, prompts in asked], rounds=refine)
    return {
        name: ViewMask(torch.sigmoid(mask.mask_logits).cpu(), mask.predicted_iou, LEFT_OUT)
        for (name, _), mask in zip(asked, chosen, strict=True)
    }


def decode_views(
    prompting: Prompting, heard: Sequence[Bool[Tensor, "points"]] | None = None, on_progress: OnPart | None = None
) -> ViewMasks:
    """`decode_view` over many views. `heard` has which of each object's points are said in views other than their own
    (`prompts.hearing`), all those inside it if nothing is given."""
    lifted, cameras = prompting.lifted, prompting.cameras
    far = [entry.labels == 1 for entry in lifted] if heard is None else heard
    out: ViewMasks = {}
    for done, (view, camera) in enumerate(cameras.items(), start=1):
        masks = decode_view(
            prompting.segmenter,
            prompting.features_of(view),
            lifted=[said_in(entry, view, points) for entry, points in zip(lifted, far, strict=True)],
            view=view,
            camera=camera,
            renderer=prompting.renderer,
            refine=prompting.refine,
        )
        if masks:
            out[view] = masks
        if on_progress is not None:
            on_progress(done, len(cameras))
    return out


def masks_from_files(directory: Path, names: Sequence[str], scene: Scene, cameras: dict[int, Camera]) -> ViewMasks:
    """Masks that any other tool wrote, brought to the run's resolution; a missing file is a view without a mask.

    Files lie as `sanerf.data.mask_files` says. Raises UserError where the folder is missing, a file cannot be read, or
    no view has a mask of an object.
    """
    if not directory.is_dir():
        raise UserError(f"there is no masks folder {directory}")
    out: ViewMasks = {}
    for name in names:
        if len(names) > 1 and not (directory / name).is_dir():
            raise UserError(f"{directory} has no folder {name!r} with the masks of that object")
        paths = mask_paths(directory, name, scene, list(cameras), single_object=len(names) == 1)
        if not paths:
            example = f"{scene.output_stem(next(iter(cameras)))}.png" if cameras else "STEM.png"
            raise UserError(
                f"{directory} has no mask of {name!r} for any of the {len(cameras)} views; expected files like "
                f"{Path(name, example)}"
            )
        for view, path in paths.items():
            size = (cameras[view].height, cameras[view].width)
            shrunk = F.interpolate(load_mask(path)[None, None].float(), size, mode="area")[0, 0]
            out.setdefault(view, {})[name] = ViewMask(shrunk, 1.0)
    return out
