"""An object field that goes on from an earlier one: other objects come to it, and only they are asked about again.

The hash grid and the hidden layer are shared by all identities, and the head's last layer has a row for each. So an
identity that stays brings its row along, and a new one begins as background does, a little less likely everywhere: at
first the field answers as the earlier one did, and from there the masks part the new object from its surroundings.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from sanerf.aggregate.revise import RenderedIdentities
from sanerf.fields.object import ObjectConfig, ObjectField
from sanerf.fields.voted import VotedField
from sanerf.kernels.backend import Kernels

LESS_LIKELY = 2.0
"""A new object's logit is so much below the background's where nothing has been learnt of it."""


def widened_field(
    before: ObjectField,
    names_before: Sequence[str],
    names: Sequence[str],
    config: ObjectConfig,
    kernels: Kernels,
    voted: VotedField | None = None,
) -> ObjectField:
    """A field of the objects `names` that starts from one of `names_before`, on its device, ready to be trained.

    Objects without a place in the earlier field begin as its background less `LESS_LIKELY`; those without a place in
    the new one are left out. All of space is every object's again. Where the earlier field learnt on top of a vote, so
    does the new one: on top of `voted`, a vote of `names`, of which new objects have learnt nothing yet.
    """
    assert (before.start is None) == (voted is None), "a field learns on top of a vote, or of none"
    field = ObjectField(config, 1 + len(names), kernels, torch.Generator(), voted).to(before.box_low.device)
    old = {name: row for row, name in enumerate(names_before, start=1)}
    rows = [0, *(old.get(name, 0) for name in names)]
    last = str(len(before.head) - 1)
    head = {key: value[rows] if key.split(".")[0] == last else value for key, value in before.head.state_dict().items()}
    fresh = torch.tensor([False, *(name not in old for name in names)], device=before.box_low.device)
    if voted is None:
        head[f"{last}.bias"] -= LESS_LIKELY * fresh
    else:
        head[f"{last}.weight"][fresh] = 0
        head[f"{last}.bias"][fresh] = 0
    field.head.load_state_dict(head)
    field.grid.load_state_dict(before.grid.state_dict())
    return field


def of_identities(rendered: RenderedIdentities, names: Sequence[str], asked: Sequence[str]) -> RenderedIdentities:
    """What was rendered of some objects, in the order of `asked`, behind the most probable of all other identities:
    an object is the most probable identity where it was before."""
    chosen = [1 + list(names).index(name) for name in asked]
    others = [index for index in range(1 + len(names)) if index not in chosen]
    probability = rendered.probability
    rest = probability[..., others].amax(dim=-1, keepdim=True)
    return replace(rendered, probability=torch.cat([rest, probability[..., chosen]], dim=-1))
