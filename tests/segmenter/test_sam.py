"""SAM and SAM-HQ against transformers' own path from picture to full-size masks, on tiny random models."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny_models import CPU, SIDE, clicks, picture, tiny_model
from torch import Tensor

from sanerf.errors import MissingExtraError, UserError
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.preprocess import Frame, frame_mask, picture_masks, sam_pixel_values
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, Segmenter, ViewPrompts
from sanerf.segmenter.sam_hq import attended_upscaling

transformers = pytest.importorskip("transformers", reason="the SAM family needs transformers: sanerf[sam]")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = {}
    for kind, prefix in (("sam", "Sam"), ("sam-hq", "SamHQ")):
        out[kind] = tmp_path_factory.mktemp(kind)
        tiny_model(prefix).save_pretrained(out[kind])
    return out


@pytest.fixture(scope="module")
def segmenters(folders: dict[str, Path]) -> dict[str, Segmenter]:
    return {kind: load_segmenter(f"{kind}:{folder}", CPU) for kind, folder in folders.items()}


@pytest.fixture(scope="module")
def reference_models(folders: dict[str, Path]) -> dict[str, torch.nn.Module]:
    classes = {"sam": transformers.SamModel, "sam-hq": transformers.SamHQModel}
    return {kind: classes[kind].from_pretrained(folder).eval() for kind, folder in folders.items()}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.getLogger("transformers").setLevel(logging.ERROR)
    yield


def pillow_processor():
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    square = {"height": SIDE, "width": SIDE}
    return transformers.SamProcessor(SamImageProcessorPil(size={"longest_edge": SIDE}, pad_size=square))


def transformers_answer(model, image: Tensor, prompt: ViewPrompts) -> MaskHypotheses:
    """Processor, model on pixel values, and post-processing, all transformers' own.

    Its coordinates are half a pixel of the input frame less than ours, which are continuous.
    """
    processor = pillow_processor()
    height, width = image.shape[:2]
    frame = Frame(height, width, SIDE)
    half = torch.tensor([0.5 * width / frame.columns, 0.5 * height / frame.rows])
    named = {}
    if len(prompt.labels):
        named["input_points"] = [[(prompt.points - half).tolist()]]
        named["input_labels"] = [[prompt.labels.tolist()]]
    if prompt.box is not None:
        named["input_boxes"] = [[(prompt.box - half.repeat(2)).tolist()]]
    inputs = processor(images=Image.fromarray(image.numpy()), return_tensors="pt", **named)
    sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
    inputs = {key: value.float() if value.is_floating_point() else value for key, value in inputs.items()}
    with torch.no_grad():
        out = model(**inputs)
    masks = processor.post_process_masks(out.pred_masks, *sizes, binarize=False)[0][0]
    return MaskHypotheses(masks, out.iou_scores[0, 0])


PROMPTS = {
    "one click": clicks((40.2, 30.7, 1)),
    "three clicks": clicks((40.2, 30.7, 1), (100.0, 60.0, 0), (12.5, 80.5, 1)),
    "box": clicks(box=[20.0, 10.0, 120.5, 70.0]),
    "box and clicks": clicks((60.0, 30.0, 1), (150.0, 5.0, 0), box=[20.0, 10.0, 120.5, 70.0]),
}


@pytest.mark.parametrize("size", [(90, 161), (161, 90), (64, 64), (300, 211), (37, 50)])
def test_pixel_values_are_bit_identical_to_transformers_pillow_backend(size: tuple[int, int]):
    image = picture(*size, seed=sum(size))
    expected = pillow_processor().image_processor(Image.fromarray(image.numpy()), return_tensors="pt")["pixel_values"]
    assert torch.equal(sam_pixel_values(image, SIDE), expected)


@pytest.mark.parametrize("size", [(90, 161), (150, 101)])
@pytest.mark.parametrize("kind", ["sam", "sam-hq"])
@pytest.mark.parametrize("which", PROMPTS)
def test_masks_equal_transformers_full_path(segmenters, reference_models, kind: str, which: str, size):
    image, prompt, model = picture(*size), PROMPTS[which], reference_models[kind]
    features = segmenters[kind].encode(image)
    answer = segmenters[kind].decode(features, [prompt])[0]
    if kind == "sam":
        expected = transformers_answer(model, image, prompt)
        assert len(answer.mask_logits) == 3
    else:
        with attended_upscaling(model.mask_decoder):
            three = transformers_answer(model, image, prompt)
        expected = MaskHypotheses(three.mask_logits[:1], three.predicted_iou[:1])
        assert three.predicted_iou[0] == three.predicted_iou.max()
    assert expected.mask_logits.std() > 1e-2, "the comparison would be empty"
    torch.testing.assert_close(answer.mask_logits, expected.mask_logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(answer.predicted_iou, expected.predicted_iou, atol=1e-4, rtol=0)
    assert answer.mask_logits.shape[1:] == image.shape[:2]


@pytest.mark.parametrize("kind", ["sam", "sam-hq"])
def test_prompts_of_many_kinds_in_one_call_equal_one_by_one(segmenters, kind: str):
    segmenter = segmenters[kind]
    features = segmenter.encode(picture())
    previous = torch.randn(45, 80, generator=torch.Generator().manual_seed(3)) * 5
    prompts = [
        *PROMPTS.values(),
        clicks((10.0, 10.0, 0)),
        clicks((70.0, 50.0, 1), mask=previous),
        clicks((70.0, 50.0, 1)),
        clicks(mask=previous),
        clicks((70.0, 50.0, 1), mask=-previous),
    ]
    together = segmenter.decode(features, prompts)
    alone = [segmenter.decode(features, [prompt])[0] for prompt in prompts]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.mask_logits, other.mask_logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(one.predicted_iou, other.predicted_iou, atol=1e-5, rtol=1e-5)
    with_mask, without, negated = (together[i].mask_logits for i in (5, 6, 8))
    assert (with_mask - without).abs().max() > 1e-3, "the previous mask must matter"
    assert (with_mask - negated).abs().max() > 1e-3
    assert segmenter.decode(features, []) == []


def test_previous_mask_reaches_the_model_as_transformers_takes_it(segmenters, reference_models):
    image = picture(128, 128)
    low = torch.randn(SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(5))
    blocks = low.repeat_interleave(4, 0).repeat_interleave(4, 1)
    torch.testing.assert_close(frame_mask(blocks, Frame(128, 128, SIDE))[0, 0], low)
    answer = segmenters["sam"].decode(segmenters["sam"].encode(image), [clicks((50.5, 50.5, 1), mask=blocks)])[0]
    with torch.no_grad():
        expected = reference_models["sam"](
            pixel_values=sam_pixel_values(image, SIDE),
            input_points=torch.tensor([[[[50.0, 50.0]]]]),
            input_labels=torch.ones(1, 1, 1, dtype=torch.long),
            input_masks=low[None, None],
        ).pred_masks[0, 0]
    torch.testing.assert_close(answer.mask_logits, picture_masks(expected, Frame(128, 128, SIDE)), atol=1e-4, rtol=0)


def test_mask_padding_is_background_and_content_keeps_its_place():
    mask = torch.full((60, 120), -3.0)
    mask[:, :60] = 7.0
    frame = frame_mask(mask, Frame(60, 120, SIDE))[0, 0]
    assert frame.shape == (32, 32)
    torch.testing.assert_close(frame[:15, :14], torch.full((15, 14), 7.0))
    torch.testing.assert_close(frame[:15, 18:], torch.full((15, 14), -3.0))
    torch.testing.assert_close(frame[17:], torch.full((15, 32), -7.0))


def test_masks_come_back_to_the_pictures_place():
    """A half plane at x < 16 of 32 in the frame of a 60 x 120 picture is the picture's left half."""
    small = torch.ones(1, 32, 32)
    small[:, :, 16:] = -1.0
    masks = picture_masks(small, Frame(60, 120, SIDE)) > 0
    assert masks.shape == (1, 60, 120)
    assert bool(masks[0, :, :60].all()) and not bool(masks[0, :, 60:].any())


