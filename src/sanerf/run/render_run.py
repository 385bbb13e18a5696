"""`render`: what is asked for of a rendered view, as files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sanerf.errors import UserError
from sanerf.fields.known import KnownSpace, known_to_any
from sanerf.files import atomic_write, write_png
from sanerf.render.pictures import colour_depth, overlay_heat, overlay_mask, to_bytes
from sanerf.run.folder import Run
from sanerf.run.segmentation import RenderedObjects, Segmentation

Output = tuple[str, str]
"""A kind and an object's name, empty for what is no object's: ("rgb", "") or ("mask", "ring")."""


_NAMED = {
    "rgb": (False,),
    "depth": (False,),
    "unknown": (False,),
    "mask": (True,),
    "overlay": (True,),
    "uncertainty": (False, True),
}
"""Whether a kind goes with an object's name."""


def parse_outputs(what: str) -> list[Output]:
    """`rgb,depth,unknown,mask:NAME,overlay:NAME,uncertainty` as kinds and names; the last with a name, too. UserError
    for anything else."""
    out = []
    for part in what.split(","):
        kind, _, name = part.strip().partition(":")
        if bool(name) not in _NAMED.get(kind, ()) or part.strip() == f"{kind}:":
            known = "rgb, depth, unknown, mask:NAME, overlay:NAME, uncertainty and uncertainty:NAME"
            raise UserError(f"--what knows {known}, not {part.strip()!r}")
        out.append((kind, name))
    return out


def known_to_masks(segmentations: Sequence[Segmentation], run: Run) -> KnownSpace:
    """Where the masks of any of a run's segmentations looked. UserError where there are none, or no newer ones."""
    spaces = [s.evidence.known for s in segmentations if s.evidence is not None]
    if not spaces:
        what = "was segmented by an older sanerf" if segmentations else "has no objects"
        raise UserError(f"{run.path} {what}, so nobody knows where masks looked; run `sanerf segment` first")
    return known_to_any(spaces)


def write_outputs(
    folder: Path, stem: str, rendered: RenderedObjects, outputs: list[Output], world_per_file_unit: float
) -> None:
    """Write a view's outputs: FOLDER/rgb/STEM.png, FOLDER/depth/STEM.png and .npy, FOLDER/mask/NAME/STEM.png, ...

    The picture of what is unknown is white where all light comes from where no mask has looked, black where none does.
    The .npy holds `depth_z` in the scene file's own unit, NaN where the ray hits nothing.
    """
    image = rendered.image
    rgb = to_bytes(image.rgb)
    for kind, name in outputs:
        if kind == "rgb":
            write_png(folder / "rgb" / f"{stem}.png", rgb)
        elif kind == "depth":
            hit = image.accumulation.cpu().numpy() > 0.5
            depth_z = np.where(hit, image.depth_z.cpu().numpy() / world_per_file_unit, np.nan).astype(np.float32)
            write_png(folder / "depth" / f"{stem}.png", colour_depth(depth_z))
            with atomic_write(folder / "depth" / f"{stem}.npy") as temporary:
                np.save(temporary, depth_z)
        elif kind == "unknown":
            assert rendered.unknown is not None
            write_png(folder / "unknown" / f"{stem}.png", (rendered.unknown * 255).round().byte().cpu().numpy())
        elif kind == "mask":
            write_png(folder / "mask" / name / f"{stem}.png", rendered.mask(name).numpy())
        elif kind == "uncertainty":
            wrong = rendered.wrong_probability(name).cpu().numpy()
            write_png(folder / "uncertainty" / name / f"{stem}.png", overlay_heat(rgb, wrong))
        else:
            write_png(folder / "overlay" / name / f"{stem}.png", overlay_mask(rgb, rendered.mask(name).numpy()))
