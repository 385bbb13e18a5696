"""Checkpoints in the authors' naming through our loader: the same masks as the authors' own code with those weights."""

import importlib
import io
import pickle
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from authors_networks import need, sam2_of_size, shake, small_sam, stand_ins
from test_sam import one_sentence
from tiny_models import clicks, picture

from sanerf.errors import UserError
from sanerf.segmenter.checkpoint import model_of_tensors
from sanerf.segmenter.choose import best_hypothesis
from sanerf.segmenter.convert_sam2 import HIERA_SIZES, Hiera
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.preprocess import Frame
from sanerf.segmenter.protocol import ViewPrompts

pytest.importorskip("transformers", reason="the SAM family needs transformers: sanerf[sam]")

CPU = torch.device("cpu")
SAM_CLASS = {"segment_anything": "SamModel", "segment_anything_hq": "SamHQModel"}
OPTION = {"segment_anything": "sam", "segment_anything_hq": "sam-hq"}
PROMPTS = {
    "one click": clicks((40.2, 30.7, 1)),
    "three clicks": clicks((40.2, 30.7, 1), (100.0, 60.0, 0), (12.5, 80.5, 1)),
    "box": clicks(box=[20.0, 10.0, 120.5, 70.0]),
    "box and clicks": clicks((60.0, 30.0, 1), (150.0, 5.0, 0), box=[20.0, 10.0, 120.5, 70.0]),
}


@pytest.fixture(scope="module", autouse=True)
def authors_code() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of authors' code, for older versions of torch
        with stand_ins():
            yield


def authors_arguments(prompt: ViewPrompts, frame: Frame, half: float) -> dict:
    """Arguments of the authors' `predict`, whose pixel coordinates are `half` a pixel of the frame less than ours."""
    shift = torch.tensor([half * frame.width / frame.columns, half * frame.height / frame.rows])
    out = {}
    if len(prompt.labels):
        out |= {"point_coords": (prompt.points - shift).numpy(), "point_labels": prompt.labels.numpy()}
    if prompt.box is not None:
        out["box"] = (prompt.box - shift.repeat(2)).numpy()
    return out


@pytest.fixture(scope="module", params=["segment_anything", "segment_anything_hq"])
def sam_pair(request, tmp_path_factory: pytest.TempPathFactory):
    """The authors' predictor, and our segmenter of the file that its weights were saved in."""
    network = small_sam(request.param)
    path = tmp_path_factory.mktemp(request.param) / "weights.pth"
    torch.save(network.state_dict(), path)
    predictor = importlib.import_module(f"{request.param}.predictor").SamPredictor(network)
    return predictor, load_segmenter(f"{OPTION[request.param]}:{path}", CPU)


