"""The arms of the mask aggregator's ablation: a name, what it says in words, and what it changes in a run's settings.

A new part of the aggregator gets a line here, and `sanerf bench aggregator` measures it with and without.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sanerf.aggregate.trust import TrustConfig
from sanerf.errors import UserError
from sanerf.run.config import AggregateConfig


@dataclass(frozen=True)
class Arm:
    """One way to set the aggregator."""

    what: str
    settings: Callable[[AggregateConfig], AggregateConfig]


ARMS: dict[str, Arm] = {
    "full": Arm("the run's own settings", lambda c: c),
    "no-review": Arm("one fit to all masks", lambda c: replace(c, reviews=0)),
    "no-review-long": Arm(
        "one fit to all masks, of as many steps as all fits of full",
        lambda c: replace(c, reviews=0, steps=_all_steps(c)),
    ),
    "no-trust": Arm(
        "all masks that are not left out count alike",
        lambda c: replace(c, trust=TrustConfig(predicted_iou_power=0.0, agreement_power=0.0)),
    ),
    "strict-review": Arm(
        "masks count as contradicting the field one and a half times as soon",
        lambda c: replace(c, least_agreement=1.5 * c.least_agreement),
    ),
    "two-reviews": Arm("masks held against the field twice", lambda c: replace(c, reviews=2)),
    "ray-pairs": Arm(
        "the ray-pair RGB loss (Eq. 9 to 14) with a weight of 3, pairs within reach of each other",
        lambda c: replace(c, ray_pairs=replace(c.ray_pairs, weight=3.0)),
    ),
    "ray-pairs-as-printed": Arm(
        "the same with the authors' weight of 1, pairs by their colours alone",
        lambda c: replace(c, ray_pairs=replace(c.ray_pairs, weight=1.0, reach=math.inf)),
    ),
    "strict-trust": Arm(
        "masks count with twice the power of their agreement with the field",
        lambda c: replace(c, trust=replace(c.trust, agreement_power=2 * c.trust.agreement_power)),
    ),
    "half-steps": Arm("half the steps of each fit", lambda c: replace(c, steps=max(1, c.steps // 2))),
    "double-steps": Arm("twice the steps of each fit", lambda c: replace(c, steps=2 * c.steps)),
    "quarter-rays": Arm("a quarter of the rays kept", lambda c: replace(c, total_rays=max(1, c.total_rays // 4))),
    "heavy-samples": Arm(
        "samples of less than ten times the compositing weight are dropped",
        lambda c: replace(c, weight_threshold=10 * c.weight_threshold),
    ),
}
"""By the name that `--arms` knows them by; the order of the tables."""

USUAL = ("full", "no-review", "no-review-long", "no-trust", "ray-pairs")
"""The arms that are measured unless others are asked for: each part on and off."""


def chosen_arms(names: Sequence[str]) -> dict[str, Arm]:
    """The arms of some names, in their order. UserError for a name that there is not, and for none."""
    for name in names:
        if name not in ARMS:
            raise UserError(f"there is no arm {name!r}; there are {', '.join(ARMS)}")
    if not names:
        raise UserError(f"there is no arm to compare; there are {', '.join(ARMS)}")
    return {name: ARMS[name] for name in dict.fromkeys(names)}


def _all_steps(config: AggregateConfig) -> int:
    return config.steps * (1 + config.reviews)
