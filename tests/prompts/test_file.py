"""PROMPTS.json: what is read, what is written back, and which sentence a wrong file gets."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sanerf.data.scene import Scene, View
from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera
from sanerf.geometry.transforms import IDENTITY
from sanerf.prompts.check import check_prompts
from sanerf.prompts.file import (
    BoxPrompt,
    LineScribble,
    MaskPrompt,
    ObjectPrompts,
    PaintedScribble,
    PointPrompt2D,
    PointPrompt3D,
    PromptSet,
    read_prompts,
    write_prompts,
)

CONTRACT = """
{"objects": [{"name": "cape",
              "points": [{"view": "IMG_5870.jpg", "xy": [512.0, 330.5], "label": 1},
                         {"view": "IMG_5870.jpg", "xy": [80.0, 900.0], "label": 0},
                         {"xyz": [0.1, 0.2, 0.3], "label": 1}],
              "boxes":  [{"view": "IMG_5870.jpg", "xyxy": [100, 120, 800, 900]}],
              "text":   "golden cape"}]}
"""
CAPE = ObjectPrompts(
    "cape",
    (PointPrompt2D("IMG_5870.jpg", (512.0, 330.5), 1), PointPrompt2D("IMG_5870.jpg", (80.0, 900.0), 0)),
    (PointPrompt3D((0.1, 0.2, 0.3), 1),),
    (BoxPrompt("IMG_5870.jpg", (100.0, 120.0, 800.0, 900.0)),),
    "golden cape",
)


def test_the_contracts_example_is_read_whole(tmp_path: Path):
    path = tmp_path / "prompts.json"
    path.write_text(CONTRACT)
    assert read_prompts(path) == PromptSet((CAPE,))


DRAWN = """
{"objects": [{"name": "cape",
              "scribbles": [{"view": "a.jpg", "xy": [[480, 300.5], [520, 420], [530, 425]], "label": 1},
                            {"view": "b.jpg", "xy": [[5, 6]], "label": 0},
                            {"view": "b.jpg", "path": "strokes/one.png", "label": 0}],
              "masks": [{"view": "c.jpg", "path": "rough.png"}, {"view": "d.jpg", "path": "/elsewhere/d.png"}]}]}
