"""`sanerf render RUN --views VIEWS --what WHAT --out DIR`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sanerf.cli.console import CommonOptions, peak_memory_gb, print_result, progress_bars
from sanerf.cli.opened import open_trained
from sanerf.errors import UserError


@dataclass(frozen=True)
class Render(CommonOptions):
    """Render pictures, depth, masks and overlays of a trained run."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = field(kw_only=True)
    """trained run folder"""
    out: Path = field(kw_only=True)
    """folder to write; one PNG a view in a folder for each of --what (depth also as .npy, along the camera's axis)"""
    views: str = "test"
    """test, train, all, or a JSON file of cameras"""
    what: str = "rgb"
    """comma-separated: rgb, depth, mask:NAME, overlay:NAME"""

    def run(self) -> None:
        from sanerf.data.camera_path import read_camera_path
        from sanerf.files import atomic_folder
        from sanerf.run.render_run import parse_outputs, write_outputs
        from sanerf.run.segment_run import run_cameras
        from sanerf.run.segmentation import find_object, render_objects

        with progress_bars() as progress:
            opened = open_trained(self.run_folder, self)
            run = opened.run
            outputs = parse_outputs(self.what)
            wanted = {name: find_object(opened.segmentations, name, run) for _, name in outputs if name}
            # Newest first, as `owners` wants them; each field is evaluated once for all its objects.
            segmentations = [s for s in opened.segmentations if s in wanted.values()]
            if self.views in ("test", "train", "all"):
                cameras = run_cameras(run)
                named = [(run.scene.output_stem(i), cameras[i]) for i in run.scene.split(self.views)]
            elif self.views.endswith(".json"):
                path = read_camera_path(Path(self.views), run.scene.world_from_file)
                named = [(f"{i:05d}", camera) for i, camera in enumerate(path)]
            else:
                raise UserError(f"--views should be test, train, all or a .json file of cameras, not {self.views!r}")
            if not named:
                raise UserError(f"{self.run_folder} has no {self.views} views")
            with atomic_folder(self.out) as folder:
                for done, (stem, camera) in enumerate(named, start=1):
                    rendered = render_objects(opened.renderer, camera, segmentations, run.background)
                    write_outputs(folder, stem, rendered, outputs, run.scene.world_from_file.scale)
                    progress("render", done, len(named))
        memory = peak_memory_gb()
        result = {"out": str(self.out), "views": len(named), "peak_memory_gb": round(memory, 2)}
        print_result(self, result, [f"rendered {len(named)} views into {self.out} (peak memory {memory:.1f} GB)"])
