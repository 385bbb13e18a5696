"""Training of the object field on a bank of rays (Eq. 7, 8)."""

from collections.abc import Callable

import torch

from sanerf.aggregate.losses import identity_cross_entropy, mask_logits
from sanerf.aggregate.ray_bank import RayBank
from sanerf.fields.object import ObjectField
from sanerf.render.renderer import accumulate


def train_object_field(
    field: ObjectField,
    bank: RayBank,
    *,
    steps: int,
    rays: int,
    learning_rate: float,
    generator: torch.Generator,
    on_step: Callable[[int, int, float], None] | None = None,
) -> None:
    """Fit `field` to the bank's identities, on the radiance field's frozen weights.

    `on_step(step, steps, loss)` is called after each step. The learning rate falls as a cosine to a twentieth.
    """
    device = bank.weights.device
    # A pixel that may be anything teaches nothing.
    telling = (~bank.possible).any(dim=1).nonzero()[:, 0]
    optimizer = torch.optim.Adam(field.parameters(), lr=learning_rate, betas=(0.9, 0.99), eps=1e-15, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=learning_rate / 20)
    for step in range(1, steps + 1):
        drawn = telling[torch.randint(len(telling), (min(rays, len(telling)),), generator=generator).to(device)]
        kept = bank.gather(drawn)
        composited = accumulate(field(kept.p_world), kept.weights, kept.ray_index, kept.rays)
        loss = identity_cross_entropy(mask_logits(composited, bank.accumulation[drawn]), bank.possible[drawn])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step, steps, loss.item())
