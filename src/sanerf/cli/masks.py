"""`sanerf masks SCENE --maps DIR [--objects FILE.json --out DIR]` and `sanerf masks PHOTOS --everything --out DIR`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sanerf.cli.console import (
    CommonOptions,
    open_device,
    optional,
    peak_memory_note,
    print_result,
    progress_bars,
)
from sanerf.errors import UserError
from sanerf.peak_memory import peak_memory_gb

WRITER = "masks --everything"
"""The name in the folder that it writes, by which a later call knows it."""


@dataclass(frozen=True)
class Masks(CommonOptions):
    """Make masks of objects from a data set's instance maps, or, with --everything, of all that a segmenter finds."""

    scene: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCENE_OR_PHOTOS")] = field(kw_only=True)
    """folder of the scene; for --everything also a photograph or a folder of them"""
    maps: Annotated[Path | None, optional("DIR")] = None
    """folder of instance maps: STEM.png, STEM.npy or STEM.hdf5, whole numbers as pixel values; without --objects their
    values are listed"""
    objects: Annotated[Path | None, optional("FILE.json")] = None
    """for --maps: JSON file of the objects' values, {"chair": 12, "table": [3, 4]}, or 3D-FRONT's metadata"""
    out: Annotated[Path | None, optional("DIR")] = None
    """folder to write: with --objects for `evaluate --masks` and `segment --segmenter masks:`"""
    everything: bool = False
    """find the masks of everything in each photograph, by a grid of clicks: labels/, masks/ (JSON), overlays/ and
    index.html"""
    segmenter: Annotated[str | None, optional("SEGMENTER")] = None
    """for --everything: mini, sam:PATH, sam-hq:PATH or sam2:PATH (mini)"""
    points: Annotated[int | None, optional("N")] = None
    """for --everything: clicks along each side of the grid (mini 16, others 32)"""
    layers: Annotated[int | None, optional("N")] = None
    """for --everything: 1 looks at 4 parts of each photograph too, 2 at 16 more, for small things (0)"""
    iou: Annotated[float | None, optional("IOU")] = None
    """for --everything: predicted IoU above which a mask counts; less finds more and worse (the segmenter's own)"""
    stability: Annotated[float | None, optional("SCORE")] = None
    """for --everything: stability score from which a mask counts; less finds more and worse (the segmenter's own)"""
    duplicates: Annotated[float | None, optional("IOU")] = None
    """for --everything: of two masks with a higher IoU one goes (0.7)"""

    @property
    def goes_on(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.everything

    def run(self) -> None:
        if self.everything == (self.maps is not None):
            raise UserError("masks of what? Say either --maps DIR, for a data set's instance maps, or --everything")
        if self.everything:
            self._everything()
            return
        for name in ("segmenter", "points", "layers", "iou", "stability", "duplicates"):
            if getattr(self, name) is not None:
                raise UserError(f"--{name} goes with --everything, not with --maps")
        self._from_maps()

    def _everything(self) -> None:
        from dataclasses import replace

        from sanerf.data.photos import find_photos
        from sanerf.evaluation.everything_page import write_page
        from sanerf.export.everything_files import write_all
        from sanerf.files import check_folder, open_own_folder
        from sanerf.locks import file_lock
        from sanerf.segmenter.everything_config import preset
        from sanerf.segmenter.load import load_segmenter

        if self.out is None:
            raise UserError("--everything needs --out DIR, the folder to write")
        if self.objects is not None:
            raise UserError("--objects goes with --maps, not with --everything")
        self._check_numbers()
        with progress_bars() as progress:
            photos = find_photos(self.scene)
            check_folder(self.out, WRITER)
            segmenter = load_segmenter(self.segmenter or "mini", open_device(self))
            asked = {
                "points": self.points,
                "layers": self.layers,
                "predicted_iou": self.iou,
                "stability": self.stability,
                "duplicate_iou": self.duplicates,
            }
            given = {name: value for name, value in asked.items() if value is not None}
            config = replace(preset(segmenter), **given)
            open_own_folder(self.out, WRITER)
            with file_lock(self.out / ".masks.lock", f"writing into {self.out}"):
                done = write_all(
                    photos, segmenter, config, out=self.out, on_clicks=lambda *told: progress("clicks", *told)
                )
                page = write_page(self.out, segmenter, config)
        result = {
            "out": str(self.out),
            "page": str(page),
            "photos": [
                {"name": p.name, "masks": p.masks, "seconds": None if p.seconds is None else round(p.seconds, 2)}
                for p in done
            ],
            "peak_memory_gb": peak_memory_gb(),
        }
        lines = [
            f"{p.name}: {p.masks} mask{'s' * (p.masks != 1)}"
            + (" (there already)" if p.seconds is None else f", {p.seconds:.1f} s")
            for p in done
        ]
        print_result(self, result, [*lines, f"overlays: {page} ({peak_memory_note()})"])

    def _check_numbers(self) -> None:
        from sanerf.segmenter.everything_config import MOST_LAYERS, MOST_POINTS

        if self.points is not None and not 1 <= self.points <= MOST_POINTS:
            raise UserError(f"--points should be from 1 to {MOST_POINTS}, not {self.points}")
        if self.layers is not None and not 0 <= self.layers <= MOST_LAYERS:
            raise UserError(f"--layers should be from 0 to {MOST_LAYERS}, not {self.layers}")
        for name in ("iou", "stability", "duplicates"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UserError(f"--{name} should be from 0 to 1, not {value}")

    def _from_maps(self) -> None:
        from sanerf.data.instance_maps import list_instances, read_objects, write_object_masks
        from sanerf.data.load import load_scene

        assert self.maps is not None
        if (self.objects is None) != (self.out is None):
            raise UserError("--objects and --out go together: the objects to write masks of, and the folder for them")
        scene = load_scene(self.scene)
        if self.objects is None or self.out is None:
            instances = list_instances(self.maps, scene)
            result = {
                "instances": [
                    {
                        "value": instance.value,
                        "views": instance.views,
                        "view": scene.views[instance.example].name,
                        "pixels": instance.pixels,
                        "xy": list(instance.xy),
                    }
                    for instance in instances
                ]
            }
            lines = [
                f"value {entry['value']}: in {entry['views']} views, largest in {entry['view']} "
                f"({entry['pixels']} pixels, one of them at {entry['xy'][0]}, {entry['xy'][1]})"
                for entry in result["instances"]
            ]
            print_result(self, result, lines or [f"the maps in {self.maps} have no values above 0"])
            return
        seen = write_object_masks(self.maps, read_objects(self.objects), scene, self.out)
        lines = [f"{name}: in {views} views" for name, views in seen.items()]
        print_result(self, {"out": str(self.out), "objects": seen}, [*lines, f"masks: {self.out}"])
