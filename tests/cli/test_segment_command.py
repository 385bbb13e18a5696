"""`sanerf segment`: the prompts it keeps, and what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
from command_process import assert_refused, files
from command_stage import HEIGHT, VIEWS, WIDTH, stage_camera, write_prompts
from PIL import Image

from analytic_scene import cast
from sanerf.prompts.file import PaintedScribble, read_prompts


def test_the_prompts_are_kept_with_what_came_of_them(segmented, tmp_path):
    record = json.loads((segmented.run / "segmentations" / "001" / "segmentation.json").read_text())
    (tmp_path / "kept.json").write_text(json.dumps(record["prompts"]))
    assert read_prompts(tmp_path / "kept.json") == read_prompts(segmented.prompts)


def test_drawn_prompts_are_kept_as_copies_that_outlive_the_files(segmented, sanerf, tmp_path):
    """The record, laid beside the copies, is a prompts file of the same pixels after the user's own are gone."""
    run, drawn = shutil.copytree(segmented.run, tmp_path / "run"), tmp_path / "drawn"
    drawn.mkdir()
    stroke = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    stroke[HEIGHT - 3, 4:20] = 128
    Image.fromarray(stroke).save(drawn / "stroke.bmp")
    rough = np.zeros((2 * HEIGHT, 2 * WIDTH), dtype=np.uint8)
    rough[10:30, 20:40] = 200
    Image.fromarray(rough).convert("RGB").save(drawn / "a mask.png")
    line = {"view": "9.png", "xy": [[14, 10], [18, 10]], "label": 1}
    painted = {"view": "9.png", "path": "stroke.bmp", "label": 0}
    mask = {"view": "9.png", "path": "a mask.png"}
    objects = [{"name": "ball", "scribbles": [line, painted], "masks": [mask]}]
    (drawn / "prompts.json").write_text(json.dumps({"objects": objects}))
    ended = sanerf(
        "segment", run, "--prompts", drawn / "prompts.json", "--segmenter", f"masks:{segmented.masks}", "--json"
    )
    assert ended.code == 0, ended.err
    shutil.rmtree(drawn)
    made = run / "segmentations" / "002"
    record = json.loads((made / "segmentation.json").read_text())
    objects[0]["scribbles"][1]["path"] = "prompts/ball/scribbles_1.png"
    objects[0]["masks"][0]["path"] = "prompts/ball/masks_0.png"
    assert record["prompts"] == {"objects": objects}
    (made / "again.json").write_text(json.dumps(record["prompts"]))
    (kept,) = read_prompts(made / "again.json").objects
    assert isinstance(kept.scribbles[1], PaintedScribble)
    for path, drawn_in in ((kept.scribbles[1].path, stroke), (kept.masks[0].path, rough)):
        assert path.is_relative_to(made)
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.where(drawn_in > 127, 255, 0))


def test_prompts_that_cannot_be_used_are_refused_and_leave_the_run_as_it_was(segmented, sanerf, tmp_path):
    before = files(segmented.run / "segmentations")
    masks = ("--segmenter", f"masks:{segmented.masks}")

    def refused(prompts: Path, message: str, *options: object) -> None:
        assert_refused(sanerf("segment", segmented.run, "--prompts", prompts, *options), message)
        assert files(segmented.run / "segmentations") == before

    refused(tmp_path / "none.json", "there is no prompts file", *masks)
    (tmp_path / "broken.json").write_text('{"objects": [')
    refused(tmp_path / "broken.json", "is no JSON", *masks)
    outside = write_prompts(tmp_path / "outside.json", xy=[32.0, 10.0])
    refused(outside, r"'ball': the click at \(32\.0, 10\.0\) is outside of 9\.png, which has 32 x 24", *masks)
    unknown = write_prompts(tmp_path / "unknown.json", view="42.png")
    refused(unknown, r"'ball': there is no view '42\.png' .*; its views are called 0\.png, 1\.png", *masks)
    refused(segmented.prompts, "there is no masks folder", "--segmenter", f"masks:{tmp_path / 'nowhere'}")
    refused(segmented.prompts, "no folder 'ball'", "--segmenter", f"masks:{tmp_path}")
    refused(segmented.prompts, "abacus", "--segmenter", "abacus")


