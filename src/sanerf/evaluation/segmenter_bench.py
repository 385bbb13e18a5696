"""The standard interactive protocol for promptable 2D segmenters: simulated clicks, and the tight box.

Each object in each picture is one case. The first click is deepest inside the object, each next one where the mask is
most wrong (`clicking.py`), and the logits of the mask that counted go with it as the previous mask. What counts is the
hypothesis that `segmenter.choose` picks. A case is clicked at least 10 times, and goes on to 20 where its IoU has not
come to 0.9 by then. Where nothing is left to click, because the mask is the truth, its later answers are the last one.
The box is asked on its own, without clicks.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from sanerf.data.images import load_mask, load_photo
from sanerf.data.masked_pictures import MaskedPicture
from sanerf.errors import UserError
from sanerf.evaluation.clicking import Click, next_click, tight_box
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.masks import count_masks
from sanerf.progress import Progress
from sanerf.segmenter.coco_rle import to_coco
from sanerf.segmenter.protocol import ImageFeatures, Segmenter, ViewPrompts
from sanerf.segmenter.refine import ChosenMask, chosen_mask, fed_back
from sanerf.shapes import Bool, UInt8

PROTOCOL_VERSION = 3
"""Raised whenever the same segmenter would get other figures, or what is kept of them has another form: results of
another version are not used again."""
REPORTED = (1, 3, 5, 10)
DRAWN = (1, 3, 5)
CLICKS_FOR_MEANS = 10
MOST_CLICKS = 20
ENOUGH = 0.9


@dataclass(frozen=True)
class CaseResult:
    """One object in one picture.

    `iou` and `predicted_iou` have one number for each click that was made. `boundary_iou` and `masks`, run lengths in
    COCO's form (`coco_rle`), are by click count. `best_iou` is that of the best hypothesis at one click.
    """

    object: str
    clicks: list[tuple[float, float, int]]
    iou: list[float]
    predicted_iou: list[float]
    boundary_iou: dict[str, float]
    best_iou: float
    box_iou: float
    box_predicted_iou: float
    box_boundary_iou: float
    decode_seconds: float
    decodes: int
    masks: dict[str, dict[str, Any]]

    def iou_after(self, clicks: int) -> float:
        """The IoU after so many clicks, the last one's where fewer were made."""
        return self.iou[min(clicks, len(self.iou)) - 1]

    def clicks_to(self, iou: float) -> int | None:
        """How many clicks it took to come to an IoU, None where 20 did not do."""
        return next((count for count, found in enumerate(self.iou, start=1) if found >= iou), None)


@dataclass(frozen=True)
class PictureResult:
    """All cases of one picture, and what its encoding took."""

    picture: str
    width: int
    height: int
    encode_seconds: float
    cases: list[CaseResult]


@torch.no_grad()
def bench_segmenter(
    segmenter: Segmenter,
    pictures: Sequence[MaskedPicture],
    *,
    device: torch.device,
    kept: KeptLines,
    progress: Progress,
) -> list[PictureResult]:
    """The results of all pictures in order; those that `kept` has are not computed again.

    Objects whose mask is empty are no cases. Raises UserError for a picture or mask that cannot be read, and where no
    mask has an object.
    """
    out, warm = [], False
    progress(segmenter.name, 0, len(pictures))
    for done, picture in enumerate(pictures, start=1):
        key = result_key(picture, f"{segmenter.fingerprint} {device.type}")
        found = kept.get(key)
        result = None if found is None else _result_from_json(found)
        if result is None:
            image, truths = read_case(picture)
            if not warm:
                _warm_up(segmenter, image)
                warm = True
            result = _score_picture(segmenter, picture, image, truths, device)
            kept.add(key, asdict(result))
        out.append(result)
        progress(segmenter.name, done, len(pictures))
    if not any(result.cases for result in out):
        raise UserError("all masks of all pictures are empty; a pixel above 127 is object")
    return out


def _result_from_json(content: dict[str, Any]) -> PictureResult | None:
    """What `asdict` made of a result; None where its fields are not those of today's."""
    try:
        cases = [CaseResult(**{**case, "clicks": [tuple(c) for c in case["clicks"]]}) for case in content["cases"]]
        return PictureResult(**{**content, "cases": cases})
    except (KeyError, TypeError):
        return None


def result_key(picture: MaskedPicture, method: str) -> str:
    """A digest of the protocol's version, the method, and the bytes of a picture and its masks."""
    digest = hashlib.sha256(json.dumps([PROTOCOL_VERSION, method, picture.path.name]).encode())
    for name, path in [("picture", picture.path), *picture.masks.items()]:
        digest.update(json.dumps([name, hashlib.sha256(path.read_bytes()).hexdigest()]).encode())
    return digest.hexdigest()


