"""`sanerf evaluate RUN [--masks DIR --name NAME]`."""

from dataclasses import dataclass, field
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
from sanerf.cli.opened import open_trained
from sanerf.errors import UserError
from sanerf.peak_memory import peak_memory_gb


@dataclass(frozen=True)
class Evaluate(CommonOptions):
    """Score rendered views against photographs, and objects against true masks; writes report.html into the run."""

    needs_less = "a run of smaller pictures (a larger `train --downscale`) needs less"

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = field(kw_only=True)
    """trained run folder"""
    masks: Annotated[Path | None, optional("DIR")] = None
    """folder of true masks: DIR/NAME/STEM.png, or DIR/STEM.png for one object"""
    name: Annotated[str | None, optional("NAME")] = None
    """the object to score; by default all of the run's that have a folder in --masks"""
    views: Literal["test", "train", "all"] = "test"
    """which views to score"""
    alone: Literal["no", "rendering", "photograph"] = "no"
    """score the decoder alone, too: the objects' prompts decoded in each view by itself, in its rendering or its
    photograph"""
    report: Annotated[Path | None, optional("PATH.html")] = None
    """where to write the HTML report; by default report.html in the run folder"""

    def run(self) -> None:
        from sanerf.evaluation.baselines.sam_views import stored_decoder_alone
        from sanerf.evaluation.run_evaluation import ScoredView, TrueMasks, evaluate_run, scores_to_json
        from sanerf.evaluation.run_report import ReportViews, scores_table, write_run_report
        from sanerf.files import check_file
        from sanerf.run.segmentation import find_object, owners

        if self.report is not None:
            # Before the minutes that scoring takes.
            check_file(self.report)
        with progress_bars() as progress:
            opened = open_trained(self.run_folder, self, photographs=True)
            views = opened.run.scene.split(self.views)
            if not views:
                raise UserError(f"{self.run_folder} has no {self.views} views to score; try --views train")
            if self.name is not None:
                find_object(opened.segmentations, self.name, opened.run)
            if self.name is not None and self.masks is None:
                raise UserError("--name needs --masks, the folder of true masks to score it against")
            if self.alone != "no" and self.masks is None:
                raise UserError("--alone needs --masks, the folder of true masks to score the decoder against")
            names: list[str] = []
            if self.masks is not None:
                if not self.masks.is_dir():
                    raise UserError(f"there is no masks folder {self.masks}")
                known = sorted(owners(opened.segmentations))
                if not known:
                    raise UserError(f"{self.run_folder} has no objects yet: run `sanerf segment` first")
                names = [self.name] if self.name else [n for n in known if (self.masks / n).is_dir()]
                if not names and len(known) == 1:
                    names = known
                if not names:
                    raise UserError(f"{self.masks} has no folder for any of the run's objects: {', '.join(known)}")
            alone = None
            if self.alone != "no":
                alone = stored_decoder_alone(opened.run, opened.renderer, opened.segmentations, names, self.alone)
            pictures = ReportViews(most=8)

            def on_view(scored: ScoredView) -> None:
                pictures.add(opened.run, scored)
                progress("evaluate", pictures.seen, len(views))

            scores = evaluate_run(
                opened.run,
                opened.renderer,
                segmentations=opened.segmentations,
                views=views,
                true_masks=TrueMasks(self.masks, tuple(names)) if self.masks is not None else None,
                alone=alone,
                on_view=on_view,
            )
            report = self.report or self.run_folder / "report.html"
            write_run_report(report, f"Evaluation of {self.run_folder.name}", scores, pictures)
        result = {**scores_to_json(scores), "report": str(report), "peak_memory_gb": peak_memory_gb()}
        say(f"report: {report} ({peak_memory_note()})")
        print_result(self, result, scores_table(scores))
