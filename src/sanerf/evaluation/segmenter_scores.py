"""What the cases of a segmenter's benchmark come to: means, numbers of clicks, and what its own belief is worth.

All means are over cases, each object in each picture counting once; nothing is pooled over pictures.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sanerf.evaluation.box_baselines import BoxScores
from sanerf.evaluation.segmenter_bench import CLICKS_FOR_MEANS, MOST_CLICKS, REPORTED, CaseResult, PictureResult

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Answers whose predicted IoU lies in one of ten equal stretches of [0, 1]: how many, and both means."""

    answers: int
    predicted: float
    true: float


def clicks_needed(cases: Sequence[CaseResult], iou: float) -> tuple[float, int]:
    """The mean number of clicks to an IoU (NoC), and how many cases 20 clicks did not bring there (counted as 20)."""
    needed = [case.clicks_to(iou) for case in cases]
    return _mean([float(MOST_CLICKS if count is None else count) for count in needed]), needed.count(None)


def answered_ious(cases: Sequence[CaseResult]) -> tuple[list[float], list[float]]:
    """Predicted and true IoU of every answer that counted: one a click, and that of the box."""
    predicted = [value for case in cases for value in (*case.predicted_iou, case.box_predicted_iou)]
    true = [value for case in cases for value in (*case.iou, case.box_iou)]
    return predicted, true


def calibration_bins(predicted: Sequence[float], true: Sequence[float]) -> list[Bin]:
    """The bins that hold an answer, in order; what is predicted beyond [0, 1] belongs to the last or first."""
    index = np.clip((np.asarray(predicted) * BINS).astype(int), 0, BINS - 1)
    out = []
    for number in range(BINS):
        inside = index == number
        if inside.any():
            means = float(np.asarray(predicted)[inside].mean()), float(np.asarray(true)[inside].mean())
            out.append(Bin(int(inside.sum()), *means))
    return out


def calibration_error(bins: Sequence[Bin]) -> float:
    """The expected calibration error (Guo et al. 2017): |mean predicted - mean true| of bins, by answers."""
    return sum(b.answers * abs(b.predicted - b.true) for b in bins) / sum(b.answers for b in bins)


def pearson(a: Sequence[float], b: Sequence[float]) -> float | None:
    """The correlation coefficient, None where one of them does not vary."""
    x, y = (np.asarray(values, np.float64) - np.mean(values) for values in (a, b))
    norm = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / norm if norm > 1e-12 else None


def scores_to_json(results: Sequence[PictureResult]) -> dict[str, Any]:
    """The figures of `sanerf bench segmenter --json` (docs/bench.md) that are the segmenter's. Needs a case."""
    cases = [case for result in results for case in result.cases]
    predicted, true = answered_ious(cases)
    correlation = pearson(predicted, true)
    megapixels = sum(result.width * result.height for result in results) / 1e6
    encode_seconds = sum(result.encode_seconds for result in results)
    out: dict[str, Any] = {
        "clicks": {
            str(count): {
                "iou": round(_mean([case.iou_after(count) for case in cases]), 4),
                "boundary_iou": round(_mean([case.boundary_iou[str(count)] for case in cases]), 4),
            }
            for count in REPORTED
        },
        "box": {
            "iou": round(_mean([case.box_iou for case in cases]), 4),
            "boundary_iou": round(_mean([case.box_boundary_iou for case in cases]), 4),
        },
        "best_hypothesis": {"iou": round(_mean([case.best_iou for case in cases]), 4)},
    }
    for percent in (85, 90):
        noc, failures = clicks_needed(cases, percent / 100)
        out[f"noc{percent}"] = round(noc, 3)
        out[f"failures{percent}"] = failures
    out["iou_by_click"] = [
        round(_mean([case.iou_after(count) for case in cases]), 4) for count in range(1, CLICKS_FOR_MEANS + 1)
    ]
    out["predicted_iou"] = {
        "pearson": None if correlation is None else round(correlation, 4),
        "calibration_error": round(calibration_error(calibration_bins(predicted, true)), 4),
        "answers": len(true),
    }
    out["encode_seconds"] = round(encode_seconds / len(results), 4)
    out["encode_seconds_per_megapixel"] = round(encode_seconds / megapixels, 4)
    out["decode_seconds"] = round(sum(c.decode_seconds for c in cases) / sum(c.decodes for c in cases), 4)
    out["pictures"] = len(results)
    out["cases"] = len(cases)
    return out


def box_scores_to_json(methods: Mapping[str, BoxScores]) -> dict[str, Any]:
    """The same of methods that know nothing but the box, by name."""
    return {
        name: {
            "box": {"iou": round(scores.iou, 4), "boundary_iou": round(scores.boundary_iou, 4)},
            "seconds": round(scores.seconds, 4),
        }
        for name, scores in methods.items()
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
