"""`sanerf export RUN --name NAME --format FORMAT --out PATH`."""

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
)
from sanerf.cli.opened import open_trained
from sanerf.errors import UserError
from sanerf.peak_memory import peak_memory_gb

DEFAULT_RESOLUTION = 192


@dataclass(frozen=True)
class Export(CommonOptions):
    """Get an object out: masks, cut-outs on the original photos, a point cloud, or a mesh."""

    needs_less = "a run of smaller pictures (a larger `train --downscale`) needs less"

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = field(kw_only=True)
    """trained run folder with segmented objects"""
    name: str = field(kw_only=True)
    """the object"""
    format: Literal["masks", "rgba", "points", "mesh"] = field(kw_only=True)
    """masks and rgba: a folder of PNGs; points: a .ply; mesh: a .ply, .glb or .obj"""
    out: Path = field(kw_only=True)
    """folder or file to write"""
    views: Literal["test", "train", "all"] = "all"
    """which views, for masks and rgba"""
    edges: Annotated[Literal["hard", "soft"] | None, optional("hard|soft")] = None
    """masks and rgba: object or not, or in how large a part of each of the photograph's pixels; default: soft for
    rgba, hard for masks"""
    resolution: int = DEFAULT_RESOLUTION
    """cells along the mesh's longest side"""

    def run(self) -> None:
        from sanerf.export.cutouts import check_masks_folder, write_masks
        from sanerf.export.from_run import (
            ObjectSource,
            ObjectSurface,
            export_mesh,
            export_points,
            export_views,
            object_surfaces,
            view_alpha,
            view_cutout,
            view_mask,
        )
        from sanerf.export.lattice import check_resolution
        from sanerf.export.mesh import load_marching_cubes
        from sanerf.export.mesh_files import check_mesh_ending, write_mesh
        from sanerf.export.points import check_points_ending, write_points
        from sanerf.files import check_file, check_folder, shared_folder, write_png
        from sanerf.run.segmentation import find_object

        # Before the minutes that rendering takes.
        if self.edges is not None and self.format not in ("masks", "rgba"):
            raise UserError(f"--edges is for --format masks and rgba, not for {self.format}")
        if self.views != "all" and self.format not in ("masks", "rgba"):
            raise UserError(f"--views is for --format masks and rgba, not for {self.format}")
        if self.resolution != DEFAULT_RESOLUTION and self.format != "mesh":
            raise UserError(f"--resolution is for --format mesh, not for {self.format}")
        if self.resolution < 8:
            raise UserError(f"--resolution should be at least 8, not {self.resolution}")
        if self.format == "mesh":
            check_resolution(self.resolution)
            check_mesh_ending(self.out)
            load_marching_cubes()
        elif self.format == "points":
            check_points_ending(self.out)
        # One folder holds the cut-outs of one object, as their files are named after the views alone.
        cutouts = f"export --format rgba --name {self.name}"
        if self.format == "masks":
            check_masks_folder(self.out, self.name)
        elif self.format == "rgba":
            check_folder(self.out, cutouts)
        else:
            check_file(self.out)
        edges = self.edges or ("soft" if self.format == "rgba" else "hard")
        with progress_bars() as progress:
            opened = open_trained(self.run_folder, self, photographs=edges == "soft" or self.format == "rgba")
            segmentation = find_object(opened.segmentations, self.name, opened.run)
            source = ObjectSource(opened.run, opened.renderer, segmentation, self.name)
            scene = opened.run.scene

            def surface() -> ObjectSurface:
                found = object_surfaces(
                    opened.run, opened.renderer, segmentation=segmentation, names=[self.name], progress=progress
                )
                return found[self.name]

            views = scene.split(self.views)
            if self.format == "masks":
                mask_of = view_alpha if edges == "soft" else view_mask
                pairs = (
                    (scene.output_stem(i), mask_of(source, i, rendered))
                    for i, rendered in export_views(source, views, progress=progress)
                )
                what = f"{len(views)} masks in {write_masks(self.out, self.name, pairs)}"
            elif self.format == "rgba":
                with shared_folder(self.out, cutouts) as folder:
                    for i, rendered in export_views(source, views, progress=progress):
                        write_png(folder / f"{scene.output_stem(i)}.png", view_cutout(source, i, rendered, edges))
                what = f"{len(views)} cut-outs in {self.out}"
            elif self.format == "points":
                cloud = export_points(source, surface())
                write_points(self.out, cloud)
                what = f"{len(cloud)} points in {self.out}"
            else:
                mesh = export_mesh(source, surface(), resolution=self.resolution)
                write_mesh(self.out, mesh)
                what = f"{len(mesh.vertices)} vertices and {len(mesh.faces)} faces in {self.out}"
        result = {"name": self.name, "format": self.format, "out": str(self.out), "peak_memory_gb": peak_memory_gb()}
        print_result(self, result, [f"exported {self.name}: {what} ({peak_memory_note()})"])
