"""The quality of the field over time on a list of captures: the bundled scene and those of a folder.

    python benchmarks/fields.py [--captures DIR] [--only fox,lego] [--checkpoints 4] [--minutes-factor 1]
                                [--device cpu|cuda] [--seed 0] [--runs DIR] [--again] [--results DIR]

Each capture is trained by `sanerf train` in a process of its own, for the minutes below, and scored on its held-out
views. With `--checkpoints N` copies of N checkpoints that training writes anyway, every 30 seconds, are scored as well
once it has ended, on every 4th held-out view: no second of that is training time, but each such field stands in the
middle of its learning rates, and would be better had it been asked to end there. In --runs stay the run, its scores as
JSON and a strip of pictures for each capture; one whose JSON is there is not run again without --again.
"""

import sanerf.cli.main  # isort: skip - before torch: it says how waiting threads wait, as in the command

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from field_scoring import checkpoint_renderer, psnr_of, score_field
from field_training import Snapshots, train, training_seconds
from report_header import RESULTS, OtherPrograms, commit, cores_text, facts_at_start, header, table

from sanerf.cli.console import CommonOptions, open_device, say
from sanerf.data.images import downscaled_size
from sanerf.errors import UserError
from sanerf.evaluation.line_chart import Line, line_chart
from sanerf.files import write_json, write_text
from sanerf.kernels.backend import kernels_for
from sanerf.run.folder import Run, load_renderer, open_run

BUNDLED = "bundled"
SCENE = Path(sanerf.__file__).parent / "assets" / "table_scene"
EVERY = 4
"""Of the held-out views, those on which checkpoints are scored."""


@dataclass(frozen=True)
class Capture:
    """How one capture is trained and scored."""

    name: str
    minutes: float
    downscale: int = 1
    holdout: str | None = None
    masks: str | None = None
    bar: float | None = None
    """dB that are asked for, over whole pictures"""
    bar_inside: float | None = None
    """and inside the masks"""
    note: str = ""


CAPTURES = (
    Capture(BUNDLED, 4.8, bar=30.0),
    Capture("fox", 4.8, downscale=2, holdout="every:8", bar=25.0),
    Capture("gold_cape", 9.5, downscale=2, holdout="every:8", masks="masks", bar=21.0, bar_inside=24.0),
    Capture("lego_synthetic", 4.8, masks="masks", bar=28.0),
    Capture("llff_fern", 4.8, downscale=4, holdout="every:8"),
    Capture("m360_bonsai", 4.8, holdout="every:8", note="not the official poses: no comparison with others"),
)
COLUMNS = ("capture", "pictures", "size", "minutes", "steps", "PSNR", "SSIM", "inside", "peak memory", "bar", "others")


def wanted(only: str | None, captures: Path | None) -> list[tuple[Capture, Path]]:
    """The captures asked for, with their folders. UserError for a name that fits none, or where a folder is missing."""
    if captures is not None and not captures.is_dir():
        raise UserError(f"there is no folder of captures {captures}")
    there = [(of, SCENE if of.name == BUNDLED else captures / of.name if captures else None) for of in CAPTURES]
    if only is None:
        return [(of, folder) for of, folder in there if folder is not None and folder.is_dir()]
    found = []
    for part in only.split(","):
        fits = [(of, folder) for of, folder in there if part and part in of.name]
        if not fits:
            raise UserError(f"--only knows {', '.join(of.name for of in CAPTURES)}, not {part!r}")
        for of, folder in fits:
            if folder is None or not folder.is_dir():
                raise UserError(f"there is no folder {of.name} of captures; say where with --captures DIR")
            found.append((of, folder))
    return found


