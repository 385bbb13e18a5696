"""What one call of `segment` leaves in a run folder, and the masks it renders in any view.

    segmentations/NNN/segmentation.json       format version, object names, segmenter, seed, seconds, prompts
    segmentations/NNN/prompts/NAME/KIND_I.png painted strokes and rough masks, which the prompts name from this folder
    segmentations/NNN/object.safetensors      the object field, by segmentation.json voted, trained, or refined, that is
                                              trained on top of a voted one
    segmentations/NNN/decoded/NAME/STEM.png   the decoder's own mask in each view it was asked in
    segmentations/NNN/evidence.safetensors    where masks looked, and what they say there (`aggregate.evidence`)

A name answers to the newest segmentation that has it; one whose names are all taken over or removed is deleted. Objects
that were removed keep their place in the field, so that nothing changes for the others; segmentation.json names them.
"""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.aggregate.evidence import Evidence
from sanerf.aggregate.losses import mask_logits
from sanerf.aggregate.uncertainty import against_rival, wrong_probability
from sanerf.errors import UserError, on_one_line
from sanerf.fields.known import KnownSpace
from sanerf.fields.object import ObjectField
from sanerf.fields.voted import VotedField
from sanerf.files import atomic_folder, read_tensors, write_json, write_png, write_tensors
from sanerf.geometry.cameras import Camera
from sanerf.kernels.backend import Kernels
from sanerf.render.images import RenderedImage, Renderer, render_image
from sanerf.run.folder import Run
from sanerf.shapes import Bool, Float

FORMAT_VERSION = 4
_READABLE_VERSIONS = (2, 3, 4)
"""Format 2 knew no voted fields, format 3 no refined ones."""


@dataclass(frozen=True)
class Segmentation:
    """Objects of one `segment` call: their names in the object field's order (background, which is first, left out)."""

    path: Path
    names: tuple[str, ...]
    field: ObjectField | VotedField
    record: dict[str, Any]
    evidence: Evidence | None = None
    """None where an older sanerf, which did not keep it, wrote the segmentation"""

    @property
    def removed(self) -> frozenset[str]:
        """Those of the names that answer no more."""
        return frozenset(self.record.get("removed", ()))

    def allows(self, name: str, p_world: Float[Tensor, "points 3"]) -> Bool[Tensor, "points"]:
        """Whether points, on the fields' device, may be an object's by what masks say there (`aggregate.evidence`);
        anywhere, where the segmentation does not know."""
        if self.evidence is None:
            return torch.ones_like(p_world[:, 0], dtype=torch.bool)
        return self.evidence.allows(self.names.index(name), p_world)

    @property
    def predicted_iou(self) -> dict[str, float]:
        """By object name; empty of a segmentation that an older sanerf made."""
        return self.record.get("predicted_iou", {})

    @property
    def predicted_iou_views(self) -> dict[str, dict[str, float]]:
        """By object name, then by the stem of each training view where the object is expected; empty of a segmentation
        that an older sanerf made."""
        return self.record.get("predicted_iou_views", {})

    @property
    def suggested_clicks(self) -> dict[str, dict[str, Any] | None]:
        """By object name, each as `run.assessment.click_to_json` makes it; empty of what an older sanerf made."""
        return self.record.get("suggested_clicks", {})


@dataclass(frozen=True)
class RenderedObjects:
    """A rendered view and its objects: the probability of each after the softmax of Eq. 7, and its margin, that
    probability less the largest of the other identities': above zero is the object's mask."""

    image: RenderedImage
    probability: dict[str, Float[Tensor, "h w"]]
    margin: dict[str, Float[Tensor, "h w"]]
    unknown: Float[Tensor, "h w"] | None = None
    """of the light, the share that comes from where no mask has looked; None where that was not asked for"""

    def mask(self, name: str, height: int | None = None, width: int | None = None) -> Bool[Tensor, "mh mw"]:
        """An object's mask, at another resolution if one is given: the margin is interpolated, then cut at zero."""
        margin = self.margin[name]
        own_height, own_width = margin.shape
        return margin_mask(margin, height or own_height, width or own_width)

    def object_probability(self, name: str) -> Float[Tensor, "h w"]:
        """How likely pixels are of an object, of which Eq. 7 is only the share of views that say so."""
        probability = self.probability[name]
        return against_rival(probability, probability - self.margin[name])

    def wrong_probability(self, name: str = "") -> Float[Tensor, "h w"]:
        """How likely an object's mask is wrong in each pixel, or, without a name, that of any object."""
        names = [name] if name else list(self.probability)
        return torch.stack([wrong_probability(self.object_probability(n)) for n in names]).amax(dim=0)


