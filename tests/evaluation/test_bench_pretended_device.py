"""Nothing of the segmenters' benchmark mixes devices, tried with a device that is only pretended."""

import torch
from known_segmenters import KnownSegmenter, late, shy, write_picture

from pretended_device import DEVICE, pretended_device
from sanerf.data.masked_pictures import find_masked_pictures
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.segmenter_bench import bench_segmenter
from sanerf.evaluation.segmenter_scores import scores_to_json
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses


class OnDevice(KnownSegmenter):
    """Its features and answers lie on the device, as a real one's do on CUDA."""

    def encode(self, image):
        features = super().encode(image)
        return ImageFeatures({"red": features.maps["red"].to(DEVICE)}, features.height, features.width)

    def decode(self, features, prompts):
        assert features.maps["red"].device == DEVICE
        here = ImageFeatures({"red": features.maps["red"].cpu()}, features.height, features.width)
        # The mask that is fed back is the device's own.
        assert all(prompt.low_res_logits.device == DEVICE for prompt in prompts if prompt.low_res_logits is not None)
        return [
            MaskHypotheses(a.mask_logits.to(DEVICE), a.predicted_iou.to(DEVICE), a.low_res_logits.to(DEVICE))
            for a in super().decode(here, prompts)
        ]


def test_answers_on_a_device_are_scored_as_those_on_the_cpu(tmp_path):
    write_picture(tmp_path, "a")
    pictures = find_masked_pictures(tmp_path).pictures

    def scores(segmenter, device):
        results = bench_segmenter(segmenter, pictures, device=device, kept=KeptLines(None), progress=lambda *_: None)
        return {k: v for k, v in scores_to_json(results).items() if "seconds" not in k}

    for answer in (late, shy):
        expected = scores(KnownSegmenter(answer), torch.device("cpu"))
        with pretended_device() as device:
            assert scores(OnDevice(answer), device) == expected
