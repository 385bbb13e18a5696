"""The benchmark of clicks in 3D: simulated users click until an object's instant masks in all views are good.

A game is one run, one object, alone, one clicker and one seed. It ends at `GOAL` or after `MOST_CLICKS`, but no sooner
than after `LEAST_CLICKS`: what further clicks spoil is to be seen, too. Nothing is written into the run.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

import sanerf.aggregate
import sanerf.fields.voted
import sanerf.prompts
from sanerf.aggregate.corrections import CorrectedAnswer
from sanerf.aggregate.revise import render_identities
from sanerf.aggregate.suggest import inside_clicks
from sanerf.errors import UserError
from sanerf.evaluation import clicking, clicks_scene, clicks_users
from sanerf.evaluation.aggregator_cases import Case, job_key
from sanerf.evaluation.clicks_scene import (
    ClickScene,
    answer_clicks,
    first_click,
    open_click_scene,
    prompting,
    score,
    with_click,
)
from sanerf.evaluation.clicks_users import BY_CHANCE, CLICKERS, Situation, ViewClick
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.masks import MaskCounts
from sanerf.progress import Progress
from sanerf.prompts.lift import LiftedPrompts
from sanerf.segmenter.coco_rle import to_coco
from sanerf.segmenter.protocol import Segmenter
from sanerf.shapes import Bool

PROTOCOL_VERSION = 1
"""Raised whenever the same clicks would get other figures, or what is kept of them has another form."""
MOST_CLICKS, LEAST_CLICKS = 20, 5
GOAL = 0.9
THRESHOLDS = (80, 85, 90)
"""Per cent of IoU to which clicks are counted."""


@dataclass(frozen=True)
class WorstView:
    """The training view in which a game's last answer has the lowest IoU: its mask as run lengths (`coco_rle`)."""

    view: int
    iou: float
    mask: dict[str, Any]


@dataclass(frozen=True)
class GameResult:
    """One game. `iou` and `boundary_iou` are pooled over training views, one figure a click; `held_out` has those of
    the last answer in the views that took no part. Seconds are sums over all clicks."""

    run: str
    object: str
    clicker: str
    seed: int
    clicks: list[ViewClick]
    iou: list[float]
    boundary_iou: list[float]
    held_out: dict[str, float]
    decode_seconds: float
    vote_seconds: float
    worst: WorstView

    def clicks_to(self, percent: int) -> int | None:
        """The number of clicks with which an IoU was reached for the first time."""
        return next((count for count, iou in enumerate(self.iou, start=1) if 100 * iou >= percent), None)

    def after(self, count: int, measure: str = "iou") -> float:
        """The figure after so many clicks; of a game that ended sooner, that at its end."""
        figures = getattr(self, measure)
        return figures[min(count, len(figures)) - 1]


def bench_clicks(
    cases: Sequence[Case],
    segmenter: Segmenter,
    *,
    clickers: Sequence[str],
    seeds: Sequence[int],
    every: int,
    folder: Path,
    kept: KeptLines,
    progress: Progress,
) -> list[GameResult]:
    """The results of all games in every `every`-th training view; those that `kept` has are not played again. Features
    and samples stay in `folder`."""
    plays = [(clicker, seed) for clicker in clickers for seed in (seeds if clicker in BY_CHANCE else seeds[:1])]
    results, version = [], clicks_version()
    games = len(plays) * sum(len(case.truth.names) for case in cases)
    progress("games", 0, games)
    for case in cases:
        digest, scene = case.digest(), None
        device = case.renderer.density_grid.device.type
        for name in case.truth.names:
            for clicker, seed in plays:
                rules = (PROTOCOL_VERSION, version, segmenter.fingerprint, every, device)
                # A clicker that leaves nothing to chance plays the same game whatever the seed.
                key = job_key(digest, *rules, name, clicker, seed if clicker in BY_CHANCE else None)
                result = _from_json(kept.get(key))
                if result is None:
                    if scene is None:
                        scene = open_click_scene(case, segmenter, every, folder / digest[:16], progress)
                    result = play(scene, name, clicker, seed)
                    kept.add(key, asdict(result))
                results.append(replace(result, run=case.label, seed=seed))
                progress("games", len(results), games)
    return results


