"""How good an object is expected to be in its views, without any truth: a predicted IoU of each view and of the object.

Three witnesses are multiplied, and the square root is taken, as each tells part of what the others tell: the expected
IoU by the field's own probabilities, the overlap of the 2D masks with what the field renders, and the IoU that the
decoder predicts of those masks. Where all are sure the prediction is one. docs/uncertainty.md has how well it tells.
"""

from dataclasses import dataclass

from torch import Tensor

from sanerf.aggregate.revise import LEAST_AGREEMENT
from sanerf.aggregate.uncertainty import ObjectInView
from sanerf.shapes import Float

_POWER = 0.5
_LEAST_UNION = 1.0
"""An object that is expected to have fewer pixels of a view's lattice is not seen there."""


@dataclass(frozen=True)
class ObjectPrediction:
    """The predicted IoU of an object pooled over its views, and of each view (by index) where it is seen."""

    iou: float
    views: dict[int, float]


def expected_counts(of_object: Float[Tensor, "*axes"]) -> tuple[float, float]:
    """The expected intersection and union, in pixels, of a mask cut at one half with the truth, where each pixel is of
    the object with its own probability: sum of p inside; pixels inside and sum of p outside."""
    inside = of_object > 0.5
    intersection = float(of_object[inside].sum())
    return intersection, float(inside.sum()) + float(of_object[~inside].sum())


def predict_iou(views: dict[int, ObjectInView]) -> ObjectPrediction:
    """The prediction about one object; 0 where it is seen in no view."""
    counts = {view: expected_counts(of.probability) for view, of in views.items()}
    seen = {view: counted for view, counted in counts.items() if counted[1] >= _LEAST_UNION}
    union = sum(of_view for _, of_view in seen.values())
    if not union:
        return ObjectPrediction(0.0, {})
    agreement, belief = _agreement_and_belief({view: views[view] for view in seen}, seen)
    of_views = {}
    for view, (intersection, of_view) in seen.items():
        own = views[view].agreement
        agreed = own if own is not None and own >= LEAST_AGREEMENT else agreement
        of_views[view] = _combined(intersection / of_view, agreed, belief)
    expected = sum(intersection for intersection, _ in seen.values()) / union
    return ObjectPrediction(_combined(expected, agreement, belief), of_views)


def _agreement_and_belief(
    views: dict[int, ObjectInView], counts: dict[int, tuple[float, float]]
) -> tuple[float, float]:
    """The mean IoU of the 2D masks with the rendering and the mean of what their decoder predicted, views weighted by
    the object's expected size.

    Masks below `LEAST_AGREEMENT` show something else and are left out, unless all are. Without any mask both are one.
    """
    asked = [(counts[view][1], of.agreement, of.mask) for view, of in views.items()]
    given = [(size, agreed, mask.predicted_iou) for size, agreed, mask in asked if agreed is not None and mask]
    telling = [entry for entry in given if entry[1] >= LEAST_AGREEMENT] or given
    total = sum(size for size, _, _ in telling)
    if not total:
        return 1.0, 1.0
    return (
        sum(size * agreed for size, agreed, _ in telling) / total,
        sum(size * min(max(predicted, 0.0), 1.0) for size, _, predicted in telling) / total,
    )


def _combined(expected: float, agreement: float, belief: float) -> float:
    return (expected * agreement * belief) ** _POWER
