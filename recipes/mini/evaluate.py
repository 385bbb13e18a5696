"""Score a segmenter on a folder of images/ and masks/: mean IoU after 1, 3 and 5 simulated clicks and from a box.

    python evaluate.py --photos DIR --weights FILE [--long-side 640] [--every 4] [--sheet FILE.png]

The clicks are the standard ones: the first at the point deepest inside the object, each further one at the centre of
the deepest error, the previous mask going with it. Of the three hypotheses the one with the greatest predicted IoU
counts; the best of the three at one click is printed too, to tell a bad mask from a bad choice.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import clicks
import numpy as np
import torch
from PIL import Image, ImageDraw

from sanerf.segmenter.mini.segmenter import LONG_SIDE, WEIGHTS, MiniSegmenter, load_mini
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts

CLICKS = 5
REPORTED = (1, 3, 5)


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two bool masks."""
    return float((mask & truth).sum() / max(1, (mask | truth).sum()))


def decode_one(segmenter: MiniSegmenter, features: ImageFeatures, prompt: ViewPrompts) -> MaskHypotheses:
    return segmenter.decode(features, [prompt])[0]


def interact(
    segmenter: MiniSegmenter, features: ImageFeatures, truth: np.ndarray
) -> tuple[list[float], float, np.ndarray]:
    """IoU after each click, the best hypothesis' IoU at the first, and the last mask."""
    points, labels, previous = [clicks.error_centre(truth, 1.0)[0]], [1], None
    found, best_of_three, mask = [], 0.0, np.zeros_like(truth)
    for number in range(CLICKS):
        prompt = ViewPrompts(torch.tensor(np.stack(points), dtype=torch.float32), torch.tensor(labels), None, previous)
        answer = decode_one(segmenter, features, prompt)
        masks = (answer.mask_logits > 0).numpy()
        choice = int(answer.predicted_iou.argmax())
        if number == 0:
            best_of_three = max(iou(m, truth) for m in masks)
        mask, previous = masks[choice], answer.mask_logits[choice]
        found.append(iou(mask, truth))
        following = clicks.next_click(truth, mask, 1.0)
        if following is None:
            return found + [found[-1]] * (CLICKS - number - 1), best_of_three, mask
        points.append(following[0])
        labels.append(following[1])
    return found, best_of_three, mask


def from_box(segmenter: MiniSegmenter, features: ImageFeatures, truth: np.ndarray) -> float:
    """IoU of the answer to the tight box."""
    box = torch.tensor(clicks.box_of(truth, 1.0, 0.0, np.random.default_rng(0)), dtype=torch.float32)
    empty = ViewPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), box)
    answer = decode_one(segmenter, features, empty)
    return iou((answer.mask_logits[int(answer.predicted_iou.argmax())] > 0).numpy(), truth)


def draw(image: np.ndarray, mask: np.ndarray, truth: np.ndarray, text: str) -> Image.Image:
    """The picture with hits green, false alarms red and misses blue."""
    tint = image.astype(np.float32) * 0.55
    for where, colour in ((mask & truth, (0, 110, 0)), (mask & ~truth, (115, 0, 0)), (truth & ~mask, (0, 0, 115))):
        tint[where] += colour
    sheet = Image.fromarray(np.clip(tint, 0, 255).astype(np.uint8)).resize((320, 200))
    ImageDraw.Draw(sheet).text((4, 4), text, fill=(255, 255, 0))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--long-side", type=int, default=LONG_SIDE)
    parser.add_argument("--every", type=int, default=1, help="use every so many-th picture")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheet", type=Path, help="write pictures of the masks after one click")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    segmenter = load_mini(torch.device("cpu"), args.long_side, args.weights)
    rows, best, boxes, sheets, encode_time = [], [], [], [], 0.0
    for path in sorted((args.photos / "images").iterdir())[:: args.every]:
        image = np.array(Image.open(path).convert("RGB"))
        truth = np.asarray(Image.open(args.photos / "masks" / f"{path.stem}.png").convert("L")) > 127
        began = time.perf_counter()
        features = segmenter.encode(torch.from_numpy(image))
        encode_time += time.perf_counter() - began
        found, best_of_three, _ = interact(segmenter, features, truth)
        rows.append(found)
        best.append(best_of_three)
        boxes.append(from_box(segmenter, features, truth))
        if args.sheet:
            first = ViewPrompts(
                torch.tensor(clicks.error_centre(truth, 1.0)[0][None], dtype=torch.float32), torch.tensor([1])
            )
            answer = decode_one(segmenter, features, first)
            mask = (answer.mask_logits[int(answer.predicted_iou.argmax())] > 0).numpy()
            sheets.append(draw(image, mask, truth, f"{path.stem} {found[0]:.2f} {found[2]:.2f} {boxes[-1]:.2f}"))
    table = np.array(rows)
    figures = {f"clicks_{n}": round(float(table[:, n - 1].mean()), 4) for n in REPORTED}
    figures |= {"box": round(float(np.mean(boxes)), 4), "best_of_three": round(float(np.mean(best)), 4)}
    figures |= {"pictures": len(rows), "long_side": args.long_side, "encode_s": round(encode_time / len(rows), 3)}
    print(json.dumps(figures))
    if args.sheet:
        wide = 5
        board = Image.new("RGB", (320 * wide, 200 * -(-len(sheets) // wide)))
        for k, picture in enumerate(sheets):
            board.paste(picture, (320 * (k % wide), 200 * (k // wide)))
        board.save(args.sheet)


if __name__ == "__main__":
    main()
