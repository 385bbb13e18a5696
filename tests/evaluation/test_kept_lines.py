"""Results on disk: whole lines come back, torn and foreign ones do not."""

import json

from sanerf.evaluation.kept_lines import KeptLines


def test_lines_come_back_and_what_a_crash_left_is_dropped(tmp_path):
    path = tmp_path / "deep" / "answers.jsonl"
    kept = KeptLines(path)
    kept.add("a", {"iou": [0.5]})
    kept.add("b", {"iou": [0.25]})
    whole = path.read_bytes()
    for tail in (b'{"key": "c", "val', b'{"key": "c"}\n[1, 2]\nhello\n', b"\xff\xfe\n"):
        path.write_bytes(whole + tail)
        again = KeptLines(path)
        assert path.read_bytes() == whole
        assert again.get("a") == {"iou": [0.5]} and again.get("b") == {"iou": [0.25]} and again.get("c") is None
    again.add("c", {"iou": []})
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["a", "b", "c"]


def test_the_last_line_of_a_key_counts(tmp_path):
    kept = KeptLines(tmp_path / "answers.jsonl")
    kept.add("a", {"iou": [0.5]})
    kept.add("a", {"iou": [0.75]})
    assert kept.get("a") == KeptLines(tmp_path / "answers.jsonl").get("a") == {"iou": [0.75]}


def test_without_a_file_results_are_in_memory_alone(tmp_path):
    kept = KeptLines(None)
    kept.add("a", {"iou": [0.5]})
    assert kept.get("a") == {"iou": [0.5]} and list(tmp_path.iterdir()) == []
