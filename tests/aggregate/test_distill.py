"""Distillation of features: the slab's closed form, cells against loops, gradients, and a field that is fitted."""

import math

import pytest
import torch
from torch import Tensor

from analytic_scene import camera_at, cast, renderer_of, stage_renderer
from sanerf.aggregate.distill import (
    DistillationConfig,
    build_cell_bank,
    cell_means,
    distill,
    distillation_loss,
    map_moments,
)
from sanerf.aggregate.feature_maps import lattice_features, render_features
from sanerf.aggregate.ray_bank import RayBank, build_ray_bank
from sanerf.fields.feature import FeatureConfig, FeatureField, MapMoments
from sanerf.geometry.cameras import Camera, project, resized
from sanerf.kernels.backend import kernels_for
from sanerf.segmenter.frame import MapFrame
from sanerf.segmenter.mini.segmenter import load_mini
from sanerf.segmenter.protocol import ImageFeatures, ViewPrompts

CPU = torch.device("cpu")
SMALL = FeatureConfig(levels=4, entries_log2=12, coarsest=8, finest=64, hidden=16, latent=8)
SIDE = 16
NEAR = -0.9
"""Cameras stand so near that the wall fills what the ball leaves of their pictures."""
CAMERAS = {
    view: camera_at(x, y, NEAR, size=SIDE) for view, (x, y) in enumerate([(0.0, 0.0), (0.1, 0.05), (-0.1, -0.05)])
}


def frame_of(camera: Camera, **sizes: int) -> MapFrame:
    """Maps that cover the picture alone."""
    squares = {name: (side, side) for name, side in sizes.items()}
    return MapFrame(float(camera.height), float(camera.width), camera.height, camera.width, squares)


def new_field(config: FeatureConfig = SMALL, **channels: int) -> FeatureField:
    """A field of maps with mean 2 and spread 3."""
    moments = {name: MapMoments(torch.full((c,), 2.0), 3.0, torch.zeros(c, 2, 2)) for name, c in channels.items()}
    return FeatureField(config, moments, kernels_for("numba", CPU), torch.Generator().manual_seed(1))


class Painted(FeatureField):
    """Latent values of places by a function in place of what is learnt; each map shows a part of them as it is."""

    def __init__(self, paint, **channels: int):
        config = FeatureConfig(levels=2, entries_log2=8, coarsest=4, finest=8, latent=sum(channels.values()))
        moments = {name: MapMoments(torch.zeros(c), 1.0, torch.zeros(c, 1, 1)) for name, c in channels.items()}
        super().__init__(config, moments, kernels_for("numba", CPU), torch.Generator())
        self.paint = paint
        first = 0
        for name, c in channels.items():
            self.matrices[name].weight.data = torch.eye(config.latent)[first : first + c]
            first += c

    def forward(self, p_world: Tensor) -> Tensor:
        return self.paint(p_world)


def stage_bank() -> RayBank:
    generator = torch.Generator().manual_seed(0)
    return build_ray_bank(CAMERAS, stage_renderer(), total_rays=3 * 64, weight_threshold=1e-2, generator=generator)


def test_a_slab_of_constant_density_shows_the_value_times_what_it_absorbs_and_the_mean_behind():
    """Density 2 over a depth of 0.5, seen along z: accumulation 1 - exp(-1 / cos)."""
    renderer = renderer_of(lambda p: 2.0 * ((p[:, 2] > 0) & (p[:, 2] < 0.5)).float())
    field = new_field(map=3)
    with torch.no_grad():
        field.network[0].weight.zero_()
        field.network[-1].weight.zero_()
        field.network[-1].bias.copy_(torch.arange(8.0))
    camera = camera_at(0.0, 0.0, size=4)
    found = render_features(field, renderer, camera, frame_of(camera, map=128)).maps["map"]
    x, y = torch.meshgrid((torch.arange(128) + 0.5) / 128 - 0.5, (torch.arange(128) + 0.5) / 128 - 0.5, indexing="xy")
    absorbed = 1 - torch.exp(-torch.sqrt(1 + x**2 + y**2))
    value = field.matrices["map"].weight.detach() @ torch.arange(8.0)
    expected = 2 + 3 * value[:, None, None] * absorbed
    torch.testing.assert_close(found, expected, atol=0.06 * 3 * float(value.abs().max()), rtol=0)
    assert (found - expected).abs().mean() < 0.01 * 3 * float(value.abs().max())
    torch.testing.assert_close(field.features_at(torch.zeros(1, 3))["map"][0], 2 + 3 * value)


