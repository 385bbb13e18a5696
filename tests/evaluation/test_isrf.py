"""ISRF as its paper states it: K-means and matching against brute force, and a region that grows to an exact answer."""

import itertools

import pytest
import torch

from sanerf.evaluation.baselines.isrf import (
    FeatureCells,
    ISRFConfig,
    bilateral_share,
    connected_to,
    grow_region,
    kmeans,
    match_features,
    segment_cells,
    stroke_cells,
)
from sanerf.evaluation.baselines.solid_cells import SolidCells, solid_cells
from sanerf.fields.voted import VotedField

SIDE = 32
CONFIG = ISRFConfig(side=SIDE)
WIDTH = 4 / SIDE


def middles(index: torch.Tensor) -> torch.Tensor:
    return (index + 0.5) * WIDTH - 2


def cells_of(index: list[tuple[int, int, int]]) -> SolidCells:
    """Solid cells by their numbers, all within the unit cube."""
    places = middles(torch.tensor(index))
    return solid_cells(places, torch.ones(len(places)), SIDE)


def block(xs: range, ys: range, zs: range) -> list[tuple[int, int, int]]:
    return list(itertools.product(xs, ys, zs))


# Two blobs that touch in a face, and a third like the first, apart from both.
FIRST, SECOND, THIRD = (
    block(range(10, 15), range(12, 16), range(12, 16)),
    block(range(15, 20), range(12, 16), range(12, 16)),
    block(range(10, 13), range(20, 22), range(12, 14)),
)


def two_features(noise: float = 0.0) -> tuple[FeatureCells, torch.Tensor, torch.Tensor]:
    """The blobs, the first and the third of one feature, the second of another; and the cells of the first two."""
    cells = cells_of([*FIRST, *SECOND, *THIRD])
    second = (cells.index[:, 0] >= 15) & (cells.index[:, 1] < 18)
    first = (cells.index[:, 0] < 15) & (cells.index[:, 1] < 18)
    kind = second.float()
    rough = noise * torch.randn(len(cells), 2, generator=torch.Generator().manual_seed(0))
    colour = torch.stack([kind, 1 - kind], dim=1) + rough
    return FeatureCells.of(cells, lambda p: colour), first, second


def only(cells: SolidCells, number: tuple[int, int, int]) -> torch.Tensor:
    return (cells.index == torch.tensor(number)).all(dim=1)


def stroke(cells: SolidCells, number: tuple[int, int, int], radius: float = 1.8) -> torch.Tensor:
    """A cell with those about it: the 27 of a cube, where all are solid."""
    return stroke_cells(cells, middles(torch.tensor([number])), radius)


def test_samples_come_to_the_cells_that_hold_them_and_light_ones_to_none():
    places = torch.tensor([[0.01, 0.01, 0.01], [0.03, 0.01, 0.01], [0.3, 0.0, 0.0], [-0.5, 0.2, 0.9]])
    cells = solid_cells(places, torch.tensor([0.3, 0.1, 0.29, 0.8]), SIDE)
    assert cells.index.tolist() == [[12, 17, 23], [16, 16, 16]]
    torch.testing.assert_close(cells.p_world[1], torch.tensor([0.015, 0.01, 0.01]))
    assert cells.find(torch.tensor([[16, 16, 16], [0, 0, 0], [12, 17, 23], [-1, 40, 3]])).tolist() == [1, -1, 0, -1]


def test_kmeans_finds_the_partition_of_least_inertia_of_all():
    """Against every partition of eight features into three, where groups are apart."""
    generator = torch.Generator().manual_seed(1)
    groups = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 5.0]])
    features = groups[[0, 0, 0, 1, 1, 2, 2, 2]] + 0.6 * torch.randn(8, 2, generator=generator)

    def inertia(owner: torch.Tensor) -> float:
        parts = [features[owner == k] for k in owner.unique()]
        return float(sum((part - part.mean(dim=0)).square().sum() for part in parts))

    best = min(inertia(torch.tensor(owner)) for owner in itertools.product(range(3), repeat=len(features)))
    centres = kmeans(features, 3)
    assert len(centres) == 3 and inertia(torch.cdist(features, centres).argmin(dim=1)) == pytest.approx(best, rel=1e-5)


def test_kmeans_has_no_more_centres_than_there_are_features():
    assert kmeans(torch.ones(7, 3), 5).tolist() == [[1.0, 1.0, 1.0]]
    found = kmeans(torch.tensor([[0.0], [2.0], [2.0]]), 5)
    assert sorted(found[:, 0].tolist()) == [0.0, 2.0]


