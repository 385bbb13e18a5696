"""Tiny random models of the SAM family, and a picture and prompts for them. Those who only want the latter need no
transformers."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.segmenter.protocol import ViewPrompts

SIDE = 128
CPU = torch.device("cpu")


def picture(height: int = 90, width: int = 161, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 9, generator=generator) * 255
    smooth = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 255)
    return smooth[0].permute(1, 2, 0).round().to(torch.uint8)


def clicks(*xyl: tuple[float, float, int], box: list[float] | None = None, mask: Tensor | None = None) -> ViewPrompts:
    return ViewPrompts(
        torch.tensor([[x, y] for x, y, _ in xyl]).reshape(-1, 2),
        torch.tensor([label for _, _, label in xyl], dtype=torch.long),
        None if box is None else torch.tensor(box),
        mask,
    )


def tiny_model(prefix: str):
    """A model of 60 thousand parameters with weights large enough that masks have structure."""
    import transformers

    torch.manual_seed(7)
    vision = getattr(transformers, f"{prefix}VisionConfig")(
        hidden_size=32, output_channels=16, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE, patch_size=16,
        window_size=4, global_attn_indexes=[1], num_pos_feats=8, mlp_dim=64, initializer_range=0.05,
    )  # fmt: skip
    prompt = getattr(transformers, f"{prefix}PromptEncoderConfig")(
        hidden_size=16, image_size=SIDE, patch_size=16, mask_input_channels=16
    )
    extra = {"vit_dim": 32} if prefix == "SamHQ" else {}
    decoder = getattr(transformers, f"{prefix}MaskDecoderConfig")(
        hidden_size=16, mlp_dim=32, num_hidden_layers=2, num_attention_heads=2, iou_head_hidden_dim=16, **extra
    )
    config = getattr(transformers, f"{prefix}Config")(
        vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder
    )
    model = getattr(transformers, f"{prefix}Model")(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def tiny_sam2(channels: int = 16):
    """A model of 130 thousand parameters with weights large enough that masks have structure."""
    import transformers

    torch.manual_seed(7)
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=16, num_attention_heads=1, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128], num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 4, 4], global_attention_blocks=[3],
    )  # fmt: skip
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[128, 64, 32, 16],
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]], fpn_hidden_size=channels,
    )  # fmt: skip
    prompts = transformers.Sam2PromptEncoderConfig(
        hidden_size=channels, image_size=SIDE, patch_size=16, mask_input_channels=16
    )
    decoder = transformers.Sam2MaskDecoderConfig(
        hidden_size=channels, mlp_dim=32, num_hidden_layers=2, num_attention_heads=2, iou_head_hidden_dim=16
    )
    config = transformers.Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    model = transformers.Sam2Model(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model
