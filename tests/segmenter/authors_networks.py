"""The networks of SAM, SAM-HQ and SAM 2 as their authors wrote them, from PyPI, without torchvision.

Their packages import torchvision, timm, hydra and iopath, mostly for what is not used here. While `stand_ins` is open,
small modules stand in their place: of torchvision the three functions that the predictors call, written out; of the
others empty names.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

PACKAGES = ("segment_anything", "segment_anything_hq", "sam2")
INSTALL = "pip install --no-deps --no-build-isolation segment-anything segment-anything-hq sam2 (make setup-dev does)"


class Resize(torch.nn.Module):
    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.size = size

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return F.interpolate(picture[None], self.size, mode="bilinear", align_corners=False, antialias=True)[0]


class Normalize(torch.nn.Module):
    def __init__(self, mean: list[float], std: list[float]):
        super().__init__()
        self.mean, self.std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return (picture - self.mean) / self.std


STAND_INS = {
    "torchvision": {},
    "torchvision.ops": {},
    "torchvision.ops.boxes": {"batched_nms": None, "box_area": None},
    "torchvision.transforms": {
        "Resize": Resize,
        "Normalize": Normalize,
        "ToTensor": lambda: lambda picture: torch.from_numpy(picture).permute(2, 0, 1).float() / 255,
    },
    "torchvision.transforms.functional": {
        "resize": lambda picture, size: picture.resize(size[::-1], Image.Resampling.BILINEAR),
        "to_pil_image": Image.fromarray,
    },
    "timm": {},
    "timm.models": {},
    "timm.models.layers": {"DropPath": torch.nn.Identity, "to_2tuple": None, "trunc_normal_": None},
    "timm.models.registry": {"register_model": lambda function: function},
    "iopath": {},
    "iopath.common": {},
    "iopath.common.file_io": {"g_pathmgr": None},
}


def need(package: str) -> None:
    """Skips the test where one of the authors' packages is not installed."""
    if _folder(package) is None:
        pytest.skip(f"the authors' {package} is not installed: {INSTALL}")


def _folder(package: str) -> Path | None:
    if package in sys.modules:
        return Path(sys.modules[package].__path__[0])
    spec = importlib.util.find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


@contextmanager
def stand_ins() -> Iterator[None]:
    """Within, the authors' packages can be imported; afterwards `sys.modules` is as it was."""
    before = dict(sys.modules)
    script = torch.jit.script
    folder = _folder("sam2")
    for name, content in STAND_INS.items():
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__dict__.update(content)
    if folder is not None:
        # Its own __init__ starts hydra.
        sys.modules["sam2"] = ModuleType("sam2")
        sys.modules["sam2"].__path__ = [str(folder)]
    torch.jit.script = lambda module: module
    try:
        yield
    finally:
        torch.jit.script = script
        added = [name for name in sys.modules if name.split(".")[0] in {*PACKAGES, "torchvision", "timm", "iopath"}]
        for name in added:
            del sys.modules[name]
        sys.modules.update({name: before[name] for name in added if name in before})


def shake(model: torch.nn.Module, amount: float, seed: int) -> torch.nn.Module:
    """Weights moved by random amounts, so that masks have structure."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data += amount * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def small_sam(package: str) -> torch.nn.Module:
    """SAM or SAM-HQ as the authors' code builds it, with two blocks and an input of 128 pixels."""
    need(package)
    torch.manual_seed(1)
    modeling = importlib.import_module(f"{package}.modeling")
    hq = package == "segment_anything_hq"
    encoder = modeling.ImageEncoderViT(
        img_size=128, depth=3, embed_dim=32, num_heads=2, out_chans=32, use_rel_pos=True, window_size=3,
        global_attn_indexes=(1, 2), norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
    )  # fmt: skip
    prompts = modeling.PromptEncoder(
        embed_dim=32, image_embedding_size=(8, 8), input_image_size=(128, 128), mask_in_chans=16
    )
    transformer = modeling.TwoWayTransformer(depth=2, embedding_dim=32, num_heads=8, mlp_dim=64)
    decoder_class = modeling.MaskDecoderHQ if hq else modeling.MaskDecoder
    decoder = decoder_class(transformer_dim=32, transformer=transformer, **({"vit_dim": 32} if hq else {}))
    return shake(modeling.Sam(encoder, prompts, decoder), 0.3, seed=2)


def sam2_of_size(size: str, **trunk: object) -> torch.nn.Module:
    """SAM 2.1 of the authors' configuration `size` (t, s, b+ or l), memory included; `trunk` changes its encoder."""
    need("sam2")
    import yaml

    text = (Path(sys.modules["sam2"].__path__[0]) / "configs" / "sam2.1" / f"sam2.1_hiera_{size}.yaml").read_text()
    model = yaml.safe_load(text.replace("1e-6", "0.000001"))["model"]
    model["image_encoder"]["trunk"] |= trunk
    if "embed_dim" in trunk:
        model["image_encoder"]["neck"]["backbone_channel_list"] = [trunk["embed_dim"] * 2**i for i in (3, 2, 1, 0)]
    torch.manual_seed(1)
    # The authors' encoder reads numbers from a tensor, which the meta device has not.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "linspace", partial(torch.linspace, device="cpu"))
        return built(model).eval()


def built(node):
    """What a configuration of hydra's describes."""
    if isinstance(node, list):
        return [built(item) for item in node]
    if not isinstance(node, dict):
        return node
    arguments = {key: built(value) for key, value in node.items() if key != "_target_"}
    module, _, name = node["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**arguments)