def margin_mask(margin: Float[Tensor, "h w"], height: int, width: int) -> Bool[Tensor, "mh mw"]:
    """The mask of a margin at a resolution of its own, on the CPU: the margin is interpolated, then cut at zero."""
    if margin.shape != (height, width):
        margin = F.interpolate(margin[None, None], (height, width), mode="bilinear", antialias=True)[0, 0]
    return (margin > 0).cpu()


def save_segmentation(
    run: Run,
    names: Sequence[str],
    *,
    field: ObjectField | VotedField,
    record: dict[str, Any],
    masks: Mapping[Path, Tensor],
    evidence: Evidence | None = None,
    forgotten: Collection[str] = (),
) -> Segmentation:
    """Write a new segmentation; `masks` are bool or bytes and have the paths of their pictures in its folder.

    Older ones that have no names but those and the `forgotten` are deleted then.
    """
    numbers = [int(path.name) for path in _folders(run)]
    path = run.segmentations / f"{max(numbers, default=0) + 1:03d}"
    with atomic_folder(path) as folder:
        write_tensors(folder / "object.safetensors", field.state_dict())
        if evidence is not None:
            write_tensors(folder / "evidence.safetensors", evidence.tensors())
        for file, mask in masks.items():
            write_png(folder / file, mask.cpu().numpy())
        kind = "voted" if isinstance(field, VotedField) else "trained" if field.start is None else "refined"
        document = {"format_version": FORMAT_VERSION, "field": kind, "names": list(names), **record}
        write_json(folder / "segmentation.json", document)
    for older in _folders(run):
        if older != path and _is_taken_over(older, {*names, *forgotten}):
            shutil.rmtree(older)
    return Segmentation(path, tuple(names), field, document, evidence)


def load_segmentations(run: Run, kernels: Kernels, device: torch.device) -> list[Segmentation]:
    """All segmentations of a run, newest first. UserError where one is damaged or of another version."""
    out = []
    for path in _folders(run):
        record = _read_record(path)
        names = tuple(record["names"])
        advice = "delete the folder and segment again"
        tensors, _ = read_tensors(path / "object.safetensors", advice)
        try:
            field = _stored_field(record.get("field", "trained"), tensors, names, run, kernels)
            evidence = _stored_evidence(path / "evidence.safetensors", advice)
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path} is damaged ({on_one_line(error)}); {advice}") from error
        if evidence is not None:
            evidence = evidence.to(device)
        out.append(Segmentation(path, names, field.to(device).requires_grad_(False), record, evidence))
    return out


def _stored_evidence(path: Path, advice: str) -> Evidence | None:
    return Evidence.from_tensors(read_tensors(path, advice)[0]) if path.exists() else None


def _stored_field(
    kind: str, tensors: dict[str, Tensor], names: Sequence[str], run: Run, kernels: Kernels
) -> ObjectField | VotedField:
    if kind not in ("voted", "trained", "refined"):
        raise ValueError(f"no field is {kind!r}")
    start = None
    if kind != "trained":
        prefix = "" if kind == "voted" else "start."
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        start = VotedField.from_tensors(own)
        if len(start.low) != len(names):
            raise ValueError(f"its field has {len(start.low)} objects, its record names {len(names)}")
        if kind == "voted":
            return start
    trained = ObjectField(run.config.object, 1 + len(names), kernels, torch.Generator(), start)
    trained.load_state_dict(tensors)
    return trained


def _folders(run: Run) -> list[Path]:
    """The stored segmentations, newest first. There may be more than 999: each that is made takes the next number."""
    numbered = [path for path in run.segmentations.glob("[0-9]*") if path.name.isdecimal()]
    return sorted(numbered, key=lambda path: int(path.name), reverse=True)


def _is_taken_over(path: Path, names: Collection[str]) -> bool:
    """Whether all names of a stored segmentation are among `names`. One that cannot be read is left for its reader."""
    try:
        return _present(_read_record(path)) <= set(names)
    except UserError:
        return False


def _present(record: dict[str, Any]) -> set[str]:
    """The names of a record that were not removed."""
    return set(record["names"]) - set(record.get("removed", ()))


