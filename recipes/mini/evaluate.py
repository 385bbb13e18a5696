"""Score weights of the built-in segmenter on a folder of images/ and masks/, as `sanerf bench segmenter` does.

    python evaluate.py --photos DIR --weights FILE [--long-side 640] [--every 4] [--out DIR]

For weights that are not in the package yet, at any long side, on every so many-th picture; prints one JSON object. With
`--out` finished pictures are kept in answers.jsonl there, and a report is written.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from sanerf.cli.console import progress_bars
from sanerf.data.masked_pictures import find_masked_pictures
from sanerf.evaluation.segmenter_suite import run_segmenter_suite
from sanerf.peak_memory import peak_memory_gb
from sanerf.segmenter.mini.segmenter import LONG_SIDE, WEIGHTS, load_mini


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--long-side", type=int, default=LONG_SIDE)
    parser.add_argument("--every", type=int, default=1, help="use every so many-th picture")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for a report, and to go on after an interruption")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cpu = torch.device("cpu")
    with progress_bars() as progress:
        scores = run_segmenter_suite(
            load_mini(cpu, args.long_side, args.weights),
            find_masked_pictures(args.photos).pictures[:: args.every],
            device=cpu,
            out=args.out,
            progress=progress,
            peak_memory_gb=peak_memory_gb,
        )
    print(json.dumps({**scores, "long_side": args.long_side}))


if __name__ == "__main__":
    main()
