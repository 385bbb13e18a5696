"""`sanerf render RUN --views VIEWS --what WHAT --out DIR`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from sanerf.cli.console import CommonOptions, peak_memory_note, print_result, progress_bars
from sanerf.cli.opened import load_trained
from sanerf.errors import UserError
from sanerf.peak_memory import peak_memory_gb

if TYPE_CHECKING:
    from sanerf.geometry.cameras import Camera
    from sanerf.run.folder import Run

WRITER = "render"
"""The name in the folder that it writes, by which a later call knows it."""


@dataclass(frozen=True)
class Render(CommonOptions):
    """Render pictures, depth, masks and overlays of a trained run."""

    needs_less = "smaller pictures need less: of a PATH.json its w and h, else `--size run` (`train --downscale`)"

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = field(kw_only=True)
    """trained run folder"""
    out: Path = field(kw_only=True)
    """folder to write; one PNG a view in a folder for each of --what (depth also as .npy, along the camera's axis)"""
    views: str = "test"
    """test, train, all, or a JSON file of cameras"""
    what: str = "rgb"
    """comma-separated: rgb, depth, unknown (where no mask has looked), mask:NAME, overlay:NAME, uncertainty,
    uncertainty:NAME"""
    size: Literal["run", "photo"] = "run"
    """of views of the scene: that of the pictures the run was trained on, or that of the photographs themselves"""

    def run(self) -> None:
        from sanerf.files import check_folder, shared_folder
        from sanerf.run.folder import open_run
        from sanerf.run.render_run import known_to_masks, parse_outputs, write_outputs
        from sanerf.run.segmentation import find_object, render_objects

        # Before the field is loaded.
        outputs = parse_outputs(self.what)
        check_folder(self.out, WRITER)
        run = open_run(self.run_folder)
        named = self._cameras(run)
        with progress_bars() as progress:
            opened = load_trained(run, self)
            wanted = {name: find_object(opened.segmentations, name, run) for _, name in outputs if name}
            # Newest first, as `owners` wants them; each field is evaluated once for all its objects.
            segmentations = [s for s in opened.segmentations if s in wanted.values()]
            if ("uncertainty", "") in outputs:
                if not opened.segmentations:
                    raise UserError(f"{self.run_folder} has no object to be unsure of: run `sanerf segment` first")
                segmentations = opened.segmentations
            known = known_to_masks(opened.segmentations, run) if ("unknown", "") in outputs else None
            with shared_folder(self.out, WRITER) as folder:
                for done, (stem, camera) in enumerate(named, start=1):
                    rendered = render_objects(opened.renderer, camera, segmentations, run.background, known)
                    write_outputs(folder, stem, rendered, outputs, run.scene.world_from_file.scale)
                    progress("render", done, len(named))
        result = {"out": str(self.out), "views": len(named), "peak_memory_gb": peak_memory_gb()}
        print_result(self, result, [f"rendered {len(named)} views into {self.out} ({peak_memory_note()})"])

    def _cameras(self, run: "Run") -> "list[tuple[str, Camera]]":
        """The cameras of --views and the stems of their files."""
        from sanerf.data.camera_path import read_camera_path
        from sanerf.run.views import run_cameras

        if self.views.endswith(".json"):
            if self.size == "photo":
                raise UserError(f"--size photo is for views of the scene; {self.views} says the size of its own")
            path = read_camera_path(Path(self.views), run.scene.world_from_file)
            return [(f"{i:05d}", camera) for i, camera in enumerate(path)]
        if self.views not in ("test", "train", "all"):
            raise UserError(f"--views should be test, train, all or a .json file of cameras, not {self.views!r}")
        cameras = [view.camera for view in run.scene.views] if self.size == "photo" else run_cameras(run)
        named = [(run.scene.output_stem(i), cameras[i]) for i in run.scene.split(self.views)]
        if not named:
            raise UserError(f"{self.run_folder} has no {self.views} views")
        return named