def remove_objects(run: Run, names: Sequence[str]) -> None:
    """Let some names answer no more; all others stay as they are. UserError for a name that no segmentation has.

    Whoever calls holds the run's lock.
    """
    # Oldest first: interrupted, a name still answers to its newest segmentation or not at all.
    records = {path: _read_record(path) for path in reversed(_folders(run))}
    known = set().union(*(_present(record) for record in records.values()))
    for name in names:
        if name not in known:
            raise UserError(f"{run.path} has no object {name!r}; {_known_objects(known)}")
    for path, record in records.items():
        gone = _present(record) & set(names)
        if gone == _present(record):
            shutil.rmtree(path)
        elif gone:
            objects = [entry for entry in record["prompts"]["objects"] if entry["name"] not in gone]
            removed = sorted(gone | set(record.get("removed", ())))
            write_json(path / "segmentation.json", {**record, "removed": removed, "prompts": {"objects": objects}})
            for name in gone:
                for kind in ("decoded", "prompts"):
                    shutil.rmtree(path / kind / name, ignore_errors=True)


def _known_objects(names: Collection[str]) -> str:
    return f"its objects are: {', '.join(sorted(names)) or 'none yet: run `sanerf segment` first'}"


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads((path / "segmentation.json").read_text(encoding="utf-8"))
        version, _ = record["format_version"], record["names"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error!r}); delete the folder and segment again") from error
    if version not in _READABLE_VERSIONS:
        raise UserError(f"{path} is of segmentation format {version}, this sanerf reads formats up to {FORMAT_VERSION}")
    return record


def owners(segmentations: Sequence[Segmentation]) -> dict[str, Segmentation]:
    """Which segmentation each object name answers to: the newest that has it; `segmentations` newest first."""
    out: dict[str, Segmentation] = {}
    for segmentation in segmentations:
        for name in segmentation.names:
            if name not in segmentation.removed:
                out.setdefault(name, segmentation)
    return out


def find_object(segmentations: Sequence[Segmentation], name: str, run: Run) -> Segmentation:
    """The segmentation that an object name answers to. UserError where there is none."""
    found = owners(segmentations)
    if name not in found:
        raise UserError(f"{run.path} has no object {name!r}; {_known_objects(found)}")
    return found[name]


def object_probabilities(
    segmentation: Segmentation, composited: Float[Tensor, "rays objects"], accumulation: Float[Tensor, "rays"]
) -> Float[Tensor, "rays objects"]:
    """Eq. 7: identity probabilities of rays, background first."""
    assert composited.shape[1] == 1 + len(segmentation.names), composited.shape
    return torch.softmax(mask_logits(composited, accumulation), dim=1)


def render_objects(
    renderer: Renderer,
    camera: Camera,
    segmentations: Sequence[Segmentation],
    background: tuple[float, float, float],
    known: KnownSpace | None = None,
) -> RenderedObjects:
    """Render a view and the objects of some segmentations in it, all on the same samples; with what is `known`, also
    what is not."""
    widths = [1 + len(s.names) for s in segmentations] + [int(known is not None)]

    def head(p_world: Tensor) -> Tensor:
        values = [s.field(p_world) for s in segmentations]
        if known is not None:
            values.append((~known.at(p_world))[:, None].float())
        return torch.cat(values, dim=1)

    image = render_image(renderer, camera, background, head if sum(widths) else None)
    probability, margin, unknown = {}, {}, None
    if image.values is not None:
        if known is not None:
            unknown = image.values[..., -1].clamp(0, 1)
        flat, accumulation = image.values.reshape(-1, sum(widths)), image.accumulation.reshape(-1)
        owner = owners(segmentations)
        for segmentation, logits in zip(segmentations, flat.split(widths, dim=1)[:-1], strict=True):
            probabilities = object_probabilities(segmentation, logits, accumulation)
            for index, name in enumerate(segmentation.names, start=1):
                if owner.get(name) is segmentation:
                    shape = (camera.height, camera.width)
                    probability[name] = probabilities[:, index].reshape(shape)
                    others = torch.cat([probabilities[:, :index], probabilities[:, index + 1 :]], dim=1).amax(dim=1)
                    margin[name] = (probabilities[:, index] - others).reshape(shape)
    return RenderedObjects(image, probability, margin, unknown)
