"""`sanerf bench protocols`: which are listed, what of a folder can be run, what is missing; and their cards."""

import json
import re
import shutil
from pathlib import Path

import pytest
from command_process import assert_refused
from command_stage import write_masks, write_prompts, write_scene

from sanerf.errors import UserError
from sanerf.evaluation.methods_scenes import TEST_VIEWS
from sanerf.evaluation.protocols import Protocol, protocols, read_protocol

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
CARD = {
    "id": "x", "title": "X", "source": "", "scenes": [{"name": "a"}], "scenes_listed": True, "prompts": "", "views": "",
    "visibility": "", "metrics": "", "averaged": "objects", "data": "", "licence": "", "layout": "", "open": [],
}  # fmt: skip


def test_what_a_folder_can_run_and_what_is_missing(sanerf, tmp_path):
    listed = sanerf("bench", "protocols", "--json")
    assert listed.code == 0
    assert list(json.loads(listed.out)) == [
        "mip-nerf-360", "lerf", "llff", "3d-front", "others", "nvos", "spin-nerf", "lerf-mask",
    ]  # fmt: skip
    fern = write_scene(tmp_path / "NVOS" / "fern")
    write_masks(fern / "masks")
    write_prompts(fern / "prompts.json")
    shutil.copytree(fern, tmp_path / "NVOS" / "orchids")
    (tmp_path / "NVOS" / "orchids" / "prompts.json").write_text("{")
    (tmp_path / "NVOS" / "trex").mkdir()
    ended = sanerf("bench", "protocols", "--data", tmp_path, "--json")
    found = json.loads(ended.out)
    assert found["nvos"]["runnable"] == ["fern"]
    missing = {sentence.partition(":")[0]: sentence for sentence in found["nvos"]["missing"]}
    assert list(missing) == ["flower", "fortress", "horns_center", "horns_left", "leaves", "orchids", "trex"]
    assert "orchids/prompts.json is no JSON: Expecting" in missing["orchids"]
    assert "there is no prompts.json in" in missing["trex"] and "there is no folder" in missing["leaves"]
    assert found["lerf"] == {
        **json.loads(listed.out)["lerf"], "runnable": [], "missing": [f"There is no folder {tmp_path / 'lerf'}."],
    }  # fmt: skip
    in_words = sanerf("bench", "protocols", "--data", tmp_path)
    assert "  can run: fern\n" in in_words.out
    assert_refused(sanerf("bench", "protocols", "--data", tmp_path / "none"), "there is no folder")


def test_a_wrong_card_is_refused():
    assert read_protocol(json.dumps(CARD)).scenes[0].name == "a"
    for change, message in (
        ({"scene": []}, "unknown key 'scene'"),
        ({"scenes": [{"nam": "a"}]}, r"unknown key 'scenes\[0\]\.nam'"),
        ({"averaged": "pixels"}, "averaged should be 'objects' or 'views', not 'pixels'"),
        ({"open": "nothing"}, "open should be a list, not 'nothing'"),
        ({"published": {"A": {"acc": 1, "miou": "high"}}}, r"published\.A\.miou should be float, not 'high'"),
    ):
        with pytest.raises(UserError, match=message):
            read_protocol(json.dumps({**CARD, **change}))
    with pytest.raises(UserError, match="the key 'title' is missing"):
        read_protocol(json.dumps({key: value for key, value in CARD.items() if key != "title"}))


def protocol_lines(card: Protocol) -> list[str]:
    """A card in Markdown, as it stands in docs/protocols.md."""
    names = ", ".join(scene.name + (f" ({scene.note})" if scene.note else "") for scene in card.scenes)
    listed = "" if card.scenes_listed else " (not listed in the publication)"
    holdout = {"every:8": "every eighth", None: "the scene's own"}.get(card.holdout, card.holdout)
    rows = [
        ("from", card.source),
        (f"scenes{listed}", names or "any of the data set"),
        ("prompts", card.prompts),
        ("views scored", f"{card.views} Without `{TEST_VIEWS}`: {holdout}."),
        ("visibility", card.visibility),
        ("metrics", card.metrics),
        ("data", card.data),
        ("licence", card.licence),
        ("how to lay it out", card.layout),
    ]
    lines = [f"## {card.title}", "", f"`{card.id}`", "", "| | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]
    lines += ["", "| left open | done here |", "|---|---|", *(f"| {o.question} | {o.choice} |" for o in card.open)]
    if card.published:
        lines += ["", f"Published ({card.published_in}), in per cent:", "", "| | Acc | mIoU |", "|---|---|---|"]
        lines += [f"| {name} | {figure.acc:.1f} | {figure.miou:.1f} |" for name, figure in card.published.items()]
    return lines


def test_the_page_is_what_the_cards_say():
    page = PAGE.read_text(encoding="utf-8")
    shown = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    assert shown == ["\n".join(protocol_lines(card)) + "\n" + ("\n" if i < 7 else "") for i, card in
                     enumerate(protocols().values())]  # fmt: skip


def test_the_papers_table_is_copied_right():
    # Table 1 of the paper: mIoU of its method, by group, and their mean.
    ours = [card.published["SANeRF-HQ, SAM, field"].miou for card in list(protocols().values())[:5]]
    assert ours == [91.0, 90.7, 95.2, 89.9, 91.1]