def test_hq_without_intermediate_features_is_an_error(segmenters):
    features = segmenters["sam-hq"].encode(picture())
    assert features.maps["vit_features"].shape == (8, 8, 32)
    bare = ImageFeatures({"image_embeddings": features.maps["image_embeddings"]}, features.height, features.width)
    with pytest.raises(UserError, match="--container cache"):
        segmenters["sam-hq"].decode(bare, [PROMPTS["one click"]])


def test_hq_masks_follow_the_image_and_not_its_transpose(segmenters):
    """One cell of the embedding moves the mask in its own place. transformers 5.23 alone moves the transposed one."""
    features = segmenters["sam-hq"].encode(picture(SIDE, SIDE))
    flat = {name: torch.zeros_like(value) for name, value in features.maps.items()}
    bumped = {name: value.clone() for name, value in flat.items()}
    bumped["image_embeddings"][:, 1, 6] = 3 * torch.randn(16, generator=torch.Generator().manual_seed(1))
    first, second = (
        segmenters["sam-hq"].decode(replace(features, maps=maps), [clicks((64.0, 64.0, 1))])[0].mask_logits[0]
        for maps in (flat, bumped)
    )
    change = F.avg_pool2d((first - second).abs()[None], 16)[0]
    assert divmod(int(change.argmax()), 8) == (1, 6)


