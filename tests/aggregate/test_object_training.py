"""The object field learns exact masks of the stage and gives them back in a view that it has not seen."""

from dataclasses import replace

import pytest
import torch

from analytic_scene import camera_at, cast, numba_kernels, picture, stage_renderer
from sanerf.aggregate.identities import identity_probabilities
from sanerf.aggregate.local_rays import RayPairConfig, Surroundings
from sanerf.aggregate.losses import mask_logits
from sanerf.aggregate.ray_bank import RayBank, build_ray_bank, with_masks
from sanerf.aggregate.training import train_object_field
from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.evaluation.masks import count_masks
from sanerf.fields.object import ObjectConfig, ObjectField
from sanerf.geometry.cameras import Camera, image_rays
from sanerf.render.images import render_image

SIZE = 40
VIEWS = [(0.0, 0.0), (-0.5, 0.1), (0.5, -0.1), (0.1, -0.5), (-0.1, 0.5)]
CAMERAS = {view: camera_at(*xy, size=SIZE) for view, xy in enumerate(VIEWS)}
CONFIG = ObjectConfig(levels=4, entries_log2=12, coarsest=8, finest=64, hidden=16)


@pytest.fixture(scope="module")
def bank() -> RayBank:
    """Exact masks of the ball, and in all but the first view also of the wall's left half."""
    bank = build_ray_bank(
        CAMERAS, stage_renderer(),
        total_rays=10**6, weight_threshold=0.01, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return with_masks(bank, view_masks(), ["ball", "left"])


def view_masks() -> ViewMasks:
    masks: ViewMasks = {}
    for view, camera in CAMERAS.items():
        truth = true_identities(camera)
        masks[view] = {"ball": ViewMask((truth == 1).float(), 1.0)}
        if view > 0:
            masks[view]["left"] = ViewMask((truth == 2).float(), 1.0)
    return masks


def true_identities(camera: Camera) -> torch.Tensor:
    """0 background, 1 the ball, 2 the wall where its x is negative."""
    distance, ball = cast(camera)
    rays = image_rays(camera)
    x = rays.origins[:, 0] + distance.float() * rays.directions[:, 0]
    left = ~ball & distance.isfinite() & (x < 0)
    return (ball.long() + 2 * left.long()).reshape(camera.height, camera.width)


def trained(
    bank: RayBank,
    seed: int,
    steps: int,
    losses: list[float] | None = None,
    ray_pairs: tuple[RayPairConfig, Surroundings] | None = None,
) -> ObjectField:
    generator = torch.Generator().manual_seed(seed)
    field = ObjectField(CONFIG, 3, numba_kernels, generator)
    train_object_field(
        field, bank, steps=steps, rays=1024, learning_rate=2e-2, generator=generator,
        ray_pairs=ray_pairs, on_step=None if losses is None else lambda step, steps, loss: losses.append(loss),
    )  # fmt: skip
    return field


def test_exact_masks_come_back_in_a_held_out_view(bank):
    """Above an IoU of 0.97 for both objects at once: of about 1200 and 700 pixels, no more than the borders' blur."""
    losses: list[float] = []
    field = trained(bank, seed=0, steps=200, losses=losses)
    assert len(losses) == 200 and sum(losses[-10:]) / 10 < 0.05 * losses[0]
    held_out = camera_at(0.2, 0.15, size=64)
    image = render_image(stage_renderer(), held_out, head=field)
    assert image.values is not None
    logits = mask_logits(image.values.reshape(-1, 3), image.accumulation.reshape(-1))
    found = logits.argmax(dim=1).reshape(64, 64)
    truth = true_identities(held_out)
    for identity in (1, 2):
        assert count_masks(found == identity, truth == identity).iou > 0.97


def test_ray_pairs_join_after_a_share_of_the_steps(bank):
    """Until then nothing differs; from there the loss has one term more, and masks are as good as without."""
    around = Surroundings(
        CAMERAS, stage_renderer(), view_masks(), ["ball", "left"], lambda view: picture(CAMERAS[view])[0], 0.01
    )
    config = RayPairConfig(weight=1.0, start=0.5, builds=2, stored_points=20, points=4, views=3)
    without: list[float] = []
    trained(bank, 0, steps=20, losses=without)
    losses: list[float] = []
    field = trained(bank, 0, steps=20, losses=losses, ray_pairs=(config, around))
    assert losses[:10] == without[:10] and losses[10] != without[10]
    off: list[float] = []
    trained(bank, 0, steps=20, losses=off, ray_pairs=(replace(config, weight=0.0), around))
    assert off == without
    with torch.no_grad():
        probability = identity_probabilities(field, bank, torch.arange(len(bank)))
    known = bank.possible.sum(dim=1) == 1
    right = bank.possible[known].gather(1, probability[known].argmax(dim=1, keepdim=True))
    assert float(right.float().mean()) > 0.97


def test_training_is_a_function_of_bank_and_seed(bank):
    first, same, other = (trained(bank, seed, steps=5).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["grid.table"], other["grid.table"])


def test_rays_that_may_be_anything_are_not_drawn(bank):
    """Such rays of no use weigh NaN here: one of them in a step would make its loss NaN."""
    masked = torch.zeros(len(bank), dtype=torch.bool)
    masked[bank.lattices[2].rays] = masked[bank.lattices[4].rays] = True
    possible = bank.possible.masked_fill(~masked[:, None], True)
    rays_of_samples = torch.repeat_interleave(torch.arange(len(bank)), bank.first_sample.diff())
    weights = bank.weights.masked_fill(~masked[rays_of_samples], torch.nan)
    accumulation = bank.accumulation.masked_fill(~masked, torch.nan)
    losses: list[float] = []
    trained(replace(bank, possible=possible, weights=weights, accumulation=accumulation), 0, steps=3, losses=losses)
    assert len(losses) == 3 and all(loss == loss for loss in losses)
