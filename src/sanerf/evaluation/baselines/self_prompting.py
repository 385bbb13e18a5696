"""SA3D's cross-view self-prompting: which pixels of a rendered mask prompt the decoder (Cen et al. 2023, 3.3).

The first is the pixel of the largest confidence. With each prompt p' the confidence of all pixels p decays with their
distance from it in space, M(p) - min_p' max(M) d(G(p'), G(p)), so that what lies near some prompt stays likely, and
what the rendered mask has on another surface does not; a square about p' is taken out, so that prompts are spread. For
max(M) print has M(p'): then one doubtful prompt, whose M is small, lets all others pass, and the mask runs away. The
authors' settings, too, take the largest confidence, of what the decoder finds with the prompts so far.
"""

import math

import torch
from torch import Tensor

from sanerf.shapes import Bool, Float, Int64


def self_prompts(
    confidence: Float[Tensor, "rows columns"], p_world: Float[Tensor, "rows columns 3"], most: int
) -> Int64[Tensor, "points 2"]:
    """Up to `most` prompts inside of the object, as (row, column); none where no pixel's confidence is above zero.

    `p_world` is G, the surface under each pixel. Stops early where no remaining pixel has a score above zero.
    """
    shape = confidence.shape
    inside = confidence > 0
    remaining, decay = inside.clone(), torch.full_like(confidence, torch.inf)
    half = square_half_side(int(inside.sum()))
    out: list[tuple[int, int]] = []
    score, largest = confidence, confidence.max()
    while len(out) < most:
        score = score.masked_fill(~remaining, -torch.inf)
        row, column = divmod(int(score.argmax()), shape[1])
        if not float(score[row, column]) > 0:
            break
        out.append((row, column))
        remaining[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1] = False
        decay = torch.minimum(decay, largest * normalised_distance(p_world, inside, row, column))
        score = confidence - decay
    return torch.tensor(out, dtype=torch.int64).reshape(-1, 2)


def normalised_distance(
    p_world: Float[Tensor, "rows columns 3"], inside: Bool[Tensor, "rows columns"], row: int, column: int
) -> Float[Tensor, "rows columns"]:
    """d: the distance in space from one pixel inside, from 0 to 1 between the nearest and the farthest pixel inside."""
    distance = (p_world - p_world[row, column]).norm(dim=-1)
    of_inside = distance[inside]
    low, high = of_inside.min(), of_inside.max()
    return (distance - low) / (high - low).clamp(min=1e-12)


def square_half_side(area: int) -> int:
    """Half the side of the square that a prompt takes out: half the radius of a disc as large as the mask."""
    return max(1, int(math.sqrt(area / math.pi) / 2))
