"""The pictures of a suggested click: the photograph with it, and a heat map of how unsure the object is there."""

from pathlib import Path

import numpy as np

from sanerf.aggregate.uncertainty import belief_in, contradicted
from sanerf.files import write_png
from sanerf.render.images import Renderer
from sanerf.render.pictures import draw_clicks, overlay_heat, overlay_mask
from sanerf.run.folder import Run
from sanerf.run.kept_masks import read_masks
from sanerf.run.segmentation import Segmentation, render_objects
from sanerf.run.views import run_cameras, run_image
from sanerf.segmenter.regions import mask_iou


def write_suggestion(folder: Path, run: Run, renderer: Renderer, segmentation: Segmentation, name: str) -> None:
    """Write FOLDER/click.png and FOLDER/uncertainty.png for an object that has a suggested click.

    The mask that the decoder gave in that view counts where it contradicts the field, as when the click was chosen.
    """
    click = segmentation.suggested_clicks[name]
    assert click is not None, name
    view = run.scene.view_index(click["view"])
    camera, of_file = run_cameras(run)[view], run.scene.views[view].camera
    rendered = render_objects(renderer, camera, [segmentation], run.background)
    probability = rendered.object_probability(name).cpu()
    mask = read_masks(segmentation, [name], run.scene, {view: camera}).get(view, {}).get(name)
    errors = rendered.wrong_probability(name).cpu()
    if mask is not None:
        agreement = float(mask_iou((probability > 0.5)[None], mask.probability > 0.5))
        errors = contradicted(probability, mask.probability, belief_in(mask, agreement))
    scale = np.array([camera.width / of_file.width, camera.height / of_file.height])
    xy, labels = np.array([click["xy"]]) * scale, np.array([click["label"]])
    photo = run_image(run, view).numpy()
    outlined = overlay_mask(photo, rendered.mask(name).numpy(), fill=0.2)
    write_png(folder / "click.png", draw_clicks(outlined, xy, labels))
    write_png(folder / "uncertainty.png", overlay_heat(photo, errors.numpy()))
