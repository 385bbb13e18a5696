"""The benchmark of segmenters whose answers are known: every figure is one that can be worked out by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from known_segmenters import (
    HEIGHT,
    WIDTH,
    KnownSegmenter,
    column_by_column,
    everything,
    late,
    object_mask,
    perfect,
    shy,
    write_picture,
)

from sanerf.data.masked_pictures import find_masked_pictures
from sanerf.errors import UserError
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.segmenter_bench import CaseResult, bench_segmenter, boundary_iou
from sanerf.evaluation.segmenter_scores import (
    calibration_bins,
    calibration_error,
    clicks_needed,
    pearson,
    scores_to_json,
)
from sanerf.segmenter.coco_rle import from_coco

CPU = torch.device("cpu")
SHARE = 160 / (HEIGHT * WIDTH)
"""Of the picture that is the object: the IoU of a mask that is everything."""


def quiet(*_: object) -> None:
    pass


@pytest.fixture
def folder(tmp_path):
    for stem in ("a", "b"):
        write_picture(tmp_path, stem)
    return tmp_path


def bench(folder, answer, kept=None):
    segmenter = KnownSegmenter(answer)
    pictures = find_masked_pictures(folder).pictures
    results = bench_segmenter(segmenter, pictures, device=CPU, kept=kept or KeptLines(None), progress=quiet)
    return segmenter, results


def test_a_perfect_segmenter_needs_one_click_and_is_asked_no_more(folder):
    segmenter, results = bench(folder, perfect)
    scores = scores_to_json(results)
    assert {count: entry["iou"] for count, entry in scores["clicks"].items()} == {"1": 1, "3": 1, "5": 1, "10": 1}
    assert all(entry["boundary_iou"] == 1 for entry in scores["clicks"].values())
    assert scores["box"] == {"iou": 1, "boundary_iou": 1} and scores["best_hypothesis"] == {"iou": 1}
    assert (scores["noc85"], scores["noc90"], scores["failures85"], scores["failures90"]) == (1, 1, 0, 0)
    # Nothing varies, so there is no correlation; the belief is right.
    assert scores["predicted_iou"] == {"pearson": None, "calibration_error": 0, "answers": 4}
    assert (scores["pictures"], scores["cases"], scores["iou_by_click"]) == (2, 2, [1.0] * 10)
    # Encoded and asked once more than is counted, to warm up.
    assert segmenter.encoded == 3 and len(segmenter.prompts) == 5
    assert all(result.cases[0].decodes == 2 for result in results)


def test_a_segmenter_that_never_finds_it_is_clicked_twenty_times_each_pixel_once(folder):
    _, results = bench(folder, everything)
    case = results[0].cases[0]
    assert len(case.iou) == 20 and len({click[:2] for click in case.clicks}) == 20
    assert [click[2] for click in case.clicks] == [1] + [0] * 19
    scores = scores_to_json(results)
    assert scores["clicks"]["10"]["iou"] == pytest.approx(SHARE, abs=5e-5)
    assert (scores["noc85"], scores["failures85"], scores["noc90"], scores["failures90"]) == (20, 2, 20, 2)
    assert scores["predicted_iou"]["pearson"] is None
    assert scores["predicted_iou"]["calibration_error"] == pytest.approx(0.7 - SHARE, abs=5e-5)


def test_a_segmenter_that_finds_it_at_the_second_click(folder):
    segmenter, results = bench(folder, late)
    scores = scores_to_json(results)
    # Held afterwards: there is nothing left to click.
    assert scores["iou_by_click"] == [0.0] + [1.0] * 9
    assert [scores["clicks"][count]["iou"] for count in ("1", "3", "5", "10")] == [0, 1, 1, 1]
    assert (scores["noc85"], scores["noc90"], scores["failures90"]) == (2, 2, 0)
    # Two points of predicted and true IoU, (0.25, 0) once and (0.75, 1) twice, lie on a rising line.
    assert scores["predicted_iou"] == {"pearson": 1.0, "calibration_error": 0.25, "answers": 6}
    # After the warm-up: deepest in the object; deepest in what is superfluous, which lies deeper; and the box.
    first, second, box = segmenter.prompts[1:4]
    assert first.points.tolist() == [[13.5, 13.5]] and first.labels.tolist() == [1] and first.mask_logits is None
    assert second.labels.tolist() == [1, 0] and second.points[0].tolist() == [13.5, 13.5]
    x, y = second.points[1].long().tolist()
    assert not object_mask()[y, x]
    # The decoder's own logits go back, not those at the picture's resolution.
    assert second.mask_logits is None and second.low_res_logits is not None
    assert torch.equal(second.low_res_logits > 0, torch.from_numpy(~object_mask())[::2, ::2])
    assert len(box.labels) == 0 and box.box is not None and box.box.tolist() == [10, 10, 30, 18]


def test_a_case_is_clicked_on_beyond_ten_until_nine_tenths_are_found(folder):
    _, results = bench(folder, column_by_column)
    case = results[0].cases[0]
    assert case.iou == [count / 20 for count in range(1, 19)]
    scores = scores_to_json(results)
    assert scores["iou_by_click"] == [count / 20 for count in range(1, 11)]
    assert (scores["noc85"], scores["noc90"], scores["failures90"]) == (17, 18, 0)
    assert scores["box"]["iou"] == 1
    # All answers are predicted at half of what they are: a perfect correlation, and the mean prediction as the error.
    mean = (sum(range(1, 19)) / 40 + 0.5) / 19
    assert scores["predicted_iou"] == {
        "pearson": 1.0,
        "calibration_error": pytest.approx(mean, abs=5e-5),
        "answers": 38,
    }


def test_the_best_hypothesis_is_reported_beside_the_chosen_one(folder):
    scores = scores_to_json(bench(folder, shy)[1])
    assert scores["clicks"]["1"]["iou"] == pytest.approx(SHARE, abs=5e-5)
    assert scores["best_hypothesis"]["iou"] == 1
    # A second click outside leaves the truth alone in agreement with both.
    assert scores["clicks"]["3"]["iou"] == 1 and scores["noc90"] == 2


def test_every_object_of_every_picture_counts_once_and_empty_masks_are_no_cases(tmp_path):
    whole = np.ones((HEIGHT, WIDTH), bool)
    write_picture(tmp_path, "a", {"cup": object_mask(), "room": whole})
    write_picture(tmp_path, "b", {"cup": object_mask(), "room": np.zeros_like(whole)})
    _, results = bench(tmp_path, everything)
    assert [[case.object for case in result.cases] for result in results] == [["cup", "room"], ["cup"]]
    scores = scores_to_json(results)
    assert (scores["pictures"], scores["cases"]) == (2, 3)
    # The mean of cases; pooled pixels would give (160 + 1200 + 160) / 3600.
    assert scores["clicks"]["1"]["iou"] == pytest.approx((2 * SHARE + 1) / 3, abs=5e-5)
    assert scores["noc90"] == pytest.approx((20 + 1 + 20) / 3, abs=5e-4) and scores["failures90"] == 2
    write_picture(tmp_path, "a", {"cup": np.zeros_like(whole), "room": np.zeros_like(whole)})
    write_picture(tmp_path, "b", {"cup": np.zeros_like(whole)})
    with pytest.raises(UserError, match="all masks of all pictures are empty"):
        bench(tmp_path, everything)


def test_an_interrupted_benchmark_goes_on_with_the_pictures_that_are_not_done(tmp_path):
    for index, stem in enumerate("abcd"):
        write_picture(tmp_path / "data", stem, blue=10 * index)
    file = tmp_path / "answers.jsonl"
    pictures = find_masked_pictures(tmp_path / "data").pictures

    def stopped(activity: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench_segmenter(KnownSegmenter(late), pictures, device=CPU, kept=KeptLines(file), progress=stopped)
    with file.open("a") as torn:
        torn.write('{"key": "half a line, as a power cut lea')
    segmenter, results = bench(tmp_path / "data", late, KeptLines(file))
    assert segmenter.encoded == 3  # two pictures and the warm-up
    untimed = [[replace(case, decode_seconds=0.0) for case in result.cases] for result in results]
    whole = [[replace(case, decode_seconds=0.0) for case in r.cases] for r in bench(tmp_path / "data", late)[1]]
    assert untimed == whole
    assert bench(tmp_path / "data", late, KeptLines(file))[0].encoded == 0

    # What was kept is of these pixels, masks and weights alone.
    write_picture(tmp_path / "data", "a", {"": ~object_mask()})
    segmenter, _ = bench(tmp_path / "data", late, KeptLines(file))
    assert segmenter.encoded == 2
    other = KnownSegmenter(late, "known-2")
    bench_segmenter(other, pictures, device=CPU, kept=KeptLines(file), progress=quiet)
    assert other.encoded == 5


def test_lines_hold_what_json_can(tmp_path, folder):
    kept = KeptLines(tmp_path / "answers.jsonl")
    _, results = bench(folder, column_by_column, kept)
    line = json.loads((tmp_path / "answers.jsonl").read_text().splitlines()[0])["value"]
    assert line["picture"] == "a.png" and line["cases"][0]["iou"] == results[0].cases[0].iou
    mask = from_coco(line["cases"][0]["masks"]["3"])
    assert mask.shape == (HEIGHT, WIDTH) and mask[:, :13].sum() == mask.sum() == 3 * 8


def test_lines_whose_fields_are_not_todays_are_computed_again(tmp_path, folder):
    file = tmp_path / "answers.jsonl"
    _, results = bench(folder, perfect, KeptLines(file))
    whole = file.read_text()
    for was, becomes in (('"best_iou"', '"best"'), ('"cases"', '"objects"'), ('"width"', '"columns"')):
        file.write_text(whole.replace(was, becomes))
        segmenter, again = bench(folder, perfect, KeptLines(file))
        assert segmenter.encoded == 3 and [r.cases[0].iou for r in again] == [r.cases[0].iou for r in results]


def test_no_part_of_the_benchmark_prepares_for_gradients(folder):
    class Alive(KnownSegmenter):
        """Its answers come from weights that could be learnt."""

        weight = torch.ones(1, requires_grad=True)

        def encode(self, image):
            features = super().encode(image)
            assert not (features.maps["red"] * self.weight).requires_grad
            return features

        def decode(self, features, prompts):
            answers = super().decode(features, prompts)
            assert not any((answer.mask_logits * self.weight).requires_grad for answer in answers)
            return answers

    pictures = find_masked_pictures(folder).pictures
    alive = Alive(perfect)
    bench_segmenter(alive, pictures, device=CPU, kept=KeptLines(None), progress=quiet)
    assert alive.encoded == 3


def test_boundary_iou_of_one_picture():
    # A diagonal of 500 gives a band of 10 pixels: of a square of 60 its outer 10, and of one of 40 in it also.
    truth, inner = np.zeros((300, 400), bool), np.zeros((300, 400), bool)
    truth[100:160, 100:160] = True
    inner[110:150, 110:150] = True
    assert boundary_iou(truth, truth) == 1
    assert boundary_iou(inner, truth) == 0
    shifted = np.roll(truth, 5, axis=1)
    band, shifted_band = truth.copy(), shifted.copy()
    band[110:150, 110:150] = shifted_band[110:150, 115:155] = False
    expected = (band & shifted_band).sum() / (band | shifted_band).sum()
    assert boundary_iou(shifted, truth) == pytest.approx(expected)


def case(ious: list[float]) -> CaseResult:
    some = dict.fromkeys(("1", "3", "5", "10"), 0.0)
    return CaseResult("", [], ious, ious, some, 0.0, 1.0, 1.0, 1.0, 0.0, 1, {})


def test_the_number_of_clicks_is_that_of_the_first_time_and_failures_count_as_twenty():
    cases = [case([0.5, 0.86, 0.7, 0.91]), case([0.9]), case([0.2] * 20)]
    assert clicks_needed(cases, 0.85) == (pytest.approx((2 + 1 + 20) / 3), 1)
    assert clicks_needed(cases, 0.90) == (pytest.approx((4 + 1 + 20) / 3), 1)


def test_correlation_and_calibration_by_hand():
    assert pearson([0.1, 0.2, 0.3], [0.9, 0.6, 0.3]) == pytest.approx(-1)
    a, b = np.random.default_rng(0).random((2, 50))
    assert pearson(list(a), list(b)) == pytest.approx(np.corrcoef(a, b)[0, 1])
    bins = calibration_bins([0.11, 0.19, 1.02, -0.01], [0.3, 0.1, 0.8, 0.2])
    assert [b.answers for b in bins] == [1, 2, 1]
    assert [b.predicted for b in bins] == pytest.approx([-0.01, 0.15, 1.02])
    assert [b.true for b in bins] == pytest.approx([0.2, 0.2, 0.8])
    assert calibration_error(bins) == pytest.approx((0.21 + 2 * 0.05 + 0.22) / 4)