"""


def test_scribbles_and_masks_are_read_with_paths_from_the_files_own_folder(tmp_path: Path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "prompts.json").write_text(DRAWN)
    found = read_prompts(Path("here/prompts.json"))
    expected = ObjectPrompts(
        "cape",
        scribbles=(
            LineScribble("a.jpg", ((480.0, 300.5), (520.0, 420.0), (530.0, 425.0)), 1),
            LineScribble("b.jpg", ((5.0, 6.0),), 0),
            PaintedScribble("b.jpg", tmp_path / "here" / "strokes" / "one.png", 0),
        ),
        masks=(MaskPrompt("c.jpg", tmp_path / "here" / "rough.png"), MaskPrompt("d.jpg", Path("/elsewhere/d.png"))),
    )
    assert found == PromptSet((expected,))
    # Written anywhere, they mean the same files.
    write_prompts(found, tmp_path / "copy.json")
    assert read_prompts(tmp_path / "copy.json") == found


finite = st.floats(allow_nan=False, allow_infinity=False)
label = st.integers(0, 1)
word = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=12)
click = st.fixed_dictionaries({"view": word, "xy": st.lists(finite, min_size=2, max_size=2), "label": label})
position = st.fixed_dictionaries({"xyz": st.lists(finite, min_size=3, max_size=3), "label": label})
stroke = st.fixed_dictionaries(
    {
        "view": word,
        "xy": st.lists(st.lists(finite, min_size=2, max_size=2), min_size=1, max_size=4),
        "label": label,
    }
)
side = st.lists(finite, min_size=2, max_size=2, unique=True).map(sorted)
box = st.builds(lambda view, x, y: {"view": view, "xyxy": [x[0], y[0], x[1], y[1]]}, word, side, side)
entry = st.fixed_dictionaries(
    {
        "name": word,
        "points": st.builds(
            lambda clicks, positions: clicks + positions,
            st.lists(click, max_size=2),
            st.lists(position, min_size=1, max_size=2),
        ),
    },
    optional={
        "scribbles": st.lists(stroke, min_size=1, max_size=2),
        "boxes": st.lists(box, min_size=1, max_size=2),
        "text": word,
    },
)


@settings(deadline=None, max_examples=50)
@given(st.lists(entry, min_size=1, max_size=3, unique_by=lambda entry: entry["name"].casefold()))
def test_a_file_read_and_written_says_the_same(tmp_path_factory: pytest.TempPathFactory, entries: list[dict]):
    path = tmp_path_factory.mktemp("round") / "prompts.json"
    path.write_text(json.dumps({"objects": entries}))
    prompts = read_prompts(path)
    write_prompts(prompts, path)
    assert json.loads(path.read_text(encoding="utf-8")) == {"objects": entries}
    assert read_prompts(path) == prompts
    assert [file.name for file in path.parent.iterdir()] == ["prompts.json"]


def wrong(path: Path, document: object) -> str:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(UserError) as caught:
        read_prompts(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


CLICK = {"view": "a.jpg", "xy": [1, 2], "label": 1}
BOX = {"view": "a.jpg", "xyxy": [0, 0, 5, 5]}
LINE = {"view": "a.jpg", "xy": [[1, 2], [3, 4]], "label": 1}
PAINTED = {"view": "a.jpg", "path": "a.png", "label": 1}
MASK = {"view": "a.jpg", "path": "a.png"}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "cape"}, "object 'cape' has no prompt"),
        ({"name": "cape", "points": [], "boxes": []}, "object 'cape' has no prompt"),
        ({"name": "cape", "text": "  "}, "object 'cape': 'text'"),
        ({"name": "cape", "text": 3}, "object 'cape': 'text'"),
        ({"name": "cape", "mask": 1, "text": "x"}, "object 'cape' has the unknown key 'mask'"),
        ({"points": [CLICK]}, "object number 1 lacks the key 'name'"),
        ({"name": 5, "points": [CLICK]}, "object number 1: 'name'"),
        ({"name": " ", "points": [CLICK]}, "'name' must be a word"),
        ({"name": "a/b", "points": [CLICK]}, "'name' becomes a folder"),
        ({"name": "..", "points": [CLICK]}, "'name' becomes a folder"),
        ({"name": "a\n", "points": [CLICK]}, "'name' becomes a folder"),
        ({"name": "x" * 101, "points": [CLICK]}, "'name' becomes a folder"),
        ({"name": "\u5e03" * 86, "points": [CLICK]}, "at most 255 bytes in UTF-8, not 258"),
        ({"name": "cape", "points": CLICK}, "object 'cape': 'points' must be a list"),
        ({"name": "cape", "points": [7]}, "object 'cape', points[0] must be a JSON object"),
        ({"name": "cape", "points": [{**CLICK, "label": 2}]}, "object 'cape', points[0]: 'label'"),
        ({"name": "cape", "points": [{**CLICK, "label": True}]}, "object 'cape', points[0]: 'label'"),
        ({"name": "cape", "points": [{**CLICK, "label": 1.0}]}, "object 'cape', points[0]: 'label'"),
        ({"name": "cape", "points": [CLICK, {**CLICK, "xy": [1]}]}, "object 'cape', points[1]: 'xy' must be 2 numbers"),
        ({"name": "cape", "points": [{**CLICK, "xy": ["1", 2]}]}, "'xy' must be 2 numbers"),
        ({"name": "cape", "points": [{**CLICK, "xy": [True, 2]}]}, "'xy' must be 2 numbers"),
        ({"name": "cape", "points": [{**CLICK, "xy": [float("nan"), 2]}]}, "'xy' must be 2 numbers"),
        ({"name": "cape", "points": [{**CLICK, "xy": [10**400, 2]}]}, "'xy' must be 2 numbers"),
        ({"name": "cape", "points": [{**CLICK, "view": ""}]}, "'view' must be a view's name"),
        ({"name": "cape", "points": [{**CLICK, "xyz": [1, 2, 3]}]}, "points[0] has the unknown key"),
        ({"name": "cape", "points": [{"xyz": [1, 2, 3]}]}, "points[0] lacks the key 'label'"),
        ({"name": "cape", "points": [{"view": "a.jpg", "label": 1}]}, "points[0] lacks the key 'xy'"),
        ({"name": "cape", "boxes": [{**BOX, "xyxy": [5, 0, 0, 5]}]}, "object 'cape', boxes[0]: 'xyxy'"),
        ({"name": "cape", "boxes": [{**BOX, "label": 1}]}, "boxes[0] has the unknown key 'label'"),
        ({"name": "cape", "scribbles": []}, "it needs 'points', 'scribbles', 'boxes', 'masks' or 'text'"),
        ({"name": "cape", "scribbles": LINE}, "object 'cape': 'scribbles' must be a list"),
        ({"name": "cape", "scribbles": ["a.png"]}, "object 'cape', scribbles[0] must be a JSON object"),
        ({"name": "cape", "scribbles": [{**LINE, "xy": []}]}, "'xy' must be a list of corners [x, y], at least one"),
        ({"name": "cape", "scribbles": [{**LINE, "xy": [1, 2]}]}, "scribbles[0]: 'xy'[0] must be 2 numbers, not 1"),
        ({"name": "cape", "scribbles": [LINE, {**LINE, "xy": [[1, 2], [3]]}]}, "scribbles[1]: 'xy'[1] must be 2"),
        ({"name": "cape", "scribbles": [{**LINE, "xy": [[1, float("inf")]]}]}, "'xy'[0] must be 2 numbers"),
        ({"name": "cape", "scribbles": [{**LINE, "label": "in"}]}, "scribbles[0]: 'label' must be 1 (inside)"),
        ({"name": "cape", "scribbles": [{**LINE, "width": 3}]}, "scribbles[0] has the unknown key 'width'"),
        ({"name": "cape", "scribbles": [{**LINE, **PAINTED}]}, "scribbles[0] has the unknown key 'xy'"),
        ({"name": "cape", "scribbles": [{**PAINTED, "path": 5}]}, "scribbles[0]: 'path' must be a picture file"),
        ({"name": "cape", "masks": [{**MASK, "path": ""}]}, "masks[0]: 'path' must be a picture file"),
        ({"name": "cape", "masks": [{**MASK, "label": 1}]}, "masks[0] has the unknown key 'label'"),
        ({"name": "cape", "masks": [{"path": "a.png"}]}, "masks[0] lacks the key 'view'"),
    ],
)
def test_wrong_objects_are_named_with_their_key(tmp_path: Path, entry: dict, words: str):
    assert words in wrong(tmp_path / "prompts.json", {"objects": [entry]})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "must be a JSON object"),
        ({}, "lacks the key 'objects'"),
        ({"objects": []}, "at least one object"),
        ({"objects": {}}, "at least one object"),
        ({"objects": [{"name": "a", "text": "x"}], "version": 1}, "unknown key 'version'"),
        ({"objects": [{"name": "a", "text": "x"}, {"name": "A", "text": "y"}]}, "two objects are called 'a' and 'A'"),
        ('{"objects": [', "is no JSON"),
        ('{"objects": [{"name": "a", "name": "b", "text": "x"}]}', "'name' appears twice"),
        ("[" * 100_000 + "]" * 100_000, "its brackets are nested too deeply"),
        ('{"objects": ' + "9" * 5000 + "}", "a number in it has too many digits"),
    ],
)
def test_wrong_files_are_one_sentence(tmp_path: Path, document: object, words: str):
    assert words in wrong(tmp_path / "prompts.json", document)


def test_a_name_as_long_as_file_systems_allow_is_read_and_becomes_a_folder(tmp_path: Path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps({"objects": [{"name": "\u5e03" * 85, "points": [CLICK]}]}))
    name = read_prompts(path).objects[0].name
    (tmp_path / name).mkdir()
    assert len(name.encode()) == 255 and (tmp_path / name).is_dir()


def test_whatever_the_depth_of_brackets_a_sentence_comes_of_it(tmp_path: Path):
    for depth in range(100, 1100, 20):
        said = wrong(tmp_path / "prompts.json", '{"objects": [{"name": ' + "[" * depth + "]" * depth + "}]}")
        assert "'name' must be a word" in said or "nested too deeply" in said


def test_names_are_enough_where_masks_are_ready(tmp_path: Path):
    path = tmp_path / "prompts.json"
    path.write_text('{"objects": [{"name": "cape"}, {"name": "ring", "points": []}]}')
    assert read_prompts(path, names_only=True) == PromptSet((ObjectPrompts("cape"), ObjectPrompts("ring")))
    path.write_text('{"objects": [{"name": "a/b"}]}')
    with pytest.raises(UserError, match="'name' becomes a folder"):
        read_prompts(path, names_only=True)


def test_files_that_cannot_be_read_or_written(tmp_path: Path):
    with pytest.raises(UserError, match="there is no prompts file"):
        read_prompts(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'{"objects": "\xff"}')
    with pytest.raises(UserError, match="UTF-8"):
        read_prompts(tmp_path / "latin.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_prompts(tmp_path)
    with pytest.raises(UserError, match=r"cannot write .*: a part of the path is a file"):
        write_prompts(PromptSet((CAPE,)), tmp_path / "latin.json" / "prompts.json")


def scene() -> Scene:
    camera = Camera(100, 80, 90.0, 90.0, 50.0, 40.0, torch.eye(4, dtype=torch.float64))
    views = tuple(View(name, Path(name), camera) for name in ("a.jpg", "b.jpg"))
    return Scene(Path("capture"), "nerfstudio", views, (0,), (1,), IDENTITY, 0.1, 10.0)


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        (ObjectPrompts("cape", (PointPrompt2D("c.jpg", (1.0, 1.0), 1),)), "object 'cape': there is no view 'c.jpg'"),
        (ObjectPrompts("cape", (PointPrompt2D("a.jpg", (100.0, 1.0), 1),)), "100 x 80 pixels"),
        (ObjectPrompts("cape", (PointPrompt2D("a.jpg", (1.0, -0.5), 0),)), "outside of a.jpg"),
        (ObjectPrompts("cape", boxes=(BoxPrompt("b.jpg", (120.0, 1.0, 130.0, 5.0)),)), "object 'cape': the box"),
        (
            ObjectPrompts("cape", (PointPrompt2D("a.jpg", (7.9, 3.2), 1), PointPrompt2D("a.jpg", (7.1, 3.8), 0))),
            "object 'cape': the click at (7.1, 3.8) in a.jpg is both inside and outside",
        ),
    ],
)
def test_prompts_that_do_not_fit_the_scene(prompts: ObjectPrompts, words: str):
    with pytest.raises(UserError) as caught:
        check_prompts(PromptSet((prompts,)), scene())
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_prompts_that_fit_the_scene_pass():
    good = ObjectPrompts(
        "cape",
        (PointPrompt2D("a.jpg", (0.0, 0.0), 1), PointPrompt2D("b", (99.9, 79.9), 0)),
        (PointPrompt3D((1e6, 0.0, 0.0), 1),),
        (BoxPrompt("b.jpg", (-5.0, -5.0, 105.0, 85.0)),),
    )
    check_prompts(PromptSet((good,)), scene())
