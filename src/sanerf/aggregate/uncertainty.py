"""Where an object's rendered mask is likely to be wrong, and how good it is expected to be, without any truth.

A pixel's identity probabilities (Eq. 7) are about the share of views that say so. Views are witnesses that err apart
from each other, so that a majority is surer than its share: log odds of the object against its strongest rival are
multiplied by `WITNESSES`. A view's own 2D mask that contradicts the rendering adds to what is likely wrong, as far as
it agrees elsewhere: one that shows something else tells nothing about this object's pixels.

Both constants were chosen on one seed of the noisy oracle; docs/uncertainty.md has what they do on others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sanerf.aggregate.agreement import mask_agreement
from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.geometry.cameras import Camera
from sanerf.shapes import Float

WITNESSES = 2.0
"""Log odds that were rendered count this many times: with it as many pixels are wrong as are expected to be."""
_CONTRADICTION = 0.25
"""How likely a pixel is wrong that the field is sure of and a mask contradicts that otherwise agrees with the field and
that its decoder is sure of."""
_LEAST_PROBABILITY = 1e-7


def object_probability(probability: Float[Tensor, "*axes objects"], index: int) -> Float[Tensor, "*axes"]:
    """How likely pixels are of identity `index` rather than of its strongest rival, from identity probabilities
    (Eq. 7): above one half where it is the most probable."""
    others = torch.cat([probability[..., :index], probability[..., index + 1 :]], dim=-1).amax(dim=-1)
    return against_rival(probability[..., index], others)


def against_rival(probability: Float[Tensor, "*axes"], rival: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """The same from an identity's probability and the largest of the others'."""
    log_odds = probability.clamp(min=_LEAST_PROBABILITY).log() - rival.clamp(min=_LEAST_PROBABILITY).log()
    return torch.sigmoid(WITNESSES * log_odds)


def wrong_probability(of_object: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """How likely a mask, cut at one half of `of_object`, is wrong in each pixel by these probabilities alone."""
    return torch.minimum(of_object, 1 - of_object)


def contradicted(
    of_object: Float[Tensor, "*axes"], mask: Float[Tensor, "*axes"], belief: float
) -> Float[Tensor, "*axes"]:
    """How likely the rendered mask is wrong in each pixel if a 2D mask (a probability) is right where it says otherwise
    with `belief` times its own probability, whatever else may be wrong."""
    against = torch.where(of_object > 0.5, 1 - mask, mask)
    return 1 - (1 - wrong_probability(of_object)) * (1 - belief * against)


def belief_in(mask: ViewMask, agreement: float) -> float:
    """How far a view's mask is believed against the field, with whose rendering it has the IoU `agreement`."""
    return _CONTRADICTION * agreement * min(max(mask.predicted_iou, 0.0), 1.0)


@dataclass(frozen=True)
class ObjectInView:
    """What is known of one object in one view: its probabilities at the view's lattice, as an object and what is none,
    its 2D mask, and that one's IoU with the rendering; None where the view has no mask."""

    rendered: RenderedIdentities
    mask: ViewMask | None
    agreement: float | None

    @property
    def probability(self) -> Float[Tensor, "rows columns"]:
        return self.rendered.probability[..., 1]

    def lattice_errors(self) -> Float[Tensor, "rows columns"]:
        """How likely the rendered mask is wrong at each pixel of the lattice."""
        given = None if self.mask is None else self.rendered.lattice.pick(self.mask.probability)
        return self._errors(self.probability, given)

    def picture_errors(self, camera: Camera) -> Float[Tensor, "h w"]:
        """The same in every pixel of the view's picture, interpolated between the lattice's."""
        return self._errors(self.rendered.upsampled(1, camera), None if self.mask is None else self.mask.probability)

    def _errors(self, of_object: Tensor, given: Tensor | None) -> Tensor:
        if self.mask is None or self.agreement is None or given is None:
            return wrong_probability(of_object)
        return contradicted(of_object, given, belief_in(self.mask, self.agreement))


def object_in_views(
    rendered: dict[int, RenderedIdentities], masks: ViewMasks, *, index: int, name: str
) -> dict[int, ObjectInView]:
    """Identity `index` (background is 0), called `name`, in each view that was rendered."""
    own: dict[int, RenderedIdentities] = {}
    for view, of in rendered.items():
        probability = object_probability(of.probability, index)
        own[view] = RenderedIdentities(of.lattice, torch.stack([1 - probability, probability], dim=-1))
    of_name = {view: {name: masks[view][name]} for view in own if name in masks.get(view, {})}
    agreement = mask_agreement(own, of_name, [name], least_area=0.0)
    return {
        view: ObjectInView(of, of_name[view][name], agreement[view][name])
        if view in of_name
        else ObjectInView(of, None, None)
        for view, of in own.items()
    }