def test_prompts_and_segmenters_are_refused_before_the_field_and_its_kernels_are_loaded(
    stage, sanerf, tmp_path, monkeypatch
):
    def load(*_: object, **__: object) -> None:
        raise AssertionError("the run was loaded")

    monkeypatch.setattr("sanerf.cli.segment.load_trained", load)
    (tmp_path / "broken.json").write_text('{"objects": [')
    assert_refused(sanerf("segment", stage.run, "--prompts", tmp_path / "broken.json"), "is no JSON")
    unknown = write_prompts(tmp_path / "unknown.json", view="42.png")
    assert_refused(
        sanerf("segment", stage.run, "--prompts", unknown), r"unknown\.json: object 'ball': there is no view"
    )
    asked = ("segment", stage.run, "--prompts", stage.prompts)
    assert_refused(sanerf(*asked, "--segmenter", "mimi"), "unknown segmenter 'mimi'")
    assert_refused(sanerf(*asked, "--segmenter", "sam:none.pth"), "there is no file 'none.pth'")
    assert "the run was loaded" in sanerf(*asked).err


def test_where_masks_are_ready_names_are_enough(stage, sanerf, tmp_path):
    run = shutil.copytree(stage.run, tmp_path / "run")
    (tmp_path / "names.json").write_text(json.dumps({"objects": [{"name": "ball"}, {"name": "wall"}]}))
    command = ("segment", run, "--prompts", tmp_path / "names.json")
    assert_refused(sanerf(*command), r"names\.json: object 'ball' has no prompt")
    ended = sanerf(*command, "--segmenter", f"masks:{stage.masks}", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["objects"] == ["ball", "wall"]
    record = json.loads((run / "segmentations" / "001" / "segmentation.json").read_text())
    assert record["prompts"] == {"objects": [{"name": "ball"}, {"name": "wall"}]}


def test_scribbles_and_masks_that_cannot_be_used_are_refused(segmented, sanerf, tmp_path):
    before = files(segmented.run / "segmentations")
    for name, shape in {"empty": (HEIGHT, WIDTH), "tall": (WIDTH, HEIGHT)}.items():
        Image.fromarray(np.full(shape, 255 * (name == "tall"), dtype=np.uint8)).save(tmp_path / f"{name}.png")

    def refused(message: str, *options: object, **prompts: object) -> None:
        (tmp_path / "drawn.json").write_text(json.dumps({"objects": [{"name": "ball", **prompts}]}))
        ended = sanerf("segment", segmented.run, "--prompts", tmp_path / "drawn.json", *options)
        assert_refused(ended, message)
        assert files(segmented.run / "segmentations") == before

    line = {"view": "9.png", "xy": [[16, 10], [40, 10]], "label": 1}
    refused(r"'ball': the scribble's corner at \(40\.0, 10\.0\) is outside of 9\.png", scribbles=[line])
    for key, more in (("scribbles", {"label": 1}), ("masks", {})):

        def painted(path: str, view: str = "9.png", key=key, more=more) -> dict[str, list]:
            return {key: [{"view": view, "path": path, **more}]}

        refused(r"drawn\.json: object 'ball': the picture .*none\.png cannot be read", **painted("none.png"))
        refused(r"drawn\.json: .*tall\.png is 24x32, another shape", **painted("tall.png"))
        refused("empty.png is empty", **painted("empty.png"))
        refused("no view '42.png'", **painted("tall.png", "42.png"))
    point = [{"xyz": [0, 0, 0], "label": 1}]
    refused("--refine should be 0 or more, not -1", "--refine", -1, points=point)
    masks = f"masks:{segmented.masks}"
    refused("--refine gives masks back to a decoder; .* has none", "--segmenter", masks, "--refine", 1, points=point)


def test_a_click_on_empty_space_is_refused_before_anything_is_encoded(stage, sanerf, tmp_path):
    run = shutil.copytree(stage.run, tmp_path / "run")
    # The wall, cut where its cube ends, leaves the picture's corners empty in the view from above and aside.
    empty = np.argwhere(~np.isfinite(cast(stage_camera(*VIEWS[7]))[0].reshape(HEIGHT, WIDTH).numpy()))
    row, column = (float(value) + 0.5 for value in empty[0])
    sky = write_prompts(tmp_path / "sky.json", view="7.png", xy=[column, row])
    document = json.loads(sky.read_text())
    # Boxes are decoded, so their view is encoded: one that comes first must wait for the click, too.
    boxed = {"name": "box", "boxes": [{"view": "9.png", "xyxy": [8.0, 2.0, 24.0, 18.0]}]}
    for objects in (document["objects"], [boxed, *document["objects"]]):
        sky.write_text(json.dumps({"objects": objects}))
        ended = sanerf("segment", run, "--prompts", sky)
        assert_refused(ended, r"the click at .* in 7\.png is on empty space")
        assert files(run / "features") == [] and not (run / "segmentations").exists()
