"""Make the README's picture from a finished demo: `python recipes/readme_picture.py demo docs/images/demo.jpg`."""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sanerf.data.images import load_image
from sanerf.export.from_run import ObjectSource, object_surfaces
from sanerf.export.isolate import isolated_renderer, orbit_cameras
from sanerf.kernels.backend import kernels_for
from sanerf.prompts.file import read_prompts
from sanerf.render.images import render_image
from sanerf.render.pictures import OKABE_ITO, draw_clicks, overlay_mask, to_bytes
from sanerf.run.folder import load_renderer, open_run
from sanerf.run.segmentation import load_segmentations, render_objects
from sanerf.run.views import run_cameras

VIEW = "test_003.jpg"
CLICKED = "train_032.jpg"
ALONE = ("teapot", "ring")
HEIGHT = 360


def main() -> None:
    demo, out = Path(sys.argv[1]), Path(sys.argv[2])
    device = torch.device("cpu")
    kernels = kernels_for("auto", device)
    run = open_run(demo / "run")
    renderer = load_renderer(run, kernels, device)
    segmentation = load_segmentations(run, kernels, device)[0]
    prompts = read_prompts(Path("src/sanerf/assets/table_scene/prompts.json"))

    clicks = [p for entry in prompts.objects for p in entry.points_2d if p.view == CLICKED]
    photo = load_image(run.scene.views[run.scene.view_index(CLICKED)]).numpy()
    clicked = draw_clicks(photo, np.array([p.xy for p in clicks]), np.array([p.label for p in clicks]))

    camera = run_cameras(run)[run.scene.view_index(VIEW)]
    rendered = render_objects(renderer, camera, [segmentation], run.background)
    found = to_bytes(rendered.image.rgb)
    for name, colour in zip(rendered.margin, OKABE_ITO.values(), strict=False):
        found = overlay_mask(found, rendered.mask(name).numpy(), colour=colour)

    surfaces = object_surfaces(run, renderer, segmentation=segmentation, names=ALONE, progress=lambda *_: None)
    alone = []
    for name, surface in surfaces.items():
        low, high = surface.box(margin=0.05)
        isolated = isolated_renderer(ObjectSource(run, renderer, segmentation, name), low=low, high=high)
        around = orbit_cameras(((low + high) / 2).double(), float((high - low).norm()) / 2, size=HEIGHT, frames=8)
        alone.append(to_bytes(render_image(isolated, around[2], background=(0.92, 0.92, 0.92)).rgb))
    picture = np.concatenate([clicked, found, *alone], axis=1)
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(out, quality=88)


if __name__ == "__main__":
    main()