def play(scene: ClickScene, name: str, clicker: str, seed: int) -> GameResult:
    """One game. UserError for an object that is solid nowhere in its largest view."""
    truth, solid = scene.truth(name, list(scene.cameras)), scene.solid()
    generator = torch.Generator().manual_seed(seed)
    click = first_click(scene, truth)
    if click is None:
        raise UserError(f"the field of {scene.case.label} has nothing solid where {name!r} is largest")
    clicked: list[ViewClick] = []
    lifted = LiftedPrompts(name, torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), ())
    answer, counts = None, {}
    ious, boundary_ious, decode_seconds, vote_seconds = [], [], 0.0, 0.0
    while click is not None:
        clicked.append(click)
        before, lifted = lifted, with_click(scene, lifted, click)
        if answer is None or lifted is not before:
            answer = answer_clicks(scene, lifted)
            counts = score(answer.rendered, truth)
            decode_seconds += answer.decode_seconds
            vote_seconds += answer.vote_seconds
        pooled = sum(counts.values(), MaskCounts())
        ious.append(pooled.iou)
        boundary_ious.append(pooled.boundary_iou)
        if len(clicked) == MOST_CLICKS or (len(clicked) >= LEAST_CLICKS and max(ious) >= GOAL):
            break
        inside = partial(inside_clicks, lifted, prompting(scene, lifted))
        now = Situation(name, truth, solid, answer.rendered, answer.masks, scene.cameras, clicked, inside)
        click = CLICKERS[clicker](now, generator)
    assert answer is not None, name
    return GameResult(
        run=scene.case.label,
        object=name,
        clicker=clicker,
        seed=seed,
        clicks=clicked,
        iou=ious,
        boundary_iou=boundary_ious,
        held_out=_held_out(scene, name, answer),
        decode_seconds=decode_seconds,
        vote_seconds=vote_seconds,
        worst=_worst(scene, counts, answer),
    )


def _held_out(scene: ClickScene, name: str, answer: CorrectedAnswer) -> dict[str, float]:
    pooled = sum(
        score(
            render_identities(answer.field, scene.held_out), scene.truth(name, list(scene.held_out.lattices))
        ).values(),
        MaskCounts(),
    )
    return {"iou": pooled.iou, "boundary_iou": pooled.boundary_iou}


def _worst(scene: ClickScene, counts: dict[int, MaskCounts], answer: CorrectedAnswer) -> WorstView:
    view = min(counts, key=lambda view: counts[view].iou)
    mask: Bool[torch.Tensor, "h w"] = answer.rendered[view].upsampled(1, scene.cameras[view]) > 0.5
    return WorstView(view, counts[view].iou, to_coco(mask.numpy()))


def clicks_version() -> str:
    """A digest of the sources of the aggregator, the prompts and the simulated users."""
    out = hashlib.sha256()
    folders: Iterable[str] = (*sanerf.aggregate.__path__, *sanerf.prompts.__path__)
    modules = sorted(path for folder in folders for path in Path(folder).glob("*.py"))
    for module in (sanerf.fields.voted, clicking, clicks_scene, clicks_users):
        modules.append(Path(str(module.__file__)))
    for path in modules:
        out.update(path.read_bytes())
    return out.hexdigest()


def _from_json(content: dict[str, Any] | None) -> GameResult | None:
    """What `asdict` made of a result; None where its fields are not those of today's."""
    if content is None:
        return None
    try:
        clicks = [ViewClick(**click) for click in content["clicks"]]
        return GameResult(**{**content, "clicks": clicks, "worst": WorstView(**content["worst"])})
    except (KeyError, TypeError):
        return None
