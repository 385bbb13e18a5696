"""A field that goes on from an earlier one: it begins with the same answers, and asks about chosen objects alone."""

import torch

from analytic_scene import numba_kernels
from sanerf.aggregate.ray_bank import PixelLattice, RayBank
from sanerf.aggregate.revise import RenderedIdentities, Revisions, fit_and_revise
from sanerf.aggregate.view_masks import ViewMask
from sanerf.aggregate.warm_start import LESS_LIKELY, of_identities, widened_field
from sanerf.fields.object import ObjectConfig, ObjectField
from sanerf.fields.voted import VotedField, VotedVolume

CONFIG = ObjectConfig(levels=2, entries_log2=6, coarsest=4, finest=8, hidden=8)
POINTS = 2 * torch.rand(3000, 3, generator=torch.Generator().manual_seed(1)) - 1


def earlier_field() -> ObjectField:
    """Of a cup and a hat, the hat limited to the right half."""
    generator = torch.Generator().manual_seed(0)
    field = ObjectField(CONFIG, 3, numba_kernels, generator)
    with torch.no_grad():
        field.grid.table.copy_(torch.randn(field.grid.table.shape, generator=generator))
    return field


def test_it_begins_with_the_earlier_answers_and_new_objects_lose_to_the_background_everywhere():
    before = earlier_field()
    with torch.no_grad():
        old = before(POINTS)
        new = widened_field(before, ["cup", "hat"], ["hat", "bowl", "cup"], CONFIG, numba_kernels)(POINTS)
    torch.testing.assert_close(new[:, [0, 3, 1]], old, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(new[:, 2], old[:, 0] - LESS_LIKELY, rtol=1e-5, atol=1e-5)
    assert torch.equal(torch.tensor([0, 2, 9, 1])[new.argmax(dim=1)], old.argmax(dim=1)), "cup is 1 and hat 2"


def test_what_is_left_out_leaves_no_row_and_limits_do_not_stay():
    before = earlier_field()
    before.box_low[:], before.box_high[:] = -0.1, 0.1
    field = widened_field(before, ["cup", "hat"], ["hat"], CONFIG, numba_kernels)
    with torch.no_grad():
        unlimited = before.head(before.grid(POINTS))
        torch.testing.assert_close(field(POINTS), unlimited[:, [0, 2]], rtol=1e-5, atol=1e-5)
    assert all(parameter.requires_grad for parameter in field.parameters())
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.zero_()
    assert all(bool(parameter.any()) for name, parameter in before.named_parameters() if "weight" in name)


def test_what_was_learnt_on_top_of_a_vote_goes_on_on_top_of_one():
    """The earlier field's answers for what stays; a new object has what was voted for it alone."""

    def volume(share: int) -> VotedVolume:
        corner = torch.full((3,), 2.0)
        return VotedVolume(-corner, corner, torch.full((2, 2, 2), share, dtype=torch.uint8))

    before = ObjectField(CONFIG, 2, numba_kernels, torch.Generator().manual_seed(0), VotedField([volume(51)]))
    with torch.no_grad():
        before.head[-1].bias.copy_(torch.tensor([0.25, 0.5]))
        voted = VotedField([volume(102), volume(51)])
        field = widened_field(before, ["cup"], ["hat", "cup"], CONFIG, numba_kernels, voted)
        found, expected = field(POINTS), voted(POINTS)
    learnt = torch.tensor([0.25, 0.0, 0.5])
    torch.testing.assert_close(found - expected, learnt.expand_as(found), rtol=0, atol=1e-5)


def lattice(first: int = 0) -> PixelLattice:
    return PixelLattice(first, 1, 4, 0, 0, 1)


def test_an_object_that_is_asked_about_is_the_most_probable_where_it_was():
    probability = torch.rand(1, 4, 5, generator=torch.Generator().manual_seed(0))
    rendered = RenderedIdentities(lattice(), probability)
    found = of_identities(rendered, ["a", "b", "c", "d"], ["d", "b"])
    assert torch.equal(found.probability[..., 1], probability[..., 4])
    assert torch.equal(found.probability[..., 2], probability[..., 2])
    assert torch.equal(found.probability[..., 0], probability[..., [0, 1, 3]].amax(dim=-1))
    for place, index in ((1, 4), (2, 2)):
        assert torch.equal(found.probability.argmax(dim=-1) == place, probability.argmax(dim=-1) == index)


def test_only_the_asked_objects_masks_are_revised():
    """Two views of four pixels; the decoder answers about the cup in the first, and then no more about anything."""
    rays = 8
    bank = RayBank(
        torch.zeros(rays, 3), torch.ones(rays), torch.arange(rays + 1), torch.ones(rays), torch.ones(rays),
        torch.ones(rays, 1, dtype=torch.bool), {0: lattice(), 1: lattice(4)},
    )  # fmt: skip
    mask = {name: ViewMask(torch.full((1, 4), 0.9), value) for name, value in (("cup", 0.1), ("hat", 0.2))}
    answer = ViewMask(torch.tensor([[0.9, 0.1, 0.1, 0.1]]), 0.7)
    answers = [{0: {"cup": answer}}, {}]
    fitted, shown = [], []

    def ask(rendered):
        shown.append({view: of_identities(of, ["hat", "cup"], ["cup"]) for view, of in rendered.items()})
        return answers[len(shown) - 1]

    out = fit_and_revise(
        earlier_field(),
        bank,
        masks={0: dict(mask), 1: dict(mask)},
        names=["hat", "cup"],
        revisions=Revisions(2),
        fit=lambda masked, masks, number, rendered: fitted.append((number, masked.possible[0].tolist(), masks)),
        revise=ask,
    )
    assert out == {0: {"cup": answer, "hat": mask["hat"]}, 1: {"hat": mask["hat"]}}
    assert [number for number, _, _ in fitted] == [0, 1, 2] and fitted[2][2] == out
    assert all(of_view.probability.shape[-1] == 2 for rendered in shown for of_view in rendered.values())
