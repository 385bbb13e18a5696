"""The radiance field's density and colour in closed form; the object field's logits."""

import math

import torch

from sanerf.fields.object import ObjectConfig, ObjectField
from sanerf.fields.radiance import RadianceConfig, RadianceField
from sanerf.kernels.backend import kernels_for

NUMBA = kernels_for("numba", torch.device("cpu"))
SMALL = RadianceConfig(levels=3, entries_log2=8, coarsest=4, finest=16, hidden=8, geometry=5)


def radiance_field() -> RadianceField:
    return RadianceField(SMALL, NUMBA, torch.Generator().manual_seed(0))


def points(count: int) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(1))


def test_a_fresh_field_is_a_thin_even_fog():
    """Features of 1e-4 leave the density head near zero, so that the density is near exp(-1) everywhere."""
    density, geometry = radiance_field().density(points(50))
    torch.testing.assert_close(density, torch.full((50,), math.exp(-1)), rtol=5e-3, atol=0)
    assert geometry.shape == (50, 5)


def test_density_is_the_exponential_of_the_first_output_up_to_its_bound():
    field = radiance_field()
    last = field.density_head[-1]
    for bias, expected in ((3.0, math.exp(2.0)), (16.0, math.exp(15.0)), (80.0, math.exp(15.0))):
        with torch.no_grad():
            last.weight.zero_()
            last.bias[0] = bias
        torch.testing.assert_close(field.density(points(4))[0], torch.full((4,), expected))


def test_colour_is_a_sigmoid_of_geometry_and_direction():
    field = radiance_field()
    geometry, code = torch.randn(6, 5), torch.randn(6, 16)
    expected = 1 / (1 + torch.exp(-field.colour_head(torch.cat([geometry, code], dim=1))))
    torch.testing.assert_close(field.colour(geometry, code), expected)


def test_gradients_reach_every_parameter():
    field = radiance_field()
    density, geometry = field.density(points(200))
    (density.sum() + field.colour(geometry, torch.ones(200, 16)).sum()).backward()
    for name, parameter in field.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name


def test_object_field_is_its_head_on_its_grid_and_knows_no_direction():
    config = ObjectConfig(levels=2, entries_log2=8, coarsest=4, finest=8, hidden=8)
    field = ObjectField(config, 4, NUMBA, torch.Generator().manual_seed(0))
    p_world = points(9)
    logits = field(p_world)
    assert logits.shape == (9, 4)
    torch.testing.assert_close(logits, field.head(field.grid(p_world)))
    torch.testing.assert_close(field(p_world.flip(0)), logits.flip(0))
