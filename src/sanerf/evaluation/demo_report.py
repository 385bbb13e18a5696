"""The demo's report: the clicks, what came of them, each object cut out and turned round, and the scores."""

from pathlib import Path

import torch

from sanerf.data.images import load_image
from sanerf.evaluation.report import Figure, Section, Table, animation_data_uri, image_data_uri
from sanerf.evaluation.run_evaluation import Scores
from sanerf.evaluation.run_report import ReportViews, write_run_report
from sanerf.export.cutouts import rgba_cutout
from sanerf.export.from_run import ObjectSource, ObjectSurface
from sanerf.export.isolate import render_orbit
from sanerf.prompts.file import ObjectPrompts, PromptSet
from sanerf.render.pictures import draw_clicks, to_bytes
from sanerf.run.segmentation import render_objects
from sanerf.run.views import run_cameras

ORBIT_FRAMES = 16
ORBIT_SIZE = 160


def write_demo_report(
    path: Path,
    prompts: PromptSet,
    *,
    sources: dict[str, ObjectSource],
    surfaces: dict[str, ObjectSurface],
    scores: Scores,
    pictures: ReportViews,
    seconds: dict[str, float],
) -> None:
    """Write the page beside the demo's other files; `sources` and `surfaces` by object name."""
    objects = []
    for entry in prompts.objects:
        objects += _object_figures(sources[entry.name], surfaces[entry.name], entry)
    stages = Table(("stage", "seconds"), tuple((stage, f"{value:.1f}") for stage, value in seconds.items()))
    sections = (
        Section(
            "From clicks to objects",
            "Each row: the photograph with that view's clicks (plus inside, minus outside), the object cut out of the "
            "same photograph, and the object alone, turned round in 3D.",
            figures=tuple(objects),
            columns=3,
        ),
        Section("Time", tables=(stages,)),
    )
    write_run_report(
        path,
        "sanerf: a table of objects, five of them clicked",
        scores,
        pictures,
        intro="A radiance field was trained on 60 posed pictures. One to three clicks an object were lifted to 3D by "
        "its depth, carried to every view, decoded into a mask in each, and fused into one object field. All scores "
        "are on 12 views that took no part in any of it.",
        sections=sections,
        footer="The scene was rendered for this project and is part of it; see recipes/bundled_scene.",
    )


def _object_figures(source: ObjectSource, surface: ObjectSurface, entry: ObjectPrompts) -> list[Figure]:
    run = source.run
    index = run.scene.view_index(entry.points_2d[0].view)
    view = run.scene.views[index]
    photo = load_image(view).numpy()
    clicks = [p for p in entry.points_2d if run.scene.view_index(p.view) == index]
    xy, labels = torch.tensor([p.xy for p in clicks]), torch.tensor([p.label for p in clicks])
    clicked = draw_clicks(photo, xy.numpy(), labels.numpy())
    rendered = render_objects(source.renderer, run_cameras(run)[index], [source.segmentation], run.background)
    cutout = rgba_cutout(photo, rendered.probability[entry.name].cpu().numpy(), crop_to_alpha=True)
    low, high = surface.box(margin=0.05)
    orbit = render_orbit(source, low=low, high=high, size=ORBIT_SIZE, frames=ORBIT_FRAMES)
    frames = [to_bytes(frame) for frame in orbit]
    count = sum(p.label == 1 for p in entry.points_2d)
    return [
        Figure(image_data_uri(clicked, longest_side=720), f"{entry.name}: {view.name}, {count} clicks in all views"),
        Figure(image_data_uri(cutout, "webp", longest_side=720), f"{entry.name}, cut out of the photograph"),
        Figure(animation_data_uri(frames, frames_per_second=8.0), f"{entry.name} alone, in 3D"),
    ]
