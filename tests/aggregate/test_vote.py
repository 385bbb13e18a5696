"""The vote in closed form: shares of cells by hand, half-spaces, liars, views without a mask, and the stage's ball."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic_scene import camera_at, cast, stage_renderer
from sanerf.aggregate.losses import mask_logits
from sanerf.aggregate.ray_bank import PixelLattice, RayBank, build_ray_bank, with_masks
from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.aggregate.vote import shares, vote, vote_twice
from sanerf.evaluation.masks import count_masks
from sanerf.fields.voted import VotedField, VotedVolume
from sanerf.geometry.cameras import Camera
from sanerf.render.images import render_image

SIDE = 64


def votes(**cells: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """A cube of two cells a side: own and all votes of the cells named by their x, y, z, as `c010`."""
    own, everyones = torch.zeros(2, 2, 2), torch.zeros(2, 2, 2)
    for name, (for_it, of_all) in cells.items():
        place = tuple(int(digit) for digit in name[1:])
        own[place], everyones[place] = for_it, of_all
    return own, everyones


def test_a_cell_leans_on_the_larger_one_by_one_vote():
    """The eight have 4 of 8 votes, one half: (4 + 1/2) / (4 + 1) where all four are for the object, (0 + 1/2) / 5 where
    none is, and one half where nobody voted."""
    found = shares(*votes(c000=(4, 4), c110=(0, 4)), doublings=1)
    expected = torch.full((2, 2, 2), 0.5)
    expected[0, 0, 0], expected[1, 1, 0] = 0.9, 0.1
    torch.testing.assert_close(found, expected)


def test_without_votes_all_is_background_and_equal_shares_stay():
    assert not shares(*votes(), doublings=1).any()
    assert not shares(torch.zeros(8, 8, 16), torch.zeros(8, 8, 16), doublings=3).any()
    everyones = torch.rand(8, 8, 16, generator=torch.Generator().manual_seed(0)) + 0.1
    torch.testing.assert_close(shares(0.3 * everyones, everyones, doublings=3), torch.full((8, 8, 16), 0.3))
    # The largest cells stand for themselves.
    torch.testing.assert_close(shares(*votes(c000=(1, 4)), doublings=0), votes(c000=(0.25, 0))[0])


def plane_bank(views: int) -> RayBank:
    """Every view sees the same SIDE x SIDE points of the plane z = 0, one solid sample a ray; between the four quarters
    lies a gap of 0.2."""
    half = torch.linspace(0.1, 0.55, SIDE // 2)
    axis = torch.cat([-half.flip(0), half])
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y, torch.zeros_like(x)], dim=-1).reshape(-1, 3)
    rays = len(points) * views
    lattices = {view: PixelLattice(view * len(points), SIDE, SIDE, 0, 0, 1) for view in range(views)}
    return RayBank(
        points.repeat(views, 1), torch.full((rays,), 0.9), torch.arange(rays + 1), torch.ones(rays), torch.ones(rays),
        torch.ones(rays, 1, dtype=torch.bool), lattices,
    )  # fmt: skip


def masks_of(picture: Tensor) -> ViewMask:
    return ViewMask(picture.reshape(SIDE, SIDE).float(), 1.0)


def identities(field: VotedField, bank: RayBank) -> Tensor:
    """Of the plane's points."""
    return field(bank.p_world[: SIDE**2]).argmax(dim=1)


BANK = plane_bank(views=6)
RIGHT = BANK.p_world[: SIDE**2, 0] > 0
UPPER = BANK.p_world[: SIDE**2, 1] > 0


def test_two_half_spaces_come_back_exactly():
    masks: ViewMasks = {view: {"right": masks_of(RIGHT), "left": masks_of(~RIGHT)} for view in range(6)}
    found = identities(vote_twice(BANK, masks, ["right", "left"]), BANK)
    assert torch.equal(found, torch.where(RIGHT, 1, 2))
    only = {view: {"right": of_view["right"]} for view, of_view in masks.items()}
    assert torch.equal(identities(vote_twice(BANK, only, ["right"]), BANK), RIGHT.long())