def test_hq_mask_is_the_papers_sum_written_out(segmenters, reference_models):
    """Mask tokens times upscaled attended embedding, best of three by IoU, plus the high-quality token's mask."""
    image = picture()
    decoder = reference_models["sam-hq"].mask_decoder
    features = segmenters["sam-hq"].encode(image)
    prompt = PROMPTS["one click"]
    answer = segmenters["sam-hq"].decode(features, [prompt])[0]

    model = reference_models["sam-hq"]
    embedding = features.maps["image_embeddings"][None]
    ratio = torch.tensor([SIDE / 161, Frame(90, 161, SIDE).rows / 90])
    with torch.no_grad():
        sparse, dense = model.prompt_encoder(
            (prompt.points * ratio - 0.5)[None, None], prompt.labels[None, None], None, None
        )
        tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, decoder.hq_token.weight])
        hs, source = decoder.transformer(
            torch.cat([tokens[None, None], sparse], dim=2),
            embedding + dense,
            model.get_image_wide_positional_embeddings(),
            None,
        )
        source = source[:, 0].transpose(1, 2).reshape(1, 16, 8, 8)
        up = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(source)))
        up = decoder.activation(decoder.upscale_conv2(up))
        early = features.maps["vit_features"].permute(2, 0, 1)[None]
        fused = decoder.compress_vit_conv2(
            decoder.activation(decoder.compress_vit_norm(decoder.compress_vit_conv1(early)))
        )
        fused = fused + decoder.encoder_conv2(
            decoder.activation(decoder.encoder_norm(decoder.encoder_conv1(embedding)))
        )
        fine = decoder.mask_conv2(decoder.activation(decoder.mask_norm(decoder.mask_conv1(up)))) + fused
        best = int(decoder.iou_prediction_head(hs[0, 0, 0])[1:4].argmax()) + 1
        plain = torch.einsum("c,chw->hw", decoder.output_hypernetworks_mlps[best](hs[0, 0, 1 + best]), up[0])
        sharp = torch.einsum("c,chw->hw", decoder.hq_mask_mlp(hs[0, 0, 5]), fine[0])
    torch.testing.assert_close(
        answer.mask_logits, picture_masks((plain + sharp)[None], Frame(90, 161, SIDE)), atol=1e-4, rtol=0
    )


def test_gradients_reach_the_features_and_not_the_weights(segmenters):
    features = segmenters["sam"].encode(picture())
    maps = {name: value.clone().requires_grad_() for name, value in features.maps.items()}
    answer = segmenters["sam"].decode(replace(features, maps=maps), [PROMPTS["one click"]])[0]
    answer.mask_logits.sum().backward()
    assert maps["image_embeddings"].grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in segmenters["sam"]._model.parameters())


