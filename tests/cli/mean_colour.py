"""A segmenter whose features are colours, which a feature field can learn."""

import torch
import torch.nn.functional as F

from sanerf.segmenter.frame import MapFrame
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses


class ByMeanColour:
    """A segmenter whose one map is the picture's colour at half its size; of red and blue it takes what was clicked."""

    name = fingerprint = "by mean colour"

    def __init__(self):
        self.encoded = 0

    def encode(self, image):
        self.encoded += 1
        half = F.avg_pool2d(image.permute(2, 0, 1)[None].float() / 255, 2)[0]
        return ImageFeatures({"colour": half}, image.shape[0], image.shape[1])

    def map_frame(self, height, width):
        return MapFrame(float(height), float(width), height, width, {"colour": (height // 2, width // 2)})

    def decode(self, features, prompts):
        size = (features.height, features.width)
        colour = F.interpolate(features.maps["colour"][None].float(), size=size, mode="bilinear")[0]
        redness = 20 * (colour[0] - colour[2])
        # White, which is behind cut-out pictures, is neither.
        blueness = torch.minimum(-redness, 20 * (0.5 - colour[0]))
        out = []
        for prompt in prompts:
            x, y = prompt.points[0].long().tolist() if len(prompt.points) else prompt.box.reshape(2, 2).mean(0).tolist()
            logits = redness if float(redness[int(y), int(x)]) > 0 else blueness
            out.append(MaskHypotheses(logits[None], torch.ones(1)))
        return out
