"""The whole benchmark of a segmenter: its cases, the methods beside it, the figures, and what is written of them."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from sanerf.data.masked_pictures import MaskedPicture
from sanerf.evaluation.box_baselines import BoxMethod, bench_box_method
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.segmenter_bench import PROTOCOL_VERSION, bench_segmenter
from sanerf.evaluation.segmenter_report import write_segmenter_report
from sanerf.evaluation.segmenter_scores import box_scores_to_json, scores_to_json
from sanerf.files import open_own_folder, write_json
from sanerf.locks import file_lock
from sanerf.progress import Progress
from sanerf.segmenter.protocol import Segmenter

REPORT, FIGURES, ANSWERS = "report.html", "bench.json", "answers.jsonl"
WRITER = "bench"
"""The name in the folder that it writes, by which a later call knows it."""


def run_segmenter_suite(
    segmenter: Segmenter,
    pictures: Sequence[MaskedPicture],
    *,
    methods: Sequence[BoxMethod] = (),
    device: torch.device,
    out: Path | None,
    progress: Progress,
    peak_memory_gb: Callable[[], float | None],
) -> dict[str, Any]:
    """The figures of `sanerf bench segmenter --json` (docs/bench.md).

    In the folder `out` they are written, with a report and every finished picture's answers, from which an interrupted
    call goes on. Raises UserError where `out` is a file or holds what no such benchmark wrote, where another process
    writes into it, and for pictures that cannot be read.
    """
    if out is not None:
        open_own_folder(out, WRITER)
    with nullcontext() if out is None else file_lock(out / ".bench.lock", f"writing into {out}"):
        kept = KeptLines(None if out is None else out / ANSWERS)
        results = bench_segmenter(segmenter, pictures, device=device, kept=kept, progress=progress)
        beside = {m.name: bench_box_method(m, pictures, kept=kept, progress=progress) for m in methods}
        scores: dict[str, Any] = {
            "segmenter": segmenter.name,
            "fingerprint": segmenter.fingerprint,
            "protocol": PROTOCOL_VERSION,
            "device": device.type,
            **scores_to_json(results),
            "baselines": box_scores_to_json(beside),
            "peak_memory_gb": peak_memory_gb(),
        }
        if out is not None:
            write_json(out / FIGURES, scores)
            footer = f"{segmenter.fingerprint}, protocol {PROTOCOL_VERSION}, {device.type}"
            write_segmenter_report(out / REPORT, scores, results=results, pictures=pictures, footer=footer)
    return scores
