"""Training of the object field on a bank of rays (Eq. 7, 8), and on local pairs of rays after a while (Eq. 14)."""

from collections.abc import Callable

import torch

from sanerf.aggregate.identities import ray_logits
from sanerf.aggregate.local_rays import RayPairConfig, Surroundings, build_local_rays, error_maps, ray_pair_term
from sanerf.aggregate.losses import identity_cross_entropy
from sanerf.aggregate.ray_bank import RayBank
from sanerf.fields.object import ObjectField


def train_object_field(
    field: ObjectField,
    bank: RayBank,
    *,
    steps: int,
    rays: int,
    learning_rate: float,
    generator: torch.Generator,
    ray_pairs: tuple[RayPairConfig, Surroundings] | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> None:
    """Fit `field` to the bank's identities, on the radiance field's frozen weights.

    With `ray_pairs` the ray-pair RGB loss joins after a share of the steps, on local rays that are drawn where the
    field and the masks differ by then. `on_step(step, steps, loss)` is called after each step. The learning rate falls
    as a cosine to a twentieth.
    """
    device = bank.weights.device
    # A pixel that may be anything teaches nothing, nor does one that nobody trusts.
    tells = (~bank.possible).any(dim=1)
    telling = (tells if bank.trust is None else tells & (bank.trust > 0)).nonzero()[:, 0]
    optimizer = torch.optim.Adam(field.parameters(), lr=learning_rate, betas=(0.9, 0.99), eps=1e-15, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=learning_rate / 20)
    building = _building_steps(ray_pairs[0], steps) if ray_pairs is not None else []
    # Chances of their own: the bank's rays are drawn the same with the pairs and without.
    pair_chances = torch.Generator().manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
    local = None
    for step in range(1, steps + 1):
        if ray_pairs is not None and step in building:
            config, around = ray_pairs
            local = build_local_rays(bank, error_maps(field, bank, config.sharpness), around, config, pair_chances)
        drawn = telling[torch.randint(len(telling), (min(rays, len(telling)),), generator=generator).to(device)]
        weights = None if bank.trust is None else bank.trust[drawn]
        loss = identity_cross_entropy(ray_logits(field, bank, drawn), bank.possible[drawn], weights)
        if ray_pairs is not None and local is not None:
            loss = loss + ray_pairs[0].weight * ray_pair_term(field, local, ray_pairs[0], pair_chances)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step, steps, loss.item())


def _building_steps(config: RayPairConfig, steps: int) -> list[int]:
    """The steps before which local rays are built; none where the loss has no weight."""
    first = round(config.start * steps)
    builds = config.builds if config.weight > 0 else 0
    return [first + 1 + (steps - first) * k // builds for k in range(builds)]
