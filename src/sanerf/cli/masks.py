"""`sanerf masks SCENE --maps DIR [--objects FILE.json --out DIR]`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sanerf.cli.console import CommonOptions, optional, print_result
from sanerf.errors import UserError


@dataclass(frozen=True)
class Masks(CommonOptions):
    """Make masks of objects from a data set's instance maps; without --objects, list the values in the maps."""

    scene: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCENE")] = field(kw_only=True)
    """folder of the scene"""
    maps: Path = field(kw_only=True)
    """folder of instance maps: STEM.png, STEM.npy or STEM.hdf5, whole numbers as pixel values"""
    objects: Annotated[Path | None, optional("FILE.json")] = None
    """JSON file of the objects' values, {"chair": 12, "table": [3, 4]}, or 3D-FRONT's metadata"""
    out: Annotated[Path | None, optional("DIR")] = None
    """folder to write, for `evaluate --masks` and `segment --segmenter masks:`"""

    def run(self) -> None:
        from sanerf.data.instance_maps import list_instances, read_objects, write_object_masks
        from sanerf.data.load import load_scene

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