def test_fingerprint_follows_the_weights_and_not_the_place(segmenters, folders, tmp_path: Path):
    moved = tmp_path / "moved"
    shutil.copytree(folders["sam"], moved)
    same = load_segmenter(f"sam:{moved}", CPU)
    assert same.fingerprint == segmenters["sam"].fingerprint != segmenters["sam-hq"].fingerprint
    model = tiny_model("Sam")
    model.vision_encoder.neck.conv1.weight.data[0, 0, 0, 0] += 1e-3
    model.save_pretrained(tmp_path / "changed")
    assert load_segmenter(f"sam:{tmp_path / 'changed'}", CPU).fingerprint != same.fingerprint


def one_sentence(error: UserError) -> str:
    message = str(error)
    assert "\n" not in message and "Traceback" not in message, message
    return message


def test_unusable_sources_are_one_sentence(folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name in ("no_config", "no_weights", "half", "lacking", "garbled", "other_config", "not_a_number"):
        shutil.copytree(folders["sam"], tmp_path / name)
    (tmp_path / "no_config" / "config.json").unlink()
    (tmp_path / "no_weights" / "model.safetensors").unlink()
    (tmp_path / "garbled" / "config.json").write_text("{")
    weights = tmp_path / "half" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    from safetensors.torch import load_file, save_file

    some = load_file(tmp_path / "lacking" / "model.safetensors")
    del some["mask_decoder.iou_token.weight"]
    save_file(some, tmp_path / "lacking" / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "other_config" / "config.json").write_text('{"model_type": "sam"}')
    bad = load_file(tmp_path / "not_a_number" / "model.safetensors")
    bad["vision_encoder.neck.conv1.weight"][0, 0, 0, 0] = float("nan")
    save_file(bad, tmp_path / "not_a_number" / "model.safetensors", metadata={"format": "pt"})
    checkpoint = tmp_path / "sam_vit_b.pth"
    checkpoint.write_bytes(b"x")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("hello")
    for spec, words in {
        f"sam:{tmp_path / 'nowhere'}": "there is no folder",
        f"sam:{tmp_path / 'no_config'}": "no config.json",
        f"sam:{tmp_path / 'no_weights'}": "no weights",
        f"sam:{tmp_path / 'half'}": "damaged",
        f"sam:{tmp_path / 'lacking'}": "mask_decoder.iou_token.weight",
        f"sam:{tmp_path / 'garbled'}": "cannot be read",
        f"sam:{folders['sam-hq']}": f"expected 'sam'; use --segmenter sam-hq:{folders['sam-hq']}",
        f"sam-hq:{folders['sam']}": f"expected 'sam_hq'; use --segmenter sam:{folders['sam']}",
        f"sam:{tmp_path / 'other_config'}": "tensors have other shapes than config.json says",
        f"sam:{tmp_path / 'not_a_number'}": "vision_encoder.neck.conv1.weight has values that are no finite numbers",
        f"sam:{folders['sam'] / 'model.safetensors'}": "give the folder",
        f"sam:{tmp_path / 'empty.pth'}": "no checkpoint: it does not begin like what torch.save writes",
        f"sam:{tmp_path / 'text.pth'}": "no checkpoint: it does not begin like what torch.save writes",
        f"sam:{checkpoint}": "tensors alone",
        f"sam:{tmp_path / 'none.pth'}": "there is no file",
        "sam:sanerf-tests/no-such-model": "Hugging Face hub",
        "sam:not/a name!": "Hugging Face hub",
        "sam:vit_x": "no name that `sanerf weights` lists",
        "sam:": "names no weights",
        "sam2:": "names no weights",
        "masks:somewhere": "no segmenter",
        "clip": "unknown segmenter",
    }.items():
        with pytest.raises(UserError) as caught:
            load_segmenter(spec, CPU)
        assert words in one_sentence(caught.value), spec
    # A sentence is lost below transformers' table of a hundred tensors, or the hub client's six attempts.
    said = capfd.readouterr()
    assert said.out == said.err == ""


def test_absent_transformers_names_the_extra(folders, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"sanerf\[sam\]"):
        load_segmenter(f"sam:{folders['sam']}", CPU)