def test_a_cell_shows_the_share_of_its_rays_that_see_a_thing():
    """Ball and wall painted 1 and 0: a cell's feature is the part that the ball covers, however it is rendered."""
    field = Painted(lambda p: (p[:, 2:] < 0.6).float(), map=1)
    camera = CAMERAS[1]
    fine = cast(resized(camera, 16 * SIDE, 16 * SIDE))
    share = fine[1].reshape(4, 64, 4, 64).float().mean((1, 3))
    rendered = render_features(field, stage_renderer(), camera, frame_of(camera, map=4))
    torch.testing.assert_close(rendered.maps["map"][0], share, atol=0.02, rtol=0)
    assert (rendered.height, rendered.width) == (SIDE, SIDE)
    generator = torch.Generator().manual_seed(0)
    bank = build_ray_bank(CAMERAS, stage_renderer(), total_rays=768, weight_threshold=1e-2, generator=generator)
    of_pixels = lattice_features(field, bank, 1, frame_of(camera, map=4)).maps["map"][0]
    exact = cast(camera)[1].reshape(4, 4, 4, 4).float().mean((1, 3))
    torch.testing.assert_close(of_pixels, exact, atol=0.05, rtol=0)


def test_cells_between_rays_are_interpolated_and_padding_is_the_training_views():
    field = Painted(lambda p: (p[:, 2:] < 0.6).float(), map=1)
    field.register_buffer("padding_map", torch.arange(32.0 * 64).reshape(1, 32, 64))
    wide = MapFrame(float(SIDE), 2.0 * SIDE, SIDE, SIDE, {"map": (32, 64)})
    found = lattice_features(field, stage_bank(), 0, wide).maps["map"][0]
    assert torch.equal(found[:, 32:], field.get_buffer("padding_map")[0, :, 32:])
    ball = cast(resized(CAMERAS[0], 32, 32))[1].reshape(32, 32)
    assert ball[8:24, 8:24].all() and not ball[:6, :6].any()
    # The bank drops samples of little weight, and with them up to 2 % of the light.
    torch.testing.assert_close(found[12:20, 12:20], torch.ones(8, 8), atol=0.03, rtol=0)
    torch.testing.assert_close(found[:4, :4], torch.zeros(4, 4), atol=1e-3, rtol=0)


def test_means_over_cells_are_those_of_a_loop():
    generator = torch.Generator().manual_seed(0)
    values, cell = torch.rand(40, 3, generator=generator), torch.randint(9, (40,), generator=generator)
    mean, found = cell_means(values, cell)
    assert found.tolist() == sorted(set(cell.tolist()))
    for row, of in zip(mean, found, strict=True):
        torch.testing.assert_close(row, values[cell == of].mean(0))


