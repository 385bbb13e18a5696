"""`sanerf segment RUN --prompts PROMPTS.json`."""

import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sanerf.cli.console import (
    CommonOptions,
    optional,
    peak_memory_note,
    print_result,
    progress_bars,
    say,
)
from sanerf.cli.opened import load_trained
from sanerf.errors import UserError
from sanerf.peak_memory import peak_memory_gb

_WITHOUT_PROMPTS = ("run_folder", "remove", *(option.name for option in fields(CommonOptions)))
"""What `--remove` alone goes with; all other options say how prompts become objects."""


@dataclass(frozen=True)
class Segment(CommonOptions):
    """Carry prompts to every training view, decode a mask in each, and fuse them into 3D objects."""

    goes_on = True
    needs_less = "a run of smaller pictures (a larger `train --downscale`) needs less"

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = field(kw_only=True)
    """trained run folder"""
    prompts: Annotated[Path | None, optional("PROMPTS.json")] = None
    """prompts file: clicks, scribbles, boxes, masks and 3D points of each object; for masks:DIR names are enough"""
    add: bool = False
    """keep the run's objects: new ones come to them, and prompts of an object that is there to its earlier ones"""
    remove: Annotated[str | None, optional("NAME,NAME")] = None
    """objects, comma-separated, that the run shall forget; with --add those among the prompts start anew"""
    method: Literal["sanerf", "sa3d", "isrf"] = "sanerf"
    """sanerf, or a method it is compared with: sa3d (one view's mask, carried from view to view) or isrf (features)"""
    segmenter: str = "mini"
    """mini; sam:PATH, sam-hq:PATH or sam2:PATH, with a checkpoint file, a folder, a hub name or a name of `sanerf
    weights`; or masks:DIR for ready masks"""
    container: Literal["cache", "field"] = "cache"
    """where features come from: each view's own, cached; or a feature field that is learnt from them, once a segmenter,
    and renders them"""
    instant: bool = False
    """the masks' vote in place of a trained object field: there in seconds"""
    then_refine: bool = False
    """with --instant: once its answer is stored, an object field starts from it and takes its place"""
    refine: int = 0
    """times that each prompt's mask goes back to the decoder, as long as that believes in it more"""

    def run(self) -> None:
        began = time.monotonic()
        from sanerf.evaluation.baselines.segment import method_of
        from sanerf.prompts.check import check_prompts
        from sanerf.prompts.file import read_prompts
        from sanerf.run.add_objects import Addition, add_objects
        from sanerf.run.assessment import suggestion_in_words
        from sanerf.run.decoding import MASKS_PREFIX, MaskSource
        from sanerf.run.folder import open_run
        from sanerf.run.relink import check_photographs
        from sanerf.run.segment_run import segment_and_refine, segment_instantly, segment_run
        from sanerf.segmenter.load import check_segmenter

        if self.refine < 0:
            raise UserError(f"--refine should be 0 or more, not {self.refine}")
        removed = self._removed()
        if self.prompts is None:
            self._remove(removed)
            return
        if removed and not self.add:
            raise UserError("--remove goes alone or with --add; other objects than those of --prompts stay anyway")
        if self.then_refine and not self.instant:
            raise UserError("--then-refine goes on from the answer of --instant; ask for both")
        if self.then_refine and self.add:
            raise UserError("--then-refine refines what was asked at once; with --add leave it and --instant out")
        source = MaskSource(self.segmenter, self.container, self.refine)
        if self.method != "sanerf" and (self.add or self.instant):
            raise UserError(
                f"--method {self.method} answers in its own way; leave --add, --instant and --then-refine out"
            )
        source.check()
        ready = self.segmenter.startswith(MASKS_PREFIX)
        # All that is wrong with prompts and options, before the field and its kernels are loaded.
        run = open_run(self.run_folder)
        prompts = read_prompts(self.prompts, names_only=ready)
        try:
            check_prompts(prompts, run.scene)
        except UserError as error:
            raise UserError(f"{self.prompts}: {error}") from error
        if not ready:
            check_segmenter(self.segmenter)
            check_photographs(run)
        with progress_bars() as progress:
            opened = load_trained(run, self, with_objects=False)
            if self.add:
                addition = Addition(prompts, source, self.instant, removed)
                asked = add_objects(opened.run, opened.renderer, addition, seed=self.seed, progress=progress)
            else:
                ask = segment_and_refine if self.then_refine else segment_instantly if self.instant else segment_run
                if self.method != "sanerf":
                    ask = method_of(self.method)
                asked = ask(
                    opened.run,
                    opened.renderer,
                    prompts,
                    source,
                    seed=self.seed,
                    progress=progress,
                )
            answers, answered_after = [], []
            for answer in [asked] if isinstance(asked, tuple) else asked:
                answers.append(answer)
                answered_after.append(round(time.monotonic() - began, 2))
                if self.then_refine:
                    how = "voted" if len(answers) == 1 else "refined"
                    say(f"{how} answer stored in {answer[0].path} after {answered_after[-1]:.1f} s")
        segmentation, seconds = answers[-1]
        result = {
            "objects": list(segmentation.names),
            "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
            "predicted_iou": segmentation.predicted_iou,
            "suggested_clicks": segmentation.suggested_clicks,
            "answered_after": answered_after,
            "peak_memory_gb": peak_memory_gb(),
        }
        stages = ", ".join(f"{stage} {value:.1f} s" for stage, value in seconds.items())
        lines = [f"segmented {', '.join(segmentation.names)}: {stages} ({peak_memory_note()})"]
        for name in segmentation.names:
            click = suggestion_in_words(segmentation.suggested_clicks[name])
            lines.append(f"{name}: predicted IoU {segmentation.predicted_iou[name]:.2f}, {click}")
        print_result(self, result, lines)

    def _removed(self) -> tuple[str, ...]:
        """The names of `--remove`, each once."""
        if self.remove is None:
            return ()
        names = tuple(dict.fromkeys(name.strip() for name in self.remove.split(",")))
        if "" in names:
            raise UserError(f"--remove should be names with commas between them, not {self.remove!r}")
        return names

    def _remove(self, names: tuple[str, ...]) -> None:
        from sanerf.run.folder import open_run
        from sanerf.run.lock import run_lock
        from sanerf.run.segmentation import remove_objects

        if not names or self.add:
            raise UserError("sanerf segment needs --prompts; see `sanerf segment --help`")
        for option in fields(self):
            if option.name not in _WITHOUT_PROMPTS and getattr(self, option.name) != option.default:
                given = f"--{option.name.replace('_', '-')}"
                raise UserError(f"--remove without --prompts only lets objects go; {given} goes with --prompts")
        run = open_run(self.run_folder)
        with run_lock(run.path):
            remove_objects(run, names)
        print_result(self, {"removed": list(names)}, [f"removed {', '.join(names)}"])
