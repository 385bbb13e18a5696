"""Which clicks speak in which view."""

import torch

from analytic_scene import camera_at
from sanerf.geometry.cameras import image_rays
from sanerf.prompts.hearing import far_reaching, said_in
from sanerf.prompts.lift import IN_SPACE, LiftedPrompts

SIZE = 200
CAMERAS = {2: camera_at(0.0, 0.0, size=SIZE), 5: camera_at(0.3, 0.0, size=SIZE)}


def on_the_wall(view: int, column: int, row: int) -> torch.Tensor:
    """The point of the plane z = 0.5 under a pixel's centre."""
    rays = image_rays(CAMERAS[view])
    origin, direction = rays.origins[row * SIZE + column], rays.directions[row * SIZE + column]
    return (origin + direction * (0.5 - origin[2]) / direction[2])[None].float()


def clicks(places: list[tuple[int, int]], labels: list[int], views: tuple[int, ...]) -> LiftedPrompts:
    points = torch.cat([on_the_wall(2, column, row) for column, row in places])
    return LiftedPrompts("cup", points, torch.tensor(labels), views)


def middle(view: int) -> torch.Tensor:
    """Columns 50 to 149 of rows 20 to 179."""
    out = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    out[20:180, 50:150] = True
    return out


def test_clicks_outside_at_an_edge_speak_in_their_own_view_alone():
    # Pixels beside the edge of what is shown, deep inside of it, far outside, and one that is inside the object.
    lifted = clicks([(50, 99), (150, 99), (100, 99), (180, 99), (50, 101)], [0, 0, 0, 0, 1], (2,) * 5)
    far = far_reaching(lifted, CAMERAS, middle)
    assert far.tolist() == [False, False, True, True, True]
    assert torch.equal(said_in(lifted, 2, far).p_world, lifted.p_world)
    elsewhere = said_in(lifted, 5, far)
    assert torch.equal(elsewhere.p_world, lifted.p_world[2:]) and elsewhere.labels.tolist() == [0, 0, 1]
    assert elsewhere.views == (2, 2, 2)


def test_clearance_is_a_hundredth_of_the_diagonal():
    """2.83 pixels: two pixels from the edge is too near, three is not."""
    lifted = clicks([(51, 99), (52, 99), (147, 99), (152, 99), (153, 99)], [0] * 5, (2,) * 5)
    # Column 50 is the first one inside, one pixel from column 49.
    assert far_reaching(lifted, CAMERAS, middle).tolist() == [False, True, True, True, True]
    near = clicks([(148, 99), (151, 99)], [0] * 2, (2,) * 2)
    assert far_reaching(near, CAMERAS, middle).tolist() == [False, False]


def test_where_nothing_is_shown_a_click_outside_is_far_from_it():
    lifted = clicks([(100, 99)], [0], (2,))
    assert far_reaching(lifted, CAMERAS, lambda view: ~middle(view) & middle(view)).tolist() == [True]


def test_points_of_held_out_views_are_heard_and_those_in_space_are_said_everywhere():
    lifted = clicks([(50, 99), (50, 99)], [0, 0], (9, IN_SPACE))
    far = far_reaching(lifted, CAMERAS, lambda view: 1 / 0)
    assert far.tolist() == [True, False]
    assert len(said_in(lifted, 5, far).labels) == 2


def test_only_views_that_were_clicked_outside_of_the_object_are_looked_at():
    looked = []

    def shown_in(view: int) -> torch.Tensor:
        looked.append(view)
        return middle(view)

    far_reaching(clicks([(100, 99), (100, 90), (90, 99)], [1, 0, 0], (2, 5, 5)), CAMERAS, shown_in)
    assert looked == [5]