def read_case(picture: MaskedPicture) -> tuple[UInt8[torch.Tensor, "h w 3"], dict[str, Bool[np.ndarray, "h w"]]]:
    """A picture and the masks of its objects that are not empty, by object."""
    masks = {name: load_mask(path).numpy() for name, path in picture.masks.items()}
    return load_photo(picture.path, picture.size), {name: mask for name, mask in masks.items() if mask.any()}


def mask_iou(mask: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]) -> float:
    """Intersection over union with a truth that is not empty."""
    return float((mask & truth).sum() / (mask | truth).sum())


def boundary_iou(mask: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]) -> float:
    """Boundary IoU of one picture, the band 2 % of its diagonal wide."""
    return count_masks(torch.from_numpy(mask), torch.from_numpy(truth)).boundary_iou


def _warm_up(segmenter: Segmenter, image: UInt8[torch.Tensor, "h w 3"]) -> None:
    """A picture that is not counted: the first call of a process is slower than the others."""
    middle = torch.tensor([[image.shape[1] / 2, image.shape[0] / 2]])
    segmenter.decode(segmenter.encode(image), [ViewPrompts(middle, torch.tensor([1]))])


def _score_picture(
    segmenter: Segmenter,
    picture: MaskedPicture,
    image: UInt8[torch.Tensor, "h w 3"],
    truths: dict[str, Bool[np.ndarray, "h w"]],
    device: torch.device,
) -> PictureResult:
    began = _now(device)
    features = segmenter.encode(image)
    seconds = _now(device) - began
    cases = [_score_case(_Asked(segmenter, features, device), name, truth) for name, truth in truths.items()]
    return PictureResult(picture.path.name, picture.size[0], picture.size[1], seconds, cases)


@dataclass(frozen=True)
class _Answer:
    """The answer that counts, and all hypotheses' masks."""

    chosen: ChosenMask
    mask: Bool[np.ndarray, "h w"]
    hypotheses: Bool[np.ndarray, "hypotheses h w"]


class _Asked:
    """A segmenter and a picture's features; counts the prompts and the seconds that they took."""

    def __init__(self, segmenter: Segmenter, features: ImageFeatures, device: torch.device):
        self._segmenter, self._features, self._device = segmenter, features, device
        self.seconds, self.prompts = 0.0, 0

    def __call__(self, prompts: ViewPrompts) -> _Answer:
        began = _now(self._device)
        answer = self._segmenter.decode(self._features, [prompts])[0]
        self.seconds += _now(self._device) - began
        self.prompts += 1
        chosen = chosen_mask(answer, prompts)
        masks = (answer.mask_logits > 0).cpu().numpy()
        return _Answer(chosen, (chosen.mask_logits > 0).cpu().numpy(), masks)


def _score_case(ask: _Asked, name: str, truth: Bool[np.ndarray, "h w"]) -> CaseResult:
    clicks: list[Click] = []
    ious, predicted, best_iou = [], [], 0.0
    mask, previous = np.zeros_like(truth), None
    boundaries: dict[str, float] = {}
    masks: dict[str, dict[str, Any]] = {}
    while len(clicks) < MOST_CLICKS and not (len(clicks) >= CLICKS_FOR_MEANS and max(ious) >= ENOUGH):
        click = next_click(truth, mask, clicks)
        if click is None:
            break
        clicks.append(click)
        answer = ask(_click_prompts(clicks, previous))
        mask, previous = answer.mask, answer.chosen
        ious.append(mask_iou(mask, truth))
        predicted.append(answer.chosen.predicted_iou)
        if len(clicks) == 1:
            best_iou = max(mask_iou(hypothesis, truth) for hypothesis in answer.hypotheses)
        if len(clicks) in REPORTED:
            boundaries[str(len(clicks))] = boundary_iou(mask, truth)
        if len(clicks) in DRAWN:
            masks[str(len(clicks))] = to_coco(mask)
    if len(clicks) < REPORTED[-1]:
        last = boundary_iou(mask, truth), to_coco(mask)
        boundaries = {str(count): boundaries.get(str(count), last[0]) for count in REPORTED}
        masks = {str(count): masks.get(str(count), last[1]) for count in DRAWN}
    box = ask(ViewPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), torch.tensor(tight_box(truth))))
    return CaseResult(
        object=name,
        clicks=[(click.x, click.y, click.label) for click in clicks],
        iou=ious,
        predicted_iou=predicted,
        boundary_iou=boundaries,
        best_iou=best_iou,
        box_iou=mask_iou(box.mask, truth),
        box_predicted_iou=box.chosen.predicted_iou,
        box_boundary_iou=boundary_iou(box.mask, truth),
        decode_seconds=ask.seconds,
        decodes=ask.prompts,
        masks=masks,
    )


def _click_prompts(clicks: Sequence[Click], previous: ChosenMask | None) -> ViewPrompts:
    points = torch.tensor([(click.x, click.y) for click in clicks])
    prompts = ViewPrompts(points, torch.tensor([click.label for click in clicks]))
    return prompts if previous is None else fed_back(prompts, previous)


def _now(device: torch.device) -> float:
    """Seconds on a clock, once the device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
