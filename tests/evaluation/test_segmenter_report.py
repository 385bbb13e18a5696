"""The benchmark's page: the worst case first, its figures those of the JSON, and nothing fetched from elsewhere."""

import re

import numpy as np
import pytest
import torch
from known_segmenters import KnownSegmenter, column_by_column, object_mask, write_picture

from sanerf.data.masked_pictures import find_masked_pictures
from sanerf.errors import UserError
from sanerf.evaluation.segmenter_report import scores_lines
from sanerf.evaluation.segmenter_suite import run_segmenter_suite
from sanerf.files import read_json


def run(folder, out):
    return run_segmenter_suite(
        KnownSegmenter(column_by_column),
        find_masked_pictures(folder).pictures,
        device=torch.device("cpu"),
        out=out,
        progress=lambda *_: None,
        peak_memory_gb=lambda: 1.25,
    )


def test_the_page_shows_the_worst_first_and_the_figures_of_the_json(tmp_path):
    write_picture(tmp_path / "data", "easy")
    wider = object_mask()
    wider[10:18, 8:30] = True
    write_picture(tmp_path / "data", "hard", {"": wider}, blue=90)
    out = tmp_path / "out"
    scores = run(tmp_path / "data", out)
    assert read_json(out / "bench.json") == scores
    page = (out / "report.html").read_text(encoding="utf-8")
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    # Two curves, then four pictures a case. Of 22 columns the segmenter finds 1, 3 and 5, of 20 as many.
    assert captions[2:] == [
        "hard.png: from the tight box 0.91", "1 click: IoU 0.05", "3 clicks: IoU 0.14", "5 clicks: IoU 0.23",
        "easy.png: from the tight box 1.00", "1 click: IoU 0.05", "3 clicks: IoU 0.15", "5 clicks: IoU 0.25",
    ]  # fmt: skip
    assert page.count("data:image/svg+xml;base64,") == 2 and "http" not in page.replace("http-equiv", "")
    assert f"{(1 / 20 + 1 / 22) / 2:.3f}" in page
    lines = scores_lines(scores)
    assert lines[1].split() == ["known,", "IoU", "0.048", "0.143", "0.239", "0.477", "0.955"]
    assert "peak memory, GB: 1.25" in lines
    assert "peak memory, GB: unknown" in scores_lines({**scores, "peak_memory_gb": None})


def test_a_file_in_the_place_of_the_folder_is_refused_before_any_work(tmp_path):
    write_picture(tmp_path / "data", "a")
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="it is a file, and a folder is to be written"):
        run(tmp_path / "data", tmp_path / "out")


def test_a_folder_of_other_files_is_refused_and_left_as_it_is(tmp_path):
    """As a run's, whose report.html is `evaluate`'s."""
    write_picture(tmp_path / "data", "a")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.html").write_text("evaluate's")
    with pytest.raises(UserError, match="run holds files that sanerf did not write"):
        run(tmp_path / "data", tmp_path / "run")
    assert [(p.name, p.read_text()) for p in (tmp_path / "run").iterdir()] == [("report.html", "evaluate's")]


def test_nothing_is_written_without_a_folder(tmp_path):
    write_picture(tmp_path / "data", "a", {"cup": object_mask(), "nothing": np.zeros_like(object_mask())})
    before = sorted(tmp_path.rglob("*"))
    assert run(tmp_path / "data", None)["cases"] == 1
    assert sorted(tmp_path.rglob("*")) == before
