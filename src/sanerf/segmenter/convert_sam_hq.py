"""SAM-HQ's checkpoints (`sam_hq_vit_b`, `sam_hq_vit_l`, `sam_hq_vit_h`): SAM's tensors and those of its added parts.

Added are a token with its perceptron, and three pairs of convolutions that fuse the encoder's early features, its last
ones and the decoder's upscaled ones.
"""

import re
from typing import Any

from torch import Tensor

from sanerf.segmenter.convert_sam import decoder_sizes, prompt_sizes, rename_sam, vision_sizes

_FUSED = {"compress_vit_feat": "compress_vit", "embedding_encoder": "encoder", "embedding_maskfeature": "mask"}
_LAYERS = {"0": "conv1", "1": "norm", "3": "conv2"}


def rename_sam_hq(name: str) -> tuple[str, ...] | None:
    """transformers' names of one of SAM-HQ's tensors; () where it needs none, None for an unknown name."""
    match = re.match(r"mask_decoder\.(\w+)\.([013])\.(weight|bias)$", name)
    if match and match[1] in _FUSED:
        return (f"mask_decoder.{_FUSED[match[1]]}_{_LAYERS[match[2]]}.{match[3]}",)
    names = rename_sam(name)
    if names is None:
        return None
    return tuple(part.replace(".hf_token.", ".hq_token.").replace(".hf_mlp.", ".hq_mask_mlp.") for part in names)


def sam_hq_config(state: dict[str, Tensor]) -> Any:
    """The `SamHQConfig` of the network that these tensors fill; KeyError with the name of one that is not there."""
    from transformers import SamHQConfig, SamHQMaskDecoderConfig, SamHQPromptEncoderConfig, SamHQVisionConfig

    vision = vision_sizes(state)
    decoder = decoder_sizes(state, "mask_decoder") | {"vit_dim": vision["hidden_size"]}
    return SamHQConfig(
        vision_config=SamHQVisionConfig(**vision),
        prompt_encoder_config=SamHQPromptEncoderConfig(**prompt_sizes(state)),
        mask_decoder_config=SamHQMaskDecoderConfig(**decoder),
    )