def test_blocks_hold_every_ray_once_and_each_by_its_cell():
    bank = stage_bank()
    encodings = {
        view: ImageFeatures({"a": torch.rand(2, 4, 4), "b": torch.rand(1, 8, 8)}, SIDE, SIDE) for view in CAMERAS
    }
    frames = {view: frame_of(camera, a=4, b=8) for view, camera in CAMERAS.items()}
    cells = build_cell_bank(bank, encodings.__getitem__, frames, ("a", "b"))
    blocks = [cells.rays_of(torch.tensor([b])) for b in range(len(cells.first) - 1)]
    assert sorted(torch.cat(blocks).tolist()) == list(range(len(bank)))
    assert all(len(set(cells.targets["a"].cell[rays].tolist())) == 1 for rays in blocks)
    together = cells.rays_of(torch.tensor([3, 1]))
    assert together.tolist() == blocks[3].tolist() + blocks[1].tolist()
    # By hand: the ray through pixel (x, y) of view 2 sees row y // 4, column x // 4 of map a.
    lattice = bank.lattices[2]
    for ray, (x, y) in zip(range(lattice.rays.start, lattice.rays.stop), lattice.xy().tolist(), strict=True):
        target = cells.targets["a"]
        expected = encodings[2].maps["a"][:, int(y) // 4, int(x) // 4].half()
        assert torch.equal(target.features[target.cell[ray]], expected)


def test_moments_are_those_of_all_cells_of_all_pictures():
    encodings = [ImageFeatures({"a": torch.randn(3, 4, 5) * 2 + 1}, 8, 10) for _ in range(4)]
    (of,) = map_moments(encodings, ("a",)).values()
    flat = torch.cat([one.maps["a"].flatten(1) for one in encodings], dim=1)
    torch.testing.assert_close(of.mean, flat.mean(1))
    torch.testing.assert_close(of.spread, float((flat - flat.mean(1, keepdim=True)).square().mean().sqrt()))
    torch.testing.assert_close(of.padding, torch.stack([one.maps["a"] for one in encodings]).mean(0))


def double_field() -> FeatureField:
    return new_field(a=2, b=1).double()


def targets_of(generator: torch.Generator) -> dict[str, tuple[Tensor, Tensor]]:
    draw = {"dtype": torch.float64, "generator": generator}
    return {
        "a": (torch.rand(3, 2, **draw), torch.tensor([0, 0, 2, 2, 2])),
        "b": (torch.rand(5, 1, **draw), torch.tensor([4, 3, 2, 1, 1])),
    }


def test_the_loss_is_eq_3_by_a_loop_and_its_gradients_are_right():
    generator = torch.Generator().manual_seed(0)
    field, targets = double_field(), targets_of(generator)
    latent = torch.rand(5, 8, dtype=torch.float64, generator=generator).requires_grad_()
    expected = 0.0
    for name, (features, cell) in targets.items():
        errors = []
        for of in set(cell.tolist()):
            seen = 2 + 3 * field.matrices[name](latent[cell == of].mean(0))
            errors += (((seen - features[of]) / 3) ** 2).tolist()
        expected += sum(errors) / len(errors)
    assert float(distillation_loss(field, latent, targets).detach()) == pytest.approx(expected, rel=1e-12)
    weight = field.matrices["a"].weight

    def loss(latent: Tensor, weight_of_a: Tensor) -> Tensor:
        field.matrices["a"].weight = torch.nn.Parameter(weight.detach())
        del field.matrices["a"].weight
        field.matrices["a"].weight = weight_of_a
        return distillation_loss(field, latent, targets)

    assert torch.autograd.gradcheck(loss, (latent, weight.detach().clone().requires_grad_()))


def two_colours(camera: Camera) -> ImageFeatures:
    """What an encoder says that knows ball from wall, on an 8 x 8 map."""
    share = cast(resized(camera, 64, 64))[1].reshape(8, 8, 8, 8).float().mean((1, 3))
    return ImageFeatures({"map": torch.stack([share, 1 - share]) * 4 - 1}, SIDE, SIDE)


def test_a_fitted_field_shows_an_unseen_camera_what_an_encoder_would_say():
    encodings = {view: two_colours(camera) for view, camera in CAMERAS.items()}
    frames = {view: frame_of(camera, map=8) for view, camera in CAMERAS.items()}
    moments = map_moments(list(encodings.values()), ("map",))
    generator = torch.Generator().manual_seed(0)
    bank = build_ray_bank(CAMERAS, stage_renderer(), total_rays=768, weight_threshold=1e-2, generator=generator)
    field = FeatureField(SMALL, moments, kernels_for("numba", CPU), generator)
    losses: list[float] = []
    distill(
        field,
        build_cell_bank(bank, encodings.__getitem__, frames, ("map",)),
        DistillationConfig(steps=80, rays=512, learning_rate=2e-2),
        generator,
        on_step=lambda step, steps, loss: losses.append(loss),
    )
    assert len(losses) == 80 and losses[-1] < 0.02
    unseen = camera_at(0.05, -0.05, NEAR, size=SIDE)
    shown = render_features(field, stage_renderer(), unseen, frame_of(unseen, map=8)).maps["map"]
    error = (shown - two_colours(unseen).maps["map"]) / moments["map"].spread
    assert float(error.square().mean()) < 0.05
    at = field.features_at(torch.tensor([[0.0, 0.0, -0.34], [0.6, 0.6, 0.81]]))["map"]
    torch.testing.assert_close(at, torch.tensor([[3.0, -1.0], [-1.0, 3.0]]), atol=0.6, rtol=0)


def test_a_constant_map_comes_back_as_it_is():
    constant = ImageFeatures({"map": torch.tensor([1.5, -2.0])[:, None, None].expand(2, 8, 8)}, SIDE, SIDE)
    moments = map_moments([constant, constant], ("map",))
    field = FeatureField(SMALL, moments, kernels_for("numba", CPU), torch.Generator().manual_seed(0))
    shown = render_features(field, stage_renderer(), CAMERAS[0], frame_of(CAMERAS[0], map=8)).maps["map"]
    torch.testing.assert_close(shown, constant.maps["map"], atol=1e-4, rtol=0)


def test_decode_of_maps_that_the_field_holds_exactly_is_decode_of_the_encoders():
    """Each point before the camera is painted with the features of the cells that it is seen in."""
    mini = load_mini(CPU, long_side=64)
    generator = torch.Generator().manual_seed(3)
    features = mini.encode(torch.randint(256, (64, 64, 3), generator=generator, dtype=torch.uint8))
    camera = camera_at(0.0, 0.0, size=64)
    frame = mini.map_frame(64, 64)

    def paint(p_world: Tensor) -> Tensor:
        xy, _ = project(camera, p_world)
        return torch.cat([features.maps[n].flatten(1).T[frame.cells(n, xy)] for n in frame.sizes], dim=1)

    field = Painted(paint, **{name: len(features.maps[name]) for name in frame.sizes})
    wall = renderer_of(lambda p: 1e4 * (p[:, 2] > 0.3).float())
    rendered = render_features(field, wall, camera, frame)
    for name, value in features.maps.items():
        torch.testing.assert_close(rendered.maps[name], value, atol=2e-3, rtol=2e-3)
    click = ViewPrompts(torch.tensor([[30.0, 34.0]]), torch.tensor([1]))
    (expected,), (found,) = mini.decode(features, [click]), mini.decode(rendered, [click])
    torch.testing.assert_close(found.mask_logits, expected.mask_logits, atol=0.05, rtol=0)
    assert math.isclose(float(found.predicted_iou[0]), float(expected.predicted_iou[0]), abs_tol=1e-3)
