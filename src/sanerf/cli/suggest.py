"""`sanerf suggest RUN [--name NAME]`."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sanerf.cli.console import CommonOptions, optional, print_result, progress_bars
from sanerf.cli.opened import open_trained
from sanerf.errors import UserError

WRITER = "suggest"
"""The name in the folder that it writes, by which a later call knows it."""


@dataclass(frozen=True)
class Suggest(CommonOptions):
    """Say where the next click on each object would mend most, to be pasted into PROMPTS.json."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = field(kw_only=True)
    """run folder with segmented objects"""
    name: Annotated[str | None, optional("NAME")] = None
    """the object; by default all"""
    out: Annotated[Path | None, optional("DIR")] = None
    """folder to write the pictures to: NAME/click.png, the photograph with the click, and NAME/uncertainty.png"""

    def run(self) -> None:
        from sanerf.files import check_folder, shared_folder
        from sanerf.run.assessment import suggestion_in_words
        from sanerf.run.segmentation import find_object, owners
        from sanerf.run.suggestion_pictures import write_suggestion

        if self.out is not None:
            check_folder(self.out, WRITER)
        opened = open_trained(self.run_folder, self, photographs=self.out is not None)
        owner = owners(opened.segmentations)
        if self.name is not None:
            owner = {self.name: find_object(opened.segmentations, self.name, opened.run)}
        if not owner:
            raise UserError(f"{self.run_folder} has no objects yet: run `sanerf segment` first")
        for name, segmentation in owner.items():
            if name not in segmentation.suggested_clicks:
                raise UserError(
                    f"{name!r} was segmented by an older sanerf, which suggested no click; segment it again"
                )
        clicks = {name: segmentation.suggested_clicks[name] for name, segmentation in owner.items()}
        predicted = {name: segmentation.predicted_iou[name] for name, segmentation in owner.items()}
        of_views = {name: segmentation.predicted_iou_views.get(name, {}) for name, segmentation in owner.items()}
        if self.out is not None:
            with progress_bars() as progress, shared_folder(self.out, WRITER) as folder:
                for done, (name, segmentation) in enumerate(owner.items(), start=1):
                    if clicks[name] is not None:
                        write_suggestion(folder / name, opened.run, opened.renderer, segmentation, name)
                    progress("draw", done, len(owner))
        lines = []
        for name, click in clicks.items():
            lines.append(f"{name}: predicted IoU {predicted[name]:.2f}, {suggestion_in_words(click)}")
            if click is not None:
                lines.append("  " + json.dumps({key: click[key] for key in ("view", "xy", "label")}))
        result = {"predicted_iou": predicted, "predicted_iou_views": of_views, "suggested_clicks": clicks}
        print_result(self, result, lines)
