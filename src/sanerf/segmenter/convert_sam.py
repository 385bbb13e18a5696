"""SAM's checkpoints (`sam_vit_b`, `sam_vit_l`, `sam_vit_h`): the model's size from shapes, names to transformers'.

The encoder's names differ by a few words; the rest is the authors' numbered layers, which transformers names. All sizes
follow from shapes but two that the authors' code fixes: 8 heads in the decoder, and the layer norms' epsilon.
"""

import re
from typing import Any

from torch import Tensor

DECODER_HEADS = 8
DECODER_EPSILON = 1e-5
"""Of the layer norms in the decoder's transformer; transformers' default is the encoder's 1e-6."""

_ENCODER = "image_encoder."
_MASK_LAYERS = {"0": "conv1", "1": "layer_norm1", "3": "conv2", "4": "layer_norm2", "6": "conv3"}
_UPSCALING = {"0": "upscale_conv1", "1": "upscale_layer_norm", "3": "upscale_conv2"}
_NECK = {"0": "conv1", "1": "layer_norm1", "2": "conv2", "3": "layer_norm2"}
_MATRIX = "pe_layer.positional_encoding_gaussian_matrix"
_UNUSED = ("pixel_mean", "pixel_std")


def rename_sam(name: str) -> tuple[str, ...] | None:
    """transformers' names of one of SAM's tensors; () where it needs none, None for an unknown name."""
    if name in _UNUSED:
        return ()
    if name == f"prompt_encoder.{_MATRIX}":
        return ("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding")
    part, _, rest = name.partition(".")
    renamed = {"image_encoder": _encoder_name, "prompt_encoder": prompt_name, "mask_decoder": decoder_name}.get(part)
    return (renamed(rest),) if renamed else None


def _encoder_name(rest: str) -> str:
    rest = rest.replace("patch_embed.proj.", "patch_embed.projection.")
    rest = re.sub(r"^blocks\.(\d+)\.norm(\d)\.", r"layers.\1.layer_norm\2.", rest)
    rest = re.sub(r"^blocks\.", "layers.", rest)
    return "vision_encoder." + re.sub(r"^neck\.(\d)\.", lambda match: f"neck.{_NECK.get(match[1], match[1])}.", rest)


def prompt_name(rest: str) -> str:
    """transformers' name within `prompt_encoder` of what the authors have there."""
    rest = re.sub(r"^point_embeddings\.", "point_embed.", rest)
    masks = re.compile(r"^mask_downscaling\.(\d)\.")
    return "prompt_encoder." + masks.sub(lambda match: f"mask_embed.{_MASK_LAYERS.get(match[1], match[1])}.", rest)


def decoder_name(rest: str) -> str:
    """transformers' name within `mask_decoder` of what the authors have there."""
    rest = re.sub(r"^(transformer\.layers\.\d+)\.norm(\d)\.", r"\1.layer_norm\2.", rest)
    rest = rest.replace("transformer.norm_final_attn.", "transformer.layer_norm_final_attn.")
    rest = re.sub(r"^output_upscaling\.(\d)\.", lambda match: f"{_UPSCALING.get(match[1], match[1])}.", rest)
    return "mask_decoder." + three_layers(rest)


def three_layers(rest: str) -> str:
    """A perceptron's first and last of three layers have names in transformers, the middle one is its number 0."""
    names = {"0": "proj_in", "1": "layers.0", "2": "proj_out"}
    perceptrons = r"^(output_hypernetworks_mlps\.\d+|iou_prediction_head|hf_mlp|pred_obj_score_head)\.layers\.([012])\."
    return re.sub(perceptrons, lambda match: f"{match[1]}.{names[match[2]]}.", rest)


def sam_config(state: dict[str, Tensor]) -> Any:
    """The `SamConfig` of the network that these tensors fill; KeyError with the name of one that is not there."""
    from transformers import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig

    return SamConfig(
        vision_config=SamVisionConfig(**vision_sizes(state)),
        prompt_encoder_config=SamPromptEncoderConfig(**prompt_sizes(state)),
        mask_decoder_config=SamMaskDecoderConfig(**decoder_sizes(state, "mask_decoder")),
    )


def vision_sizes(state: dict[str, Tensor]) -> dict[str, Any]:
    """Keyword arguments of the encoder's configuration."""
    patches = state[f"{_ENCODER}patch_embed.proj.weight"]
    width, patch = patches.shape[0], patches.shape[-1]
    grid = state[f"{_ENCODER}pos_embed"].shape[1]
    channels = state[f"{_ENCODER}neck.0.weight"].shape[0]
    blocks = count(state, rf"{re.escape(_ENCODER)}blocks\.(\d+)\.")
    head = state[f"{_ENCODER}blocks.0.attn.rel_pos_h"].shape[1]
    positions = [state[f"{_ENCODER}blocks.{i}.attn.rel_pos_h"] for i in range(blocks)]
    # Relative positions run from 1 - reach to reach - 1; global attention reaches over the whole grid.
    reach = [(position.shape[0] + 1) // 2 for position in positions]
    return {
        "hidden_size": width,
        "output_channels": channels,
        "num_hidden_layers": blocks,
        "num_attention_heads": width // head,
        "image_size": grid * patch,
        "patch_size": patch,
        "window_size": min(reach),
        "global_attn_indexes": [i for i in range(blocks) if reach[i] == grid],
        "num_pos_feats": state[f"prompt_encoder.{_MATRIX}"].shape[1],
        "mlp_dim": state[f"{_ENCODER}blocks.0.mlp.lin1.weight"].shape[0],
    }


def prompt_sizes(state: dict[str, Tensor]) -> dict[str, Any]:
    """Keyword arguments of the prompt encoder's configuration."""
    patch = state[f"{_ENCODER}patch_embed.proj.weight"].shape[-1]
    return {
        "hidden_size": state["prompt_encoder.no_mask_embed.weight"].shape[1],
        "image_size": state[f"{_ENCODER}pos_embed"].shape[1] * patch,
        "patch_size": patch,
        "mask_input_channels": state["prompt_encoder.mask_downscaling.3.weight"].shape[0],
    }


def decoder_sizes(state: dict[str, Tensor], prefix: str) -> dict[str, Any]:
    """Keyword arguments of the mask decoder's configuration."""
    width = state[f"{prefix}.iou_token.weight"].shape[1]
    first = f"{prefix}.transformer.layers.0"
    perceptron = "mlp.lin1" if f"{first}.mlp.lin1.weight" in state else "mlp.layers.0"
    return {
        "hidden_size": width,
        "num_hidden_layers": count(state, rf"{prefix}\.transformer\.layers\.(\d+)\."),
        "num_attention_heads": DECODER_HEADS,
        "mlp_dim": state[f"{first}.{perceptron}.weight"].shape[0],
        "attention_downsample_rate": width // state[f"{first}.cross_attn_token_to_image.q_proj.weight"].shape[0],
        "num_multimask_outputs": state[f"{prefix}.mask_tokens.weight"].shape[0] - 1,
        "iou_head_hidden_dim": state[f"{prefix}.iou_prediction_head.layers.0.weight"].shape[0],
        "layer_norm_eps": DECODER_EPSILON,
    }


def count(state: dict[str, Tensor], pattern: str) -> int:
    """How many numbered parts there are: one more than the largest number that `pattern` finds, 0 for none."""
    numbers = [int(match[1]) for name in state if (match := re.match(pattern, name))]
    return max(numbers, default=-1) + 1
