"""The ball of the stage alone: without the wall behind it, cut by a box, and seen from all round."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analytic_scene import BALL_RADIUS, RED, camera_at, cast, stage_renderer
from sanerf.aggregate.evidence import Evidence
from sanerf.data.scene import Scene
from sanerf.export.from_run import ObjectSource
from sanerf.export.isolate import isolated_renderer, orbit_cameras, render_orbit
from sanerf.fields.known import KnownSpace
from sanerf.fields.object import ObjectField
from sanerf.fields.voted import VotedField, VotedVolume
from sanerf.geometry.cameras import project
from sanerf.geometry.transforms import IDENTITY
from sanerf.render.images import render_image
from sanerf.run.config import RunConfig
from sanerf.run.folder import Run
from sanerf.run.segmentation import Segmentation

SIZE = 32
LOW, HIGH = torch.full((3,), -0.5), torch.full((3,), 0.5)


class BallField(ObjectField):
    """The second object wherever the ball is with a margin about it, and in a stray cube far away; else background."""

    def __init__(self):
        torch.nn.Module.__init__(self)

    def forward(self, p_world):
        logits = torch.zeros(len(p_world), 3)
        stray = (p_world[:, 2] > 0.8) & (p_world[:, 0] > 0.5)
        logits[:, 2] = torch.where((p_world.norm(dim=1) < BALL_RADIUS + 0.05) | stray, 6.0, -6.0)
        return logits


@pytest.fixture(scope="module")
def source() -> ObjectSource:
    scene = Scene(Path("nowhere"), "made up", (), (), (), IDENTITY, 0.05, 3.0)
    segmentation = Segmentation(Path("nowhere"), ("hat", "ball"), BallField(), {})
    return ObjectSource(Run(Path("nowhere"), scene, RunConfig()), stage_renderer(), segmentation, "ball")


def test_the_object_stays_and_the_rest_goes(source):
    camera = camera_at(0.1, 0.05, size=SIZE)
    image = render_image(isolated_renderer(source, low=LOW, high=HIGH), camera)
    truth = cast(camera)[1].reshape(SIZE, SIZE)
    # Pixels apart, whose rays pass the rim within the width of a cell.
    assert int(((image.accumulation > 0.5) ^ truth).sum()) <= 0.05 * int(truth.sum())
    middle = image.rgb[SIZE // 2, SIZE // 2]
    torch.testing.assert_close(middle, torch.tensor(RED), rtol=0, atol=0.02)


def test_the_box_cuts_the_object(source):
    camera = camera_at(0.0, 0.0, size=SIZE)
    image = render_image(isolated_renderer(source, low=torch.tensor([0.0, -0.5, -0.5]), high=HIGH), camera)
    solid = image.accumulation > 0.5
    truth = cast(camera)[1].reshape(SIZE, SIZE)
    assert not solid[:, : SIZE // 2 - 1].any()
    assert bool(solid[:, SIZE // 2 + 1 :][truth[:, SIZE // 2 + 1 :]].float().mean() > 0.9)


def test_an_orbit_looks_at_its_centre_upright_and_holds_the_object():
    centre, radius = torch.tensor([0.2, -0.1, 0.3], dtype=torch.float64), 0.4
    cameras = orbit_cameras(centre, radius, size=100, frames=8)
    assert len({tuple(camera.centre.tolist()) for camera in cameras}) == 8
    for camera in cameras:
        above = centre + torch.tensor([0.0, 0.0, radius], dtype=torch.float64)
        xy, depth_z = project(camera, torch.stack([centre, above]))
        torch.testing.assert_close(xy[0], torch.tensor([50.0, 50.0], dtype=torch.float64))
        torch.testing.assert_close(xy[1, 0], torch.tensor(50.0, dtype=torch.float64))
        assert 0 < float(xy[1, 1]) < 50 and bool((depth_z > 0).all())
        # The half angle under which a ball of the radius is seen, against the half angle of view.
        assert radius / float((camera.centre - centre).norm()) < 50 / camera.fx


def test_an_orbit_is_rendered_on_light_grey(source):
    frames = list(render_orbit(source, low=LOW, high=HIGH, size=24, frames=2))
    assert len(frames) == 2
    for frame in frames:
        torch.testing.assert_close(frame[0, 0], torch.full((3,), 0.92), rtol=0, atol=0.01)
        torch.testing.assert_close(frame[12, 12], torch.tensor(RED), rtol=0, atol=0.02)


def evidence_about_the_ball() -> Evidence:
    """Masks saw all there is; in the ball's cube of 0.8 all votes are for it, beyond none is for anything."""
    edge = torch.full((3,), 0.4)
    shares = [torch.zeros(2, 2, 2), torch.ones(2, 2, 2)]
    claims = VotedField([VotedVolume.of_shares(-edge, edge, share) for share in shares])
    return Evidence(KnownSpace(torch.ones(8, 8, 8, dtype=torch.bool)), claims)


def test_what_masks_contradict_or_never_saw_is_no_part_of_the_object(source):
    """The stray cube is solid wall: it shows where nothing is known of masks, and is gone where they are asked."""
    camera, whole = camera_at(0.0, 0.0, size=SIZE), torch.full((3,), 1.0)
    truth = cast(camera)[1].reshape(SIZE, SIZE)

    def solid(evidence: Evidence | None) -> torch.Tensor:
        asked = replace(source, segmentation=replace(source.segmentation, evidence=evidence))
        return render_image(isolated_renderer(asked, low=-whole, high=whole), camera).accumulation > 0.5

    stray = solid(None) & ~truth
    assert int(stray[:, -SIZE // 4 :].sum()) > 10, "the stray cube is at the right"
    evidence = evidence_about_the_ball()
    assert int((solid(evidence) ^ truth).sum()) <= 0.05 * int(truth.sum())
    unseen = replace(evidence, known=KnownSpace(torch.zeros(8, 8, 8, dtype=torch.bool)))
    assert not solid(unseen).any()