@pytest.mark.parametrize("size", [(90, 161), (150, 101)])
@pytest.mark.parametrize("which", PROMPTS)
def test_sam_and_sam_hq_masks_equal_the_authors(sam_pair, which: str, size: tuple[int, int]):
    predictor, segmenter = sam_pair
    image, prompt = picture(*size), PROMPTS[which]
    predictor.set_image(image.numpy())
    masks, iou, _ = predictor.predict(
        **authors_arguments(prompt, Frame(*size, 128), 0.5), multimask_output=True, return_logits=True
    )
    answer = segmenter.decode(segmenter.encode(image), [prompt])[0]
    assert answer.mask_logits.shape == masks.shape and len(masks) == (1 if segmenter.name == "sam-hq" else 3)
    assert masks.std() > 0.1, "the comparison would be empty"
    torch.testing.assert_close(answer.mask_logits, torch.from_numpy(masks), atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(answer.predicted_iou, torch.from_numpy(iou), atol=1e-4, rtol=1e-4)
    assert torch.equal(answer.mask_logits > 0, torch.from_numpy(masks > 0))


def test_a_previous_mask_is_taken_as_the_authors_take_it(sam_pair):
    predictor, segmenter = sam_pair
    image = picture(128, 128)
    low = torch.randn(32, 32, generator=torch.Generator().manual_seed(5))
    predictor.set_image(image.numpy())
    masks, _, _ = predictor.predict(
        **authors_arguments(PROMPTS["one click"], Frame(128, 128, 128), 0.5),
        mask_input=low[None].numpy(), multimask_output=True, return_logits=True,
    )  # fmt: skip
    blocks = low.repeat_interleave(4, 0).repeat_interleave(4, 1)
    prompt = clicks((40.2, 30.7, 1), mask=blocks)
    answer = segmenter.decode(segmenter.encode(image), [prompt])[0]
    torch.testing.assert_close(answer.mask_logits, torch.from_numpy(masks), atol=2e-4, rtol=1e-4)


def test_feeding_the_best_mask_back_is_the_authors_second_call(sam_pair):
    """Their own `low_res_masks` into their own `mask_input`, for a picture that does not fill the frame."""
    predictor, segmenter = sam_pair
    image, prompt = picture(90, 161), PROMPTS["three clicks"]
    predictor.set_image(image.numpy())
    named = authors_arguments(prompt, Frame(90, 161, 128), 0.5) | {"multimask_output": True, "return_logits": True}
    assert_fed_back_alike(predictor, segmenter, segmenter.encode(image), prompt, named)


def assert_fed_back_alike(predictor, segmenter, features, prompt: ViewPrompts, named: dict):
    first = segmenter.decode(features, [prompt])[0]
    _, _, low = predictor.predict(**named)
    torch.testing.assert_close(first.low_res_logits, torch.from_numpy(low), atol=2e-4, rtol=1e-4)
    best = best_hypothesis(first, prompt)
    masks, iou, low_again = predictor.predict(**named, mask_input=low[best : best + 1])
    again = segmenter.decode(features, [replace(prompt, low_res_logits=first.low_res_logits[best])])[0]
    assert (again.mask_logits - first.mask_logits).abs().max() > 1e-2, "the mask fed back must matter"
    # Two calls after one another: their rounding adds up.
    torch.testing.assert_close(again.mask_logits, torch.from_numpy(masks), atol=5e-4, rtol=1e-4)
    torch.testing.assert_close(again.low_res_logits, torch.from_numpy(low_again), atol=5e-4, rtol=1e-4)
    torch.testing.assert_close(again.predicted_iou, torch.from_numpy(iou), atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def sam2_pair(tmp_path_factory: pytest.TempPathFactory):
    """The authors' SAM 2.1 with a narrow encoder on one picture, and our segmenter of its file with its features."""
    need("sam2")
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    narrow = Hiera(heads=1, windows=(8, 4, 14, 7), global_blocks=(4, 6, 7))
    trunk = {"embed_dim": 16, "stages": [1, 2, 5, 2], "global_att_blocks": [4, 6, 7]}
    network = shake(sam2_of_size("t", **trunk), 0.02, seed=3)
    path = tmp_path_factory.mktemp("sam2") / "sam2.1_hiera_narrow.pt"
    torch.save({"model": network.state_dict()}, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(HIERA_SIZES, (16, (1, 2, 5, 2)), narrow)
        segmenter = load_segmenter(f"sam2:{path}", CPU)
    image = picture()
    predictor = SAM2ImagePredictor(network)
    predictor.set_image(image.numpy())
    return predictor, segmenter, segmenter.encode(image)


@pytest.mark.parametrize("which", [*PROMPTS, "click and mask"])
def test_sam2_masks_equal_the_authors(sam2_pair, which: str):
    predictor, segmenter, features = sam2_pair
    prompt = PROMPTS.get(which)
    if prompt is None:
        low = 4 * torch.randn(256, 256, generator=torch.Generator().manual_seed(5))
        prompt = clicks((40.2, 30.7, 1), mask=low)
    named = authors_arguments(prompt, Frame(90, 161, 1024, stretched=True), 0.5)
    if prompt.mask_logits is not None:
        named["mask_input"] = prompt.mask_logits[None].numpy()
    masks, iou, _ = predictor.predict(**named, multimask_output=True, return_logits=True)
    answer = segmenter.decode(features, [prompt])[0]
    assert masks.shape == (3, 90, 161) and masks.std() > 0.05, "the comparison would be empty"
    torch.testing.assert_close(answer.mask_logits, torch.from_numpy(masks), atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(answer.predicted_iou, torch.from_numpy(iou), atol=1e-4, rtol=0)


def test_feeding_the_best_mask_back_to_sam2_is_the_authors_second_call(sam2_pair):
    predictor, segmenter, features = sam2_pair
    prompt = PROMPTS["three clicks"]
    named = authors_arguments(prompt, Frame(90, 161, 1024, stretched=True), 0.5)
    named |= {"multimask_output": True, "return_logits": True}
    assert_fed_back_alike(predictor, segmenter, features, prompt, named)


@pytest.mark.parametrize(
    ("package", "size", "blocks", "width", "globally"),
    [
        ("segment_anything", "vit_b", 12, 768, [2, 5, 8, 11]),
        ("segment_anything", "vit_l", 24, 1024, [5, 11, 17, 23]),
        ("segment_anything", "vit_h", 32, 1280, [7, 15, 23, 31]),
        ("segment_anything_hq", "vit_b", 12, 768, [2, 5, 8, 11]),
        ("segment_anything_hq", "vit_l", 24, 1024, [5, 11, 17, 23]),
        ("segment_anything_hq", "vit_h", 32, 1280, [7, 15, 23, 31]),
    ],
)
def test_every_tensor_of_the_real_sizes_of_sam_finds_its_place(package, size, blocks, width, globally):
    need(package)
    registry = importlib.import_module(f"{package}.build_sam").sam_model_registry
    with torch.device("meta"):
        state = registry[size]().state_dict()
    vision = model_of_tensors(Path("x.pth"), state, model_class=SAM_CLASS[package]).config.vision_config
    assert (vision.num_hidden_layers, vision.hidden_size, vision.global_attn_indexes) == (blocks, width, globally)
    heads = {"vit_b": 12, "vit_l": 16, "vit_h": 16}[size]
    assert (vision.window_size, vision.image_size, vision.num_attention_heads) == (14, 1024, heads)


@pytest.mark.parametrize("size", ["t", "s", "b+", "l"])
def test_every_tensor_of_the_real_sizes_of_sam2_finds_its_place(size: str):
    with torch.device("meta"):
        network = sam2_of_size(size)
    trunk = network.image_encoder.trunk
    vision = model_of_tensors(
        Path("x.pt"), network.state_dict(), model_class="Sam2Model"
    ).config.vision_config.backbone_config
    assert vision.blocks_per_stage == [b - a for a, b in zip([-1, *trunk.stage_ends], trunk.stage_ends, strict=False)]
    assert [block.attn.num_heads for block in trunk.blocks][-1] == vision.num_attention_heads_per_stage[-1]
    assert list(trunk.global_att_blocks) == vision.global_attention_blocks
    assert list(trunk.window_spec) == vision.window_size_per_stage


def saved(path: Path, state: dict) -> Path:
    torch.save(state, path)
    return path


class Harmful:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_files_that_do_not_fit_are_one_sentence(tmp_path: Path):
    sam, hq = small_sam("segment_anything").state_dict(), small_sam("segment_anything_hq").state_dict()
    tiny_vit = {**sam, "image_encoder.layers.0.blocks.0.conv1.c.weight": torch.zeros(1)}
    whole = io.BytesIO()
    torch.save(sam, whole)
    (tmp_path / "half.pth").write_bytes(whole.getvalue()[:20000])
    (tmp_path / "harmful.pth").write_bytes(pickle.dumps({"a": Harmful()}, protocol=2))
    torch.save({"model": sam, "args": Harmful()}, tmp_path / "harmful_zip.pth")
    bias = "mask_decoder.iou_prediction_head.layers.2.bias"
    lacking = {key: value for key, value in sam.items() if key != "mask_decoder.mask_tokens.weight"}
    for spec, words in {
        f"sam:{saved(tmp_path / 'hq.pth', hq)}": "use --segmenter sam-hq:",
        f"sam-hq:{saved(tmp_path / 'sam.pth', sam)}": "use --segmenter sam:",
        f"sam2:{tmp_path / 'sam.pth'}": "use --segmenter sam:",
        f"sam-hq:{saved(tmp_path / 'tiny.pth', tiny_vit)}": "TinyViT",
        f"sam:{saved(tmp_path / 'more.pth', sam | {'mask_decoder.adapter.weight': torch.zeros(2)})}": "adapter",
        f"sam:{saved(tmp_path / 'less.pth', lacking)}": "mask_decoder.mask_tokens.weight",
        f"sam:{saved(tmp_path / 'bent.pth', sam | {bias: torch.zeros(9)})}": "(9,)",
        f"sam:{saved(tmp_path / 'other.pth', {'conv.weight': torch.zeros(2)})}": "no checkpoint of SAM",
        f"sam:{saved(tmp_path / 'numbers.pth', {'epoch': 3})}": "no named tensors",
        f"sam:{tmp_path / 'half.pth'}": "half.pth",
        f"sam:{tmp_path / 'harmful.pth'}": "tensors alone",
        f"sam:{tmp_path / 'harmful_zip.pth'}": "tensors alone",
    }.items():
        with pytest.raises(UserError) as caught:
            load_segmenter(spec, CPU)
        assert words in one_sentence(caught.value), (spec, str(caught.value))


def test_an_encoder_of_an_unknown_size_is_refused():
    with torch.device("meta"):
        state = sam2_of_size("t").state_dict()
    without = {name: value for name, value in state.items() if "trunk.blocks.11." not in name}
    with pytest.raises(UserError, match=r"width 96 and 1\+2\+7\+1 blocks"):
        model_of_tensors(Path("x.pt"), without, model_class="Sam2Model")