def test_matching_is_the_nearest_centre_of_a_loop():
    generator = torch.Generator().manual_seed(2)
    features, inside, outside = (torch.randn(n, 4, generator=generator) for n in (20, 3, 2))
    near, far = match_features(features, inside, outside)
    for row in range(20):
        assert float(near[row]) == pytest.approx(min(float((features[row] - c).norm()) for c in inside), rel=1e-4)
        assert float(far[row]) == pytest.approx(min(float((features[row] - c).norm()) for c in outside), rel=1e-4)
    assert bool(match_features(features, inside, outside[:0])[1].isinf().all())


def test_the_bilateral_filter_is_the_sum_of_a_loop():
    of, first, _ = two_features(noise=0.3)
    asked = torch.arange(len(of.cells))
    shares = bilateral_share(of, first, asked, CONFIG)
    for v in range(0, len(of.cells), 7):
        mine, all_of_it = 0.0, 0.0
        for u in range(len(of.cells)):
            step = (of.cells.index[u] - of.cells.index[v]).abs()
            if u != v and int(step.max()) <= 1:
                apart = float((of.features[u] - of.features[v]).square().sum())
                weight = float(
                    torch.exp(torch.tensor(-apart / (2 * CONFIG.feature_sigma**2) - float(step.square().sum()) / 2))
                )
                mine, all_of_it = mine + weight * bool(first[u]), all_of_it + weight
        assert float(shares[v]) == pytest.approx(mine / max(all_of_it, 1e-30), abs=1e-4)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_region_grows_over_its_blob_and_neither_into_the_next_nor_to_its_like(noise):
    """Exactly the first blob from a cube of its cells, exactly the second from one of its own."""
    of, first, second = two_features(noise)
    nothing = torch.zeros(len(of.cells), dtype=torch.bool)
    assert stroke(of.cells, (12, 13, 13)).sum() == 27
    assert torch.equal(grow_region(of, stroke(of.cells, (12, 13, 13)), nothing, CONFIG), first)
    assert torch.equal(grow_region(of, stroke(of.cells, (17, 13, 13)), nothing, CONFIG), second)
    fence = of.cells.index[:, 0] == 12
    grown = grow_region(of, stroke(of.cells, (10, 13, 13)), fence, CONFIG)
    assert torch.equal(grown, first & (of.cells.index[:, 0] < 12))
    # One cell among 26 others of its kind is less than a tenth: what is seen of it once does not grow.
    assert grow_region(of, only(of.cells, (12, 13, 13)), nothing, CONFIG).sum() == 1


def test_without_features_that_differ_a_region_takes_all_that_touches():
    of, first, second = two_features()
    alike = FeatureCells(of.cells, torch.zeros_like(of.features))
    nothing = torch.zeros(len(of.cells), dtype=torch.bool)
    assert torch.equal(grow_region(alike, stroke(of.cells, (12, 13, 13)), nothing, CONFIG), first | second)


def test_what_is_connected_is_a_flood():
    of, first, second = two_features()
    start = only(of.cells, (10, 12, 12))
    assert torch.equal(connected_to(of.cells, torch.ones_like(first), start), first | second)
    assert torch.equal(connected_to(of.cells, of.cells.index[:, 0] != 13, start), first & (of.cells.index[:, 0] < 13))


def test_two_objects_by_a_stroke_each_are_the_two_blobs_and_their_like_is_nobodys():
    of, first, second = two_features(noise=0.05)
    strokes = [stroke(of.cells, number, 1.0) for number in ((12, 13, 13), (17, 13, 13))]
    assert strokes[0].sum() == 7
    regions = segment_cells(of, [(strokes[0], strokes[1]), (strokes[1], strokes[0])], CONFIG)
    assert torch.equal(regions[0], first) and torch.equal(regions[1], second)
    # As a field: the middles of their cells are theirs, a place beside a blob's face too, and nothing else is.
    field = VotedField([of.cells.volume(region) for region in regions])
    identity = field(middles(of.cells.index)).argmax(dim=1)
    assert torch.equal(identity, first.long() + 2 * second.long())
    beside = middles(torch.tensor([[9.4, 13.0, 13.0], [20.0, 13.0, 13.0], [24.0, 13.0, 13.0], [5.0, 13.0, 13.0]]))
    assert field(beside).argmax(dim=1).tolist() == [1, 2, 0, 0]


def test_a_stroke_beside_everything_covers_the_nearest_cell():
    of, _, _ = two_features()
    assert of.cells.index[stroke(of.cells, (3, 12, 12))].tolist() == [[10, 12, 12]]