def run_capture(
    capture: Capture, folder: Path, home: Path, minutes: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Train and score a capture; all that is written of it."""
    device, at_commit = torch.device(options.device), commit()
    out = home / "run"
    command = [sys.executable, "-m", "sanerf.cli.main", "train", str(folder), "--out", str(out), "--json"]
    command += ["--minutes", str(minutes), "--downscale", str(capture.downscale)]
    command += ["--seed", str(options.seed), "--device", options.device]
    command += ["--holdout", capture.holdout] if capture.holdout else []
    parts = options.checkpoints + 1
    seconds = tuple(60 * minutes * part / parts for part in range(1, parts))
    snapshots = Snapshots(out / "checkpoint.safetensors", home / "snapshots", seconds)
    trained = home / "train.json"
    if not trained.exists():
        # Where it has ended and what it printed is lost, so is its peak memory: only training again tells.
        if (out / "radiance.safetensors").exists():
            shutil.rmtree(out)
            shutil.rmtree(snapshots.folder, ignore_errors=True)
        others = OtherPrograms()
        printed = train(command, snapshots)
        write_json(trained, {**printed, "others": others.cores(), "commit": at_commit})
    witness = json.loads(trained.read_text(encoding="utf-8"))

    say(f"{capture.name}: scoring held-out views")
    run, kernels = open_run(out), kernels_for("auto", device)
    renderer = load_renderer(run, kernels, device)
    masks = folder / capture.masks if capture.masks else None
    score = score_field(run, renderer, masks, home / "strip.jpg")
    some, held_out = run.scene.test[::EVERY], []
    for file in sorted(snapshots.folder.glob("*.safetensors")):
        earlier, at = checkpoint_renderer(run, file, kernels)
        held_out.append([at, psnr_of(run, earlier, some)])
    if held_out:
        held_out.append([training_seconds(run.radiance), psnr_of(run, renderer, some)])
    shutil.rmtree(snapshots.folder, ignore_errors=True)
    return {
        "capture": capture.name,
        "train_views": len(run.scene.train),
        "test_views": len(run.scene.test),
        "size": picture_size(run),
        "minutes": training_seconds(run.radiance) / 60,
        "peak_memory_gb": witness["peak_memory_gb"],
        "psnr": score.psnr,
        "ssim": score.ssim,
        "inside": score.inside,
        "curve": [json.loads(line) for line in run.curve.read_text(encoding="utf-8").splitlines()],
        "held_out": held_out,
        "commit": witness["commit"],
        "others": witness["others"],
    }


def picture_size(run: Run) -> str:
    """Of the first picture as it is trained on, width x height."""
    camera = run.scene.views[run.scene.train[0]].camera
    width, height = downscaled_size(camera, run.config.downscale)
    return f"{width} x {height}"


def row(result: dict[str, Any]) -> tuple[str, ...]:
    """A result's line of the table."""
    capture = next(of for of in CAPTURES if of.name == result["capture"])
    bars = [("", capture.bar, result["psnr"]), (" inside", capture.bar_inside, result["inside"])]
    bar = ", ".join(
        f"{asked:g} dB{where}: {'held' if scored is not None and scored >= asked else 'missed'}"
        for where, asked, scored in bars
        if asked is not None
    )
    return (
        capture.name,
        f"{result['train_views']} + {result['test_views']}",
        result["size"],
        f"{result['minutes']:.2f}",
        f"{result['curve'][-1]['step']:,}",
        f"{result['psnr']:.2f} dB",
        f"{result['ssim']:.3f}",
        "" if result["inside"] is None else f"{result['inside']:.2f} dB",
        "unknown" if result["peak_memory_gb"] is None else f"{result['peak_memory_gb']:.2f} GB",
        bar,
        cores_text(result["others"]),
    )


def chart(results: Sequence[dict[str, Any]]) -> str:
    """Held-out PSNR over training time where checkpoints were scored, thick; that of training rays, thin."""
    lines = []
    for colour, result in enumerate(results):
        if result["held_out"]:
            points = tuple((at / 60, psnr) for at, psnr in result["held_out"])
            lines.append(Line(result["capture"], points, colour, dots=True))
        rays = tuple((entry["seconds"] / 60, entry["psnr"]) for entry in result["curve"])
        lines.append(Line(result["capture"], rays, colour))
    return line_chart(lines, "minutes of training", "PSNR, dB (dots: held-out views; thin: training rays)")


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--captures", type=Path, help="folder with the captures, each in a folder of its name")
    parser.add_argument("--only", help="parts of names of captures, with commas between")
    parser.add_argument(
        "--checkpoints", type=int, default=0, help="times on the way at which held-out views are scored"
    )
    parser.add_argument("--minutes-factor", type=float, default=1.0, help="share of the minutes, for trials")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/fields"), help="where runs, scores and strips go")
    parser.add_argument("--again", action="store_true", help="train and score what is there already")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where fields_DEVICE.md and .svg go")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    options = arguments(given)
    device = open_device(CommonOptions(device=options.device))
    facts = facts_at_start(device, options.seed)
    captures, results, failed = wanted(options.only, options.captures), [], []
    for capture, folder in captures:
        minutes = capture.minutes * options.minutes_factor
        home = options.runs / f"{capture.name}_{minutes:g}min_seed{options.seed}_{device.type}"
        if options.again and home.exists():
            shutil.rmtree(home)
        file = home / "result.json"
        if not file.exists():
            try:
                write_json(file, run_capture(capture, folder, home, minutes, options))
            except UserError as error:
                failed.append(f"{capture.name}: {error}")
                continue
        results.append(json.loads(file.read_text(encoding="utf-8")))
    if results:
        facts |= {
            "commits of the runs": ", ".join(dict.fromkeys(result["commit"] for result in results)),
            "pictures": "to train + held out; PSNR and SSIM are of the held-out, `inside` of the pixels in their masks",
            "others": "what other programs did while training",
            "peak memory": "of the host, while training",
        }
        facts |= {of.name: of.note for of, _ in captures if of.note}
        text = "\n".join([*header("Fields over time", facts), *table(COLUMNS, [row(result) for result in results])])
        text += f"\n\n![PSNR over time](fields_{device.type}.svg)\n"
        print(text)
        write_text(options.results / f"fields_{device.type}.md", text)
        write_text(options.results / f"fields_{device.type}.svg", chart(results))
    if failed:
        raise UserError("; ".join(failed))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(f"fields.py: {error}") from error