def test_a_view_that_lies_is_outvoted_by_five_and_then_not_asked_again():
    masks: ViewMasks = {view: {"right": masks_of(RIGHT)} for view in range(6)}
    masks[2] = {"right": masks_of(~RIGHT)}
    field = vote_twice(BANK, masks, ["right"])
    assert torch.equal(identities(field, BANK), RIGHT.long())
    # As if it had no mask: the others agree with what came of the first ballot to the last pixel.
    honest = vote_twice(BANK, {view: of_view for view, of_view in masks.items() if view != 2}, ["right"])
    assert all(
        torch.equal(a, b) for a, b in zip(field.state_dict().values(), honest.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(("belief", "lie_wins"), [(0.9, True), (0.1, False)])
def test_masks_count_as_their_decoder_believes_in_them(belief, lie_wins):
    """In one ballot, five views that lie against one: they win by 4.5 to 1, and lose by 0.5 to 1."""
    masks: ViewMasks = {view: {"right": masks_of(~RIGHT)} for view in range(1, 6)}
    masks[0] = {"right": masks_of(RIGHT)}
    trust = {view: {"right": belief if view else 1.0} for view in range(6)}
    found = identities(vote(with_masks(BANK, masks, ["right"]), trust, ["right"]), BANK)
    assert torch.equal(found.bool(), ~RIGHT if lie_wins else RIGHT)


@pytest.mark.parametrize(("left_out", "votes_for"), [(0.3, True), (0.7, False), (1.0, False)])
def test_what_decoders_leave_out_counts_less_than_what_they_take(left_out, votes_for):
    """In one ballot two views take the right half and four leave it out: 2 to 4 of `left_out`. Another object's pixels
    count fully: where four views take the left half for it, two that call it `right` do not win."""
    masks: ViewMasks = {
        view: {
            "right": replace(masks_of(RIGHT if view < 2 else torch.zeros_like(RIGHT)), left_out=left_out),
        }
        for view in range(6)
    }
    found = identities(vote(with_masks(BANK, masks, ["right"]), {}, ["right"]), BANK)
    assert torch.equal(found.bool(), RIGHT if votes_for else torch.zeros_like(RIGHT))
    for view in range(6):
        of = RIGHT if view < 2 else torch.zeros_like(RIGHT)
        masks[view]["other"] = replace(masks_of(torch.zeros_like(RIGHT) if view < 2 else RIGHT), left_out=left_out)
        masks[view]["right"] = replace(masks_of(of), left_out=left_out)
    both = ["right", "other"]
    found = identities(vote(with_masks(BANK, masks, both), {}, both), BANK)
    assert torch.equal(found, torch.where(RIGHT, 2, 0))


def test_pixels_that_may_be_an_object_or_not_do_not_vote_about_it():
    """One view has a mask of the upper half, five have none: their background says nothing about it, but what they
    know to be the other object is not it."""
    lower_right = RIGHT & ~UPPER
    masks: ViewMasks = {view: {"right": masks_of(lower_right)} for view in range(6)}
    masks[0]["upper"] = masks_of(UPPER)
    found = identities(vote_twice(BANK, masks, ["upper", "right"]), BANK)
    assert torch.equal(found, torch.where(UPPER, 1, torch.where(lower_right, 2, 0)))
    # Five empty masks in their place are five votes against.
    for view in range(1, 6):
        masks[view]["upper"] = masks_of(torch.zeros_like(UPPER))
    trust = {view: {"upper": 1.0, "right": 1.0} for view in range(6)}
    outvoted = identities(vote(with_masks(BANK, masks, ["upper", "right"]), trust, ["upper", "right"]), BANK)
    assert torch.equal(outvoted, torch.where(lower_right, 2, 0))


def test_an_object_without_votes_is_nowhere_and_so_is_what_lies_beyond_a_box():
    masks: ViewMasks = {0: {"right": masks_of(RIGHT), "none": masks_of(torch.zeros_like(RIGHT))}}
    field = vote_twice(BANK, masks, ["right", "none"])
    assert not (identities(field, BANK) == 2).any()
    far = torch.tensor([[0.9, 0.0, 0.0], [0.0, 0.0, 50.0], [-1.9, 1.9, 0.3]])
    assert field(far).tolist() == [[5.0, 0.0, 0.0]] * 3
    assert not field.may_be(0, far).any() and not field.may_be(1, BANK.p_world).any()


def test_the_stages_ball_comes_back_in_a_held_out_view_though_one_mask_lies():
    """Above an IoU of 0.95: of about 1200 pixels no more than a border of half a pixel."""
    cameras = {view: camera_at(*xy, size=40) for view, xy in enumerate(
        [(0.0, 0.0), (-0.5, 0.1), (0.5, -0.1), (0.1, -0.5), (-0.1, 0.5), (0.3, 0.3)]
    )}  # fmt: skip
    bank = build_ray_bank(
        cameras, stage_renderer(),
        total_rays=10**6, weight_threshold=0.01, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    masks: ViewMasks = {view: {"ball": ViewMask(ball(camera).float(), 0.9)} for view, camera in cameras.items()}
    masks[5] = {"ball": ViewMask(1 - masks[5]["ball"].probability, 0.9)}
    field = vote_twice(bank, masks, ["ball"])
    held_out = camera_at(0.2, 0.15, size=64)
    image = render_image(stage_renderer(), held_out, head=field)
    assert image.values is not None
    logits = mask_logits(image.values.reshape(-1, 2), image.accumulation.reshape(-1))
    assert count_masks((logits.argmax(dim=1) == 1).reshape(64, 64), ball(held_out)).iou > 0.95


def ball(camera: Camera) -> Tensor:
    return cast(camera)[1].reshape(camera.height, camera.width)


def test_kept_objects_stay_to_the_bit_save_where_others_come_near():
    """Three quarters that do not touch; the newcomer lies over half of the first and far from the second."""
    quarters = {"first": RIGHT & UPPER, "second": ~RIGHT & ~UPPER}
    newcomer = RIGHT & UPPER & (BANK.p_world[: SIDE**2, 0] > 0.3)
    names = ["first", "second", "new"]
    masks: ViewMasks = {view: {name: masks_of(at) for name, at in quarters.items()} for view in range(6)}
    before = vote_twice(BANK, masks, names[:2])
    for of_view in masks.values():
        of_view["first"] = masks_of(0.6 * quarters["first"].float())
        of_view["new"] = masks_of(newcomer)
    marked = VotedVolume(before.low[1], before.high[1], before.volume(1).share.clamp(max=200))
    joined = vote_twice(BANK, masks, names, {"first": before.volume(0), "second": marked})
    at_once = vote_twice(BANK, masks, names)
    assert torch.equal(joined.volume(1).share, marked.share), "it is kept, not voted again"
    for index in (0, 2):
        assert torch.equal(joined.volume(index).share, at_once.volume(index).share)
    expected = torch.where(newcomer, 3, torch.where(quarters["first"], 1, torch.where(quarters["second"], 2, 0)))
    assert torch.equal(identities(joined, BANK), expected)
