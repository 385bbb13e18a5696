"""Draw the cases of a folder that weights of the built-in segmenter fail at most, as one picture for the model card.

    python failures.py --data src/sanerf/assets/table_scene --out docs/images/mini_failures.jpg

Of each object its worst case by the mean of the IoU after one and after three clicks (`sanerf bench segmenter`),
the worst objects first, two tiles a case: after one click, after three. The truth is outlined in yellow, the mask
is blue; a plus is a click inside, a minus one outside.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from sanerf.cli.console import progress_bars
from sanerf.data.images import load_mask, load_photo
from sanerf.data.masked_pictures import MaskedPicture, find_masked_pictures
from sanerf.evaluation.clicking import tight_box
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.segmenter_bench import CaseResult, bench_segmenter
from sanerf.files import atomic_write
from sanerf.render.pictures import OKABE_ITO, draw_clicks, overlay_mask
from sanerf.segmenter.coco_rle import from_coco
from sanerf.segmenter.mini.segmenter import WEIGHTS, load_mini

SHOWN_CLICKS = (1, 3)
CASES_A_ROW = 2
TILE_WIDTH, TILE_HEIGHT, CAPTION = 320, 240, 22
LEAST_PIXELS = 1000
"""Smaller masks are mostly hidden things: a failure there says little."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and masks/")
    parser.add_argument("--pictures", default="test_*", help="glob of the stems to look at")
    parser.add_argument("--every", type=int, default=3, help="of those, every so many-th")
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cpu = torch.device("cpu")
    pictures = [p for p in find_masked_pictures(args.data).pictures if p.path.match(f"{args.pictures}.*")][
        :: args.every
    ]
    with progress_bars() as progress:
        results = bench_segmenter(
            load_mini(cpu, weights=args.weights), pictures, device=cpu, kept=KeptLines(None), progress=progress
        )
    cases = [(case, picture) for result, picture in zip(results, pictures, strict=True) for case in result.cases]
    worst = worst_of_each_object(cases)[: args.cases]
    tiles = [tile(case, picture, clicks) for case, picture in worst for clicks in SHOWN_CLICKS]
    columns = CASES_A_ROW * len(SHOWN_CLICKS)
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    with atomic_write(args.out) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary, format="JPEG", quality=70)


def worst_of_each_object(cases: list[tuple[CaseResult, MaskedPicture]]) -> list[tuple[CaseResult, MaskedPicture]]:
    """One case an object, the worst first."""
    out: dict[str, tuple[CaseResult, MaskedPicture]] = {}
    for case, picture in sorted(cases, key=lambda pair: sum(pair[0].iou_after(count) for count in SHOWN_CLICKS)):
        if int(load_mask(picture.masks[case.object]).sum()) >= LEAST_PIXELS:
            out.setdefault(case.object, (case, picture))
    return list(out.values())


def tile(case: CaseResult, picture: MaskedPicture, clicks: int) -> np.ndarray:
    """The part of the picture about the object, with mask, truth and clicks, below a line of text: RGB bytes."""
    photo = load_photo(picture.path, picture.size).numpy()
    truth = load_mask(picture.masks[case.object]).numpy()
    marked = overlay_mask(photo, from_coco(case.masks[str(clicks)]))
    marked = overlay_mask(marked, truth, colour=OKABE_ITO["yellow"], fill=0.0)
    made = np.array(case.clicks[:clicks], np.float64)
    marked = draw_clicks(marked, made[:, :2], made[:, 2].astype(np.int64))
    shown = Image.fromarray(marked).resize((TILE_WIDTH, TILE_HEIGHT), Image.Resampling.LANCZOS, box=about(truth))
    out = Image.new("RGB", (TILE_WIDTH, TILE_HEIGHT + CAPTION), "white")
    out.paste(shown, (0, CAPTION))
    text = f"{case.object}, {clicks} click{'s' * (clicks > 1)}: IoU {case.iou_after(clicks):.2f}"
    ImageDraw.Draw(out).text((6, 3), text, fill="black", font=ImageFont.load_default(14))
    return np.asarray(out)


def about(truth: np.ndarray) -> tuple[float, float, float, float]:
    """A box (x0, y0, x1, y1) of a tile's shape in the picture, about the object and twice as large."""
    height, width = truth.shape
    x0, y0, x1, y1 = tight_box(truth)
    shape = TILE_WIDTH / TILE_HEIGHT
    tall = min(max(2 * (y1 - y0), 2 * (x1 - x0) / shape), height, width / shape)
    wide = shape * tall
    left = min(max((x0 + x1 - wide) / 2, 0), width - wide)
    top = min(max((y0 + y1 - tall) / 2, 0), height - tall)
    return left, top, left + wide, top + tall


if __name__ == "__main__":
    main()
