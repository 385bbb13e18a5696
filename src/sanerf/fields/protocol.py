"""What the renderer asks of a radiance field, whoever trained it: f(x, d) = (sigma, c) of Eq. 1 in three questions."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from sanerf.shapes import Float


@runtime_checkable
class Field(Protocol):
    """A radiance field in the normalised world, answering on the device on which it is asked.

    A field may be asked for a few hundred thousand points at once. Nothing it gives may depend on the other points of a
    call. `docs/bring_your_own_field.md` has an example.
    """

    def density(
        self, p_world: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, "points"], Float[Tensor, "points geometry"]]:
        """Volume density per world unit, and whatever `colour` needs of each point: features, or the point itself."""
        ...

    def direction_code(self, directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays code"]:
        """What `colour` needs of unit directions of sight, asked once a ray; the directions themselves, if need be."""
        ...

    def colour(
        self, geometry: Float[Tensor, "points geometry"], direction_code: Float[Tensor, "points code"]
    ) -> Float[Tensor, "points 3"]:
        """sRGB in [0, 1] of points, by their `geometry`, seen along directions, by their code."""
        ...
