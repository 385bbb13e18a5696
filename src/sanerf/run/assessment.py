"""What a segmentation is told of itself before it is stored: how good each object is expected to be, and where a user's
next click would mend most. As JSON, in the words of PROMPTS.json: views by name, pixels of the image file."""

from typing import Any

from sanerf.aggregate.identities import IdentityLogits
from sanerf.aggregate.predicted_iou import predict_iou
from sanerf.aggregate.ray_bank import RayBank, thinned_bank
from sanerf.aggregate.revise import render_identities
from sanerf.aggregate.suggest import SuggestedClick, inside_clicks, suggest_in_views
from sanerf.aggregate.uncertainty import object_in_views
from sanerf.aggregate.view_masks import Prompting, ViewMasks
from sanerf.geometry.cameras import Camera
from sanerf.prompts.file import ObjectPrompts, PromptSet
from sanerf.run.folder import Run
from sanerf.run.views import training_cameras

_RAYS = 100_000
"""At most so many rays are rendered for it."""


def assess(
    run: Run,
    field: IdentityLogits,
    *,
    rays: RayBank,
    masks: ViewMasks,
    prompts: PromptSet,
    prompting: Prompting | None,
) -> dict[str, Any]:
    """The entries "predicted_iou", "predicted_iou_views" and "suggested_clicks" of `segmentation.json`, by object name,
    the second then by the stem of the view (docs/uncertainty.md).

    `masks` are those that the field was made of, and `prompting` is what the decoder was asked, if there was one. A
    click is null where nothing is expected to be wrong.
    """
    cameras, rendered = training_cameras(run), render_identities(field, thinned_bank(rays, _RAYS))
    inside = {} if prompting is None else {entry.name: inside_clicks(entry, prompting) for entry in prompting.lifted}
    predicted, of_views, clicks = {}, {}, {}
    for index, entry in enumerate(prompts.objects, start=1):
        views = object_in_views(rendered, masks, index=index, name=entry.name)
        prediction = predict_iou(views)
        predicted[entry.name] = round(prediction.iou, 4)
        of_views[entry.name] = {
            run.scene.output_stem(view): round(iou, 4) for view, iou in sorted(prediction.views.items())
        }
        clicked = _clicked(run, entry, cameras)
        click = suggest_in_views(
            views, name=entry.name, cameras=cameras, clicked=clicked, inside=inside.get(entry.name)
        )
        clicks[entry.name] = None if click is None else click_to_json(run, click, cameras[click.view])
    return {"predicted_iou": predicted, "predicted_iou_views": of_views, "suggested_clicks": clicks}


def click_to_json(run: Run, click: SuggestedClick, camera: Camera) -> dict[str, Any]:
    """A click as an entry of "points" in PROMPTS.json, with "expected_error" beside it: pixels of the image file that
    are expected to be wrong about it."""
    of_view = run.scene.views[click.view]
    across, down = of_view.camera.width / camera.width, of_view.camera.height / camera.height
    return {
        "view": of_view.name,
        "xy": [round(click.x * across, 1), round(click.y * down, 1)],
        "label": click.label,
        "expected_error": round(click.expected_error * across * down, 1),
    }


def suggestion_in_words(click: dict[str, Any] | None) -> str:
    """A suggested click for a line of text."""
    if click is None:
        return "no click is worth while"
    x, y = click["xy"]
    believed = "part of it" if click["label"] else "none of it"
    return f"best clicked next in {click['view']} at ({x:g}, {y:g}), now taken for {believed}"


def _clicked(run: Run, entry: ObjectPrompts, cameras: dict[int, Camera]) -> list[tuple[int, float, float]]:
    """The user's clicks on training views, in pixels of their cameras."""
    out = []
    for point in entry.points_2d:
        view = run.scene.view_index(point.view)
        if view in cameras:
            of_file, of_run = run.scene.views[view].camera, cameras[view]
            out.append((view, point.xy[0] * of_run.width / of_file.width, point.xy[1] * of_run.height / of_file.height))
    return out
