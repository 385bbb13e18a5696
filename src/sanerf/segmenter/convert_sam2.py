"""SAM 2's checkpoints (`sam2.1_hiera_*.pt`, and SAM 2.0's): the model's size from shapes, names to transformers'.

What the memory of a video needs is left out. The Hiera encoder's heads, attention windows and globally attending blocks
leave no trace in the tensors' shapes; they come from the table of the authors' four sizes.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sanerf.errors import UserError
from sanerf.segmenter.convert_sam import count, decoder_name, decoder_sizes, prompt_name

_SIDE = 1024
_PATCH = 16
_TRUNK = "image_encoder.trunk."
_VIDEO = re.compile(
    r"(memory_attention|memory_encoder|mask_downsample|obj_ptr_proj|obj_ptr_tpos_proj|maskmem_tpos_enc|no_mem_pos_enc"
    r"|no_obj_ptr|no_obj_embed_spatial)(\.|$)"
)
_MATRIX = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_POINTS = "sam_prompt_encoder.point_embeddings"
_TWO_LAYERS = {"0": "proj_in", "1": "proj_out"}


@dataclass(frozen=True)
class Hiera:
    """What the shapes of an encoder's tensors do not tell."""

    heads: int
    windows: tuple[int, int, int, int]
    global_blocks: tuple[int, int, int]


HIERA_SIZES: dict[tuple[int, tuple[int, ...]], Hiera] = {
    (96, (1, 2, 7, 2)): Hiera(1, (8, 4, 14, 7), (5, 7, 9)),
    (96, (1, 2, 11, 2)): Hiera(1, (8, 4, 14, 7), (7, 10, 13)),
    (112, (2, 3, 16, 3)): Hiera(2, (8, 4, 14, 7), (12, 16, 20)),
    (144, (2, 6, 36, 4)): Hiera(2, (8, 4, 16, 8), (23, 33, 43)),
}
"""Tiny, small, base plus and large of the authors' configurations, by width and the blocks of the four stages."""


def rename_sam2(name: str) -> tuple[str, ...] | None:
    """transformers' names of one of SAM 2's tensors; () where single pictures need none, None for an unknown name."""
    if _VIDEO.match(name):
        return ()
    if name == _MATRIX:
        return ("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding")
    if name == "no_mem_embed":
        return ("no_memory_embedding",)
    for prefix, renamed in (
        (_TRUNK, _trunk_name),
        ("image_encoder.neck.", _neck_name),
        ("sam_prompt_encoder.", prompt_name),
        ("sam_mask_decoder.", _decoder_name),
    ):
        if name.startswith(prefix):
            return (renamed(name.removeprefix(prefix)),)
    return None


def _trunk_name(rest: str) -> str:
    rest = rest.replace("patch_embed.proj.", "patch_embed.projection.")
    rest = re.sub(r"^(blocks\.\d+)\.norm(\d)\.", r"\1.layer_norm\2.", rest)
    rest = re.sub(r"^(blocks\.\d+)\.mlp\.layers\.([01])\.", _two_layers, rest)
    return f"vision_encoder.backbone.{rest}"


def _neck_name(rest: str) -> str:
    return "vision_encoder.neck." + re.sub(r"^(convs\.\d)\.conv\.", r"\1.", rest)


def _decoder_name(rest: str) -> str:
    rest = re.sub(r"^(transformer\.layers\.\d+)\.mlp\.layers\.([01])\.", _two_layers, rest)
    return decoder_name(re.sub(r"^(transformer\..*)\.out_proj\.", r"\1.o_proj.", rest))


def _two_layers(match: re.Match) -> str:
    return f"{match[1]}.mlp.{_TWO_LAYERS[match[2]]}."


def join_points(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with the four embeddings of point labels, tensors of their own to the authors, as one."""
    names = [f"{_POINTS}.{label}.weight" for label in range(4)]
    if not all(name in state for name in names):
        return state
    rest = {name: value for name, value in state.items() if name not in names}
    return rest | {f"{_POINTS}.weight": torch.cat([state[name] for name in names])}


def sam2_config(state: dict[str, Tensor]) -> Any:
    """The `Sam2Config` of the network that these tensors fill.

    Raises KeyError with the name of a tensor that is not there, UserError for a size that is none of the authors'.
    """
    from transformers import (
        Sam2Config,
        Sam2HieraDetConfig,
        Sam2MaskDecoderConfig,
        Sam2PromptEncoderConfig,
        Sam2VisionConfig,
    )

    width = state[f"{_TRUNK}patch_embed.proj.weight"].shape[0]
    stages = _stages(state)
    if (width, stages) not in HIERA_SIZES:
        blocks = "+".join(str(number) for number in stages)
        raise UserError(f"the SAM 2 encoder has width {width} and {blocks} blocks, which is none of its authors' sizes")
    size = HIERA_SIZES[width, stages]
    widths = [width * 2**stage for stage in range(len(stages))]
    hidden = state["sam_mask_decoder.iou_token.weight"].shape[1]
    backbone = Sam2HieraDetConfig(
        hidden_size=width,
        num_attention_heads=size.heads,
        image_size=[_SIDE, _SIDE],
        blocks_per_stage=list(stages),
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[size.heads * 2**stage for stage in range(len(stages))],
        window_size_per_stage=list(size.windows),
        global_attention_blocks=list(size.global_blocks),
        window_positional_embedding_background_size=list(state[f"{_TRUNK}pos_embed"].shape[2:]),
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=widths[::-1],
        backbone_feature_sizes=[[_SIDE // stride] * 2 for stride in (4, 8, 16)],
        fpn_hidden_size=hidden,
    )
    prompts = Sam2PromptEncoderConfig(
        hidden_size=hidden,
        image_size=_SIDE,
        patch_size=_PATCH,
        mask_input_channels=state["sam_prompt_encoder.mask_downscaling.3.weight"].shape[0],
    )
    decoder = decoder_sizes(state, "sam_mask_decoder")
    del decoder["layer_norm_eps"]  # transformers' SAM 2 has the authors' number fixed
    return Sam2Config(
        vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=Sam2MaskDecoderConfig(**decoder)
    )


def _stages(state: dict[str, Tensor]) -> tuple[int, ...]:
    """Blocks of each stage; a stage begins where a block has a projection to a greater width."""
    blocks = count(state, rf"{re.escape(_TRUNK)}blocks\.(\d+)\.")
    starts = [0, *(i for i in range(blocks) if f"{_TRUNK}blocks.{i}.proj.weight" in state), blocks]
    return tuple(end - start for start, end in pairwise(starts))
