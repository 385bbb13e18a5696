"""3D prompts to views and clicks to 3D (Eq. 6): closed forms, inverse to each other, occlusion by a plane."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera
from sanerf.geometry.lenses import Lens
from sanerf.prompts.project import lift_points, project_prompts

W, H = 40, 30
PINHOLE = Camera(W, H, 35.0, 35.0, 20.0, 15.0, torch.eye(4, dtype=torch.float64))


def points(*xyz: tuple[float, float, float]) -> Tensor:
    return torch.tensor(xyz, dtype=torch.float64)


def flat(depth: float) -> Tensor:
    return torch.full((H, W), depth, dtype=torch.float64)


def posed(angle: float, shift: tuple[float, float, float], distortion: tuple[float, ...] = ()) -> Camera:
    cos, sin = math.cos(angle), math.sin(angle)
    pose = torch.eye(4, dtype=torch.float64)
    about_y = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=torch.float64)
    about_x = torch.tensor([[1, 0, 0], [0, cos, -sin], [0, sin, cos]], dtype=torch.float64)
    pose[:3, :3] = about_y @ about_x
    pose[:3, 3] = torch.tensor(shift, dtype=torch.float64)
    return Camera(W, H, 35.0, 37.0, 19.0, 16.0, pose, Lens("opencv", distortion))


def test_projection_closed_form():
    """x = 35 X / Z + 20, y = 35 Y / Z + 15."""
    xy, visible = project_prompts(PINHOLE, points((0, 0, 2), (0.4, -0.2, 2), (-1, 0.5, 4)), flat(5.0), 0.01)
    torch.testing.assert_close(xy, torch.tensor([[20.0, 15], [27, 11.5], [11.25, 19.375]], dtype=torch.float64))
    assert visible.tolist() == [True, True, True]


def test_behind_and_off_screen_are_rejected():
    """A point behind the camera projects onto the picture all the same; only its depth tells."""
    _, visible = project_prompts(
        PINHOLE, points((0, 0, -2), (5, 0, 2), (0, -5, 2), (0, 0, 0), (0.1, 0.1, 2)), flat(torch.inf), 0.01
    )
    assert visible.tolist() == [False, False, False, False, True]


@pytest.mark.parametrize("scale", [0.01, 1.0, 500.0])
def test_occlusion_by_a_plane_is_relative_to_its_depth(scale: float):
    """A wall at depth 2 over the left half, a floor at depth 4 over the right; the same at every scale."""
    depth = flat(4.0)
    depth[:, :20] = 2.0
    shown = points((-0.5, 0, 1.5), (-0.5, 0, 2.0), (-0.5, 0, 2.03), (-0.5, 0, 2.1), (0.5, 0, 2.1), (0.5, 0, 4.1))
    _, visible = project_prompts(PINHOLE, shown * scale, depth * scale, 0.02)
    assert visible.tolist() == [True, True, True, False, True, False]


def test_a_thin_structure_does_not_hide_the_point_beside_it():
    """A wire of one pixel at depth 1 before a wall at 4: the wall's point under the wire's blurred edge is kept."""
    depth = flat(4.0)
    depth[:, 20] = 1.0
    _, visible = project_prompts(PINHOLE, points((0.05, 0, 4.0)), depth, 0.02)
    assert visible.tolist() == [True]
    depth[:, 19:22] = 1.0
    _, visible = project_prompts(PINHOLE, points((0.05, 0, 4.0)), depth, 0.02)
    assert visible.tolist() == [False]


def test_nothing_rendered_shows_nothing():
    for depth in (0.0, torch.nan):
        assert not bool(project_prompts(PINHOLE, points((0, 0, 2)), flat(depth), 0.01).visible.any())


def test_a_lens_that_folds_back_does_not_show_points_from_outside():
    """The polynomial r (1 - 0.3 r^2) turns at r = 1.05 and would take a point at 1.7 to 0.226, onto the picture."""
    camera = posed(0.0, (0.0, 0.0, 0.0), (-0.3,))
    result = project_prompts(camera, points((1.7 * 2, 0, 2), (0.2, 0, 2)), flat(torch.inf), 0.01)
    assert result.visible.tolist() == [False, True]


def test_lift_closed_form():
    p_world = lift_points(
        torch.tensor([[20.0, 15.0], [27.0, 11.5]], dtype=torch.float64),
        flat(2.0),
        PINHOLE,
        accumulation=torch.ones(H, W, dtype=torch.float64),
        view="a.jpg",
    )
    torch.testing.assert_close(p_world, points((0, 0, 2), (0.4, -0.2, 2)))


@settings(deadline=None)
@given(
    st.floats(0, W - 1e-3), st.floats(0, H - 1e-3), st.floats(0.05, 50), st.floats(-3, 3),
    st.tuples(*[st.floats(-5, 5)] * 3), st.sampled_from([(), (-0.1, 0.02, 1e-3, -2e-3)]),
)  # fmt: skip
def test_project_after_lift_is_the_identity(x, y, depth, angle, shift, distortion):
    camera = posed(angle, shift, distortion)
    xy = torch.tensor([[x, y]], dtype=torch.float64)
    p_world = lift_points(xy, flat(depth), camera, accumulation=flat(1.0), view="a.jpg")
    back, visible = project_prompts(camera, p_world, flat(depth), 1e-6)
    torch.testing.assert_close(back, xy, atol=1e-7, rtol=0)
    on_border = min(x, y) < 1e-6  # rounding may put it off the picture
    assert bool(visible[0]) or on_border


def test_lift_in_float32_stays_in_float32():
    xy = torch.tensor([[3.3, 7.7]])
    p_world = lift_points(xy, flat(2.0).float(), PINHOLE, accumulation=torch.ones(H, W), view="a.jpg")
    assert p_world.dtype == torch.float32
    torch.testing.assert_close(project_prompts(PINHOLE, p_world, flat(2.0).float(), 1e-3).xy, xy)


def lifted_depth(depth: Tensor, accumulation: Tensor | None = None, xy: tuple[float, float] = (20.5, 15.5)) -> float:
    weight = torch.ones(H, W, dtype=torch.float64) if accumulation is None else accumulation
    where = torch.tensor([xy], dtype=torch.float64)
    return float(lift_points(where, depth, PINHOLE, accumulation=weight, view="a.jpg")[0, 2])


def test_a_lone_depth_is_replaced_by_the_median_and_a_wire_is_not():
    depth = flat(4.0)
    depth[15, 20] = 2.5
    assert lifted_depth(depth) == pytest.approx(4.0)
    depth[:, 20] = 2.5
    assert lifted_depth(depth) == pytest.approx(2.5)


def test_slanted_surfaces_keep_their_own_depth():
    """Between neighbours of 2 % difference the pixel's own depth holds to the last digit."""
    depth = 2.0 * 1.02 ** torch.arange(W, dtype=torch.float64).expand(H, W)
    assert lifted_depth(depth) == pytest.approx(float(depth[15, 20]), rel=1e-12)


def test_empty_neighbours_do_not_enter_the_median():
    depth, accumulation = flat(0.0), flat(0.0)
    depth[14, 20], depth[15, 20], depth[16, 20] = 3.0, 1.0, 3.0
    accumulation[14:17, 20] = 0.9
    assert lifted_depth(depth, accumulation) == pytest.approx(3.0)


def test_the_pictures_corner_has_a_neighbourhood():
    assert lifted_depth(flat(3.0), xy=(0.0, 0.0)) == pytest.approx(3.0)
    assert lifted_depth(flat(3.0), xy=(W - 0.01, H - 0.01)) == pytest.approx(3.0)


def test_clicks_on_nothing_are_named():
    accumulation = flat(1.0)
    accumulation[4, 12] = 0.49
    with pytest.raises(UserError, match=r"the click at \(12\.5, 4\.0\) in a\.jpg is on empty space"):
        lifted_depth(flat(1.0), accumulation, (12.5, 4.0))
    with pytest.raises(UserError, match=r"outside of a\.jpg"):
        lifted_depth(flat(1.0), None, (float(W), 4.0))
