"""What `segment` leaves behind: stored, read back, taken over by newer ones, refused where it is damaged."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from analytic_scene import BALL_RADIUS, camera_at, cast, numba_kernels, stage_renderer
from sanerf.aggregate.view_masks import ViewMask
from sanerf.data.scene import Scene, View
from sanerf.errors import UserError
from sanerf.fields.known import KnownSpace
from sanerf.fields.object import ObjectConfig, ObjectField
from sanerf.fields.voted import VotedField, VotedVolume
from sanerf.geometry.transforms import IDENTITY
from sanerf.render.images import RenderedImage
from sanerf.run.config import RunConfig
from sanerf.run.folder import Run, create_run
from sanerf.run.kept_masks import mask_pictures, mask_record, read_masks
from sanerf.run.segmentation import (
    RenderedObjects,
    find_object,
    load_segmentations,
    object_probabilities,
    owners,
    remove_objects,
    render_objects,
    save_segmentation,
)

CPU = torch.device("cpu")
CONFIG = RunConfig(object=ObjectConfig(levels=2, entries_log2=6, coarsest=4, finest=8, hidden=8))


@pytest.fixture
def run(tmp_path) -> Run:
    views = tuple(View(f"{i}.png", tmp_path / f"{i}.png", camera_at(0.1 * i, 0.0)) for i in range(2))
    scene = Scene(tmp_path, "made up", views, (0, 1), (), IDENTITY, 0.05, 3.0)
    return create_run(tmp_path / "run", scene, CONFIG)


def field_of(objects: int, seed: int) -> ObjectField:
    generator = torch.Generator().manual_seed(seed)
    field = ObjectField(CONFIG.object, 1 + objects, numba_kernels, generator)
    with torch.no_grad():
        field.grid.table.copy_(torch.randn(field.grid.table.shape, generator=generator))
    return field


def save(run: Run, *names: str, seed: int = 0, **decoded):
    masks = {Path("decoded", name, f"{stem}.png"): mask for name, of in decoded.items() for stem, mask in of.items()}
    record = {"segmenter": "made up", "seed": seed}
    return save_segmentation(run, names, field=field_of(len(names), seed), record=record, masks=masks)


def load(run: Run):
    return load_segmentations(run, numba_kernels, CPU)


def folders(run: Run) -> list[str]:
    return sorted(path.name for path in run.segmentations.iterdir())


def test_what_is_saved_is_read_back(run):
    mask = torch.arange(12).reshape(3, 4) % 3 == 0
    saved = save(run, "cup", "hat", seed=3, cup={"0": mask, "1": ~mask})
    (found,) = load(run)
    assert found.path == saved.path == run.segmentations / "001"
    assert found.names == saved.names == ("cup", "hat")
    assert found.record == saved.record
    assert (found.record["segmenter"], found.record["seed"]) == ("made up", 3)
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.field(points), saved.field(points))
    assert not any(parameter.requires_grad for parameter in found.field.parameters())
    for stem, expected in (("0", mask), ("1", ~mask)):
        with Image.open(found.path / "decoded" / "cup" / f"{stem}.png") as picture:
            assert np.array_equal(np.asarray(picture) > 127, expected.numpy())


def voted_field(objects: int) -> VotedField:
    low, high = torch.tensor([-0.5, -0.4, -0.3]), torch.tensor([0.5, 0.6, 0.7])
    share = torch.rand(objects, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    return VotedField([VotedVolume.of_shares(low, high, share[k]) for k in range(objects)])


def test_a_voted_field_is_read_back_beside_a_trained_one(run):
    save(run, "bowl")
    saved = save_segmentation(run, ["cup", "hat"], field=voted_field(2), record={"seed": 0}, masks={})
    voted, trained = load(run)
    assert isinstance(voted.field, VotedField) and isinstance(trained.field, ObjectField)
    assert (voted.record["field"], trained.record["field"]) == ("voted", "trained")
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 0.3
    assert torch.equal(voted.field(points), saved.field(points)) and voted.field(points)[:, 1:].any()


def test_a_refined_field_is_read_back_with_the_vote_it_starts_from(run):
    field = ObjectField(CONFIG.object, 3, numba_kernels, torch.Generator().manual_seed(1), voted_field(2))
    with torch.no_grad():
        field.head[-1].weight.fill_(0.5)
        field.grid.table.copy_(torch.randn(field.grid.table.shape, generator=torch.Generator().manual_seed(2)))
    saved = save_segmentation(run, ["cup", "hat"], field=field, record={"seed": 0}, masks={})
    assert saved.record["field"] == "refined"
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 0.3
    (found,) = load(run)
    assert torch.equal(found.field(points), field(points)) and not torch.equal(field(points), voted_field(2)(points))
    for change in ({"field": "voted"}, {"field": "trained"}, {"names": ["cup"]}):
        (saved.path / "segmentation.json").write_text(json.dumps({**saved.record, **change}))
        with pytest.raises(UserError, match="001 is damaged"):
            load(run)


def test_a_segmentation_of_format_2_is_read(run):
    """It knew trained fields only, and did not say so."""
    saved = save(run, "cup")
    record = {key: value for key, value in saved.record.items() if key != "field"}
    (saved.path / "segmentation.json").write_text(json.dumps({**record, "format_version": 2}))
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load(run)[0].field(points), saved.field(points))


@pytest.mark.parametrize("change", [{"names": ["cup"]}, {"field": "trained"}, {"field": "guessed"}])
def test_a_voted_field_that_its_record_does_not_fit_is_refused(run, change):
    saved = save_segmentation(run, ["cup", "hat"], field=voted_field(2), record={"seed": 0}, masks={})
    (saved.path / "segmentation.json").write_text(json.dumps({**saved.record, **change}))
    with pytest.raises(UserError, match=r"001 is damaged .*; delete the folder and segment again"):
        load(run)


def test_a_name_answers_to_the_newest_that_has_it_and_one_with_no_name_left_is_deleted(run):
    assert load(run) == []
    save(run, "cup", "hat", seed=1)
    save(run, "hat", "bowl", seed=2)
    found = load(run)
    assert [s.path.name for s in found] == ["002", "001"], "newest first"
    assert {name: s.path.name for name, s in owners(found).items()} == {"cup": "001", "hat": "002", "bowl": "002"}
    assert find_object(found, "hat", run) is found[0] and find_object(found, "cup", run) is found[1]
    save(run, "bowl", "hat", "spoon", seed=3)
    assert folders(run) == ["001", "003"]
    # The cup's is gone too once its one name that was its own is taken over, though the hat's new owner is another.
    save(run, "cup", "hat", seed=4)
    assert folders(run) == ["003", "004"]
    assert {name: s.path.name for name, s in owners(load(run)).items()} == {
        "cup": "004", "hat": "004", "bowl": "003", "spoon": "003",
    }  # fmt: skip


def test_the_thousandth_is_the_newest_still(run):
    save(run, "cup", seed=1)
    (run.segmentations / "001").rename(run.segmentations / "999")
    save(run, "hat", seed=2)
    assert folders(run) == ["1000", "999"]
    save(run, "hat", seed=3)
    assert [s.path.name for s in load(run)] == ["1001", "999"]


def test_an_unknown_object_is_answered_with_the_known_ones(run):
    with pytest.raises(UserError, match=r"has no object 'cup'; its objects are: none yet: run `sanerf segment` first"):
        find_object([], "cup", run)
    save(run, "hat", "bowl")
    with pytest.raises(UserError, match=r"has no object 'cup'; its objects are: bowl, hat$"):
        find_object(load(run), "cup", run)


def damage_field(path: Path) -> None:
    file = path / "object.safetensors"
    file.write_bytes(file.read_bytes()[:200])


def drop_field(path: Path) -> None:
    (path / "object.safetensors").unlink()


def drop_tensor(path: Path) -> None:
    tensors = load_file(path / "object.safetensors")
    del tensors["grid.table"]
    save_file(tensors, path / "object.safetensors")


def damage_record(path: Path) -> None:
    (path / "segmentation.json").write_text("{")


def drop_names(path: Path) -> None:
    (path / "segmentation.json").write_text('{"format_version": 2}')


@pytest.mark.parametrize("damage", [damage_field, drop_field, drop_tensor, damage_record, drop_names])
def test_a_damaged_one_is_a_user_error_that_says_what_to_do(run, damage):
    damage(save(run, "cup").path)
    message = r"001( is damaged|/object\.safetensors cannot be read) .*; delete the folder and segment again"
    with pytest.raises(UserError, match=message):
        load(run)


def test_a_damaged_one_does_not_keep_a_new_one_from_being_saved(run):
    damage_record(save(run, "cup").path)
    save(run, "hat")
    assert folders(run) == ["001", "002"]


def test_another_format_version_is_refused(run):
    path = save(run, "cup").path / "segmentation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 7}))
    with pytest.raises(UserError, match="is of segmentation format 7, this sanerf reads formats up to 4"):
        load(run)


def test_a_field_of_other_objects_than_the_record_names_is_refused(run):
    path = save(run, "cup").path / "segmentation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "names": ["cup", "hat"]}))
    with pytest.raises(UserError, match="is damaged"):
        load(run)


class BallField(ObjectField):
    """Logits in closed form: 0 for the background and, inside of the ball, +6 for one of the objects, else -6."""

    def __init__(self, objects: int, which: int):
        torch.nn.Module.__init__(self)
        self.objects, self.which = objects, which

    def forward(self, p_world):
        logits = torch.full((len(p_world), 1 + self.objects), -6.0)
        logits[:, 0] = 0.0
        logits[p_world.norm(dim=-1) < BALL_RADIUS + 0.05, self.which] = 6.0
        return logits


def test_two_segmentations_are_rendered_on_the_same_samples_and_each_answers_for_its_own(run):
    newer = replace(save(run, "hat", "ball"), field=BallField(2, which=2))
    older = replace(save(run, "hat", "copy"), field=BallField(2, which=1))  # its hat is the ball, but is not asked
    older = replace(older, names=("hat", "copy"))
    camera = camera_at(0.0, 0.0, size=24)
    rendered = render_objects(stage_renderer(), camera, [newer, older], (0.0, 0.0, 0.0))
    assert list(rendered.margin) == ["hat", "ball", "copy"]
    truth = cast(camera)[1].reshape(24, 24)
    assert int((rendered.mask("ball") ^ truth).sum()) <= 0.05 * int(truth.sum())
    assert not rendered.mask("hat").any() and not rendered.mask("copy").any()
    middle = rendered.probability["ball"][12, 12], rendered.margin["ball"][12, 12]
    odds = torch.softmax(torch.tensor([0.0, -6.0, 6.0]), dim=0)
    torch.testing.assert_close(torch.stack(middle), torch.stack([odds[2], odds[2] - odds[0]]), rtol=0, atol=1e-2)


def test_a_mask_at_another_size_is_the_interpolated_margin_cut_at_zero():
    """A margin of x - 5.5 over 12 columns changes sign half way: so it does at any size."""
    margin = (torch.arange(12.0) - 5.5).expand(6, 12)
    image = RenderedImage(torch.zeros(6, 12, 3), *torch.zeros(3, 6, 12))
    rendered = RenderedObjects(image, {}, {"cup": margin})
    for height, width in ((6, 12), (12, 24), (3, 6)):
        expected = (torch.arange(width) >= width // 2).expand(height, width)
        assert torch.equal(rendered.mask("cup", height, width), expected)


def test_object_probabilities_are_eq_7(run):
    """A ray that hits nothing has logits 5, 0, 0: its background is e^5 / (e^5 + 2)."""
    segmentation = save(run, "cup", "hat")
    composited = torch.tensor([[0.0, 0.0, 0.0], [1.0, 3.0, 2.0]])
    found = object_probabilities(segmentation, composited, torch.tensor([0.0, 1.0]))
    e = torch.exp(torch.tensor([[5.0, 0.0, 0.0], [1.0, 3.0, 2.0]]))
    torch.testing.assert_close(found, e / e.sum(dim=1, keepdim=True))


def test_a_removed_object_answers_no_more_and_the_others_stay_to_the_bit(run):
    mask = torch.ones(2, 2, dtype=torch.bool)
    for names, seed in ((("cup", "hat"), 1), (("hat", "bowl"), 2)):
        record = {"prompts": {"objects": [{"name": name} for name in names]}}
        pictures = {Path("decoded", name, "0.png"): mask for name in names}
        save_segmentation(run, names, field=field_of(2, seed), record=record, masks=pictures)
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    before = [s.field(points) for s in load(run)]
    remove_objects(run, ["hat"])
    found = load(run)
    assert {name: s.path.name for name, s in owners(found).items()} == {"bowl": "002", "cup": "001"}
    assert all(torch.equal(s.field(points), old) for s, old in zip(found, before, strict=True))
    assert found[0].record["prompts"] == {"objects": [{"name": "bowl"}]} and found[0].removed == {"hat"}
    assert sorted(path.name for path in (run.segmentations / "002" / "decoded").iterdir()) == ["bowl"]
    with pytest.raises(UserError, match="has no object 'hat'; its objects are: bowl, cup"):
        remove_objects(run, ["bowl", "hat"])
    assert len(owners(load(run))) == 2, "nothing is removed where one is not there"
    remove_objects(run, ["cup"])
    assert folders(run) == ["002"]
    save(run, "bowl")
    assert folders(run) == ["003"], "all that answered is taken over"


def test_a_removed_object_takes_no_others_place(run):
    """The ball stays of its own identity: what it covered is nobody's, not the next object's."""
    segmentation = replace(save(run, "hat", "ball"), field=BallField(2, which=2))
    camera = camera_at(0.0, 0.0, size=24)
    gone = replace(segmentation, record={**segmentation.record, "removed": ["ball"]})
    rendered = render_objects(stage_renderer(), camera, [gone], (0.0, 0.0, 0.0))
    assert list(rendered.margin) == ["hat"] and not rendered.mask("hat").any()


def test_masks_are_read_back_with_what_their_decoder_believed(run):
    probability = torch.tensor([0.0, 0.2, 0.499, 0.501, 0.8, 1.0]).repeat(16, 3)[:, :16]
    masks = {0: {"cup": ViewMask(probability, 0.81234, 0.5), "hat": ViewMask(1 - probability, 0.5)}}
    record = {"seed": 0, **mask_record(masks, run.scene)}
    pictures = mask_pictures(masks, run.scene)
    saved = save_segmentation(run, ["cup", "hat"], field=field_of(2, 0), record=record, masks=pictures)
    cameras = {view: run.scene.views[view].camera for view in (0, 1)}
    found = read_masks(saved, ["cup"], run.scene, cameras)
    assert list(found) == [0] and list(found[0]) == ["cup"] and found[0]["cup"].predicted_iou == 0.8123
    assert found[0]["cup"].left_out == 0.5 and read_masks(saved, ["hat"], run.scene, cameras)[0]["hat"].left_out == 1.0
    torch.testing.assert_close(found[0]["cup"].probability, probability, rtol=0, atol=0.5 / 255 + 1e-6)
    assert torch.equal(found[0]["cup"].probability > 0.5, probability > 0.5)
    # An older sanerf wrote masks of 0 and 255 and nothing beside them.
    older = replace(saved, record={"seed": 0})
    of_older = read_masks(older, ["hat"], run.scene, cameras)[0]["hat"]
    assert of_older.predicted_iou == of_older.left_out == 1.0
    with pytest.raises(UserError, match=r"0\.png should have 8 x 8 pixels"):
        read_masks(saved, ["cup"], run.scene, {0: camera_at(0.0, 0.0, size=8)})


def test_what_no_mask_saw_is_unknown_beside_all_objects(run):
    """Masks looked at the left half of space alone: what is seen in the right half of the picture is unknown."""
    cells = torch.zeros(8, 8, 8, dtype=torch.bool)
    cells[:4] = True
    segmentation = replace(save(run, "hat", "ball"), field=BallField(2, which=2))
    camera = camera_at(0.0, 0.0, size=24)
    with_unknown = render_objects(stage_renderer(), camera, [segmentation], (0.0, 0.0, 0.0), KnownSpace(cells))
    alone = render_objects(stage_renderer(), camera, [], (0.0, 0.0, 0.0), KnownSpace(cells))
    without = render_objects(stage_renderer(), camera, [segmentation], (0.0, 0.0, 0.0))
    assert with_unknown.unknown is not None and alone.unknown is not None and without.unknown is None
    expected = torch.zeros(24, 24)
    expected[:, 12:] = 1.0
    torch.testing.assert_close(with_unknown.unknown, expected, rtol=0, atol=0.01)
    assert torch.equal(alone.unknown, with_unknown.unknown)
    assert torch.equal(with_unknown.margin["ball"], without.margin["ball"])
