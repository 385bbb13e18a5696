"""SAM 2 against transformers' own path on a tiny random model, the cache's round trip, encoders in half precision."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny_models import CPU, SIDE, clicks, picture, tiny_model, tiny_sam2

from sanerf.errors import UserError
from sanerf.segmenter.cache import FeatureCache
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.precision import encode_maps, encoder_dtype
from sanerf.segmenter.preprocess import Frame, frame_mask, sam2_pixel_values
from sanerf.segmenter.protocol import ImageFeatures, Segmenter
from sanerf.segmenter.sam import load_sam
from sanerf.segmenter.sam2 import load_sam2
from sanerf.segmenter.sam_hq import load_sam_hq

transformers = pytest.importorskip("transformers", reason="the SAM family needs transformers: sanerf[sam]")

PROMPTS = {
    "one click": clicks((40.2, 30.7, 1)),
    "three clicks": clicks((40.2, 30.7, 1), (100.0, 60.0, 0), (12.5, 80.5, 1)),
    "box": clicks(box=[20.0, 10.0, 120.5, 70.0]),
    "box and clicks": clicks((60.0, 30.0, 1), (150.0, 5.0, 0), box=[20.0, 10.0, 120.5, 70.0]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam2")
    tiny_sam2().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> Segmenter:
    return load_segmenter(f"sam2:{folder}", CPU)


@pytest.fixture(scope="module")
def reference(folder: Path):
    return transformers.Sam2Model.from_pretrained(folder).eval()


def test_pixel_values_are_the_stretched_picture():
    """Pillow's bilinear rounds to bytes twice, by half a grey level each time: 2 * 0.5 / 255 / 0.224 = 0.018."""
    image = picture(300, 211)
    stretched = np.asarray(Image.fromarray(image.numpy()).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) / 255
    expected = (stretched - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    found = sam2_pixel_values(image, SIDE)
    torch.testing.assert_close(found[0].permute(1, 2, 0).double(), torch.from_numpy(expected), atol=0.02, rtol=0)


def full_path(reference, image: torch.Tensor, **prompts: torch.Tensor):
    """transformers' forward on pixel values, and its masks at the picture's resolution."""
    with torch.no_grad():
        out = reference(pixel_values=sam2_pixel_values(image, SIDE), multimask_output=True, **prompts)
    masks = F.interpolate(out.pred_masks[0], tuple(image.shape[:2]), mode="bilinear", align_corners=False)
    return masks[0], out.iou_scores[0, 0]


@pytest.mark.parametrize("size", [(90, 161), (150, 101)])
@pytest.mark.parametrize("which", PROMPTS)
def test_masks_equal_transformers_full_path(segmenter, reference, which: str, size: tuple[int, int]):
    image, prompt = picture(*size), PROMPTS[which]
    scale = torch.tensor([SIDE / size[1], SIDE / size[0]])
    inputs = {}
    if len(prompt.labels):
        inputs = {"input_points": (prompt.points * scale - 0.5)[None, None], "input_labels": prompt.labels[None, None]}
    if prompt.box is not None:
        inputs["input_boxes"] = (prompt.box * scale.repeat(2) - 0.5)[None, None]
    masks, iou = full_path(reference, image, **inputs)
    answer = segmenter.decode(segmenter.encode(image), [prompt])[0]
    assert answer.mask_logits.shape == (3, *size)
    assert masks.std() > 0.1, "the comparison would be empty"
    torch.testing.assert_close(answer.mask_logits, masks, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(answer.predicted_iou, iou, atol=1e-5, rtol=0)


def test_a_previous_mask_reaches_the_model_as_transformers_takes_it(segmenter, reference):
    image = picture()
    low = 5 * torch.randn(SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(5))
    points = torch.tensor([[[[40.2 * SIDE / 161 - 0.5, 30.7 * SIDE / 90 - 0.5]]]])
    named = {"input_points": points, "input_labels": torch.ones(1, 1, 1, dtype=torch.long)}
    masks, _ = full_path(reference, image, **named, input_masks=low[None, None])
    without, _ = full_path(reference, image, **named)
    answer = segmenter.decode(segmenter.encode(image), [clicks((40.2, 30.7, 1), mask=low)])[0]
    torch.testing.assert_close(answer.mask_logits, masks, atol=1e-4, rtol=1e-5)
    assert (masks - without).abs().max() > 1e-2, "the previous mask must matter"


def test_a_mask_prompt_covers_the_whole_stretched_frame():
    mask = torch.full((60, 120), -3.0)
    mask[:, :60] = 7.0
    frame = frame_mask(mask, Frame(60, 120, SIDE, stretched=True))[0, 0]
    torch.testing.assert_close(frame[:, :15], torch.full((32, 15), 7.0))
    torch.testing.assert_close(frame[:, 17:], torch.full((32, 15), -3.0))


def test_prompts_of_many_kinds_in_one_call_equal_one_by_one(segmenter):
    features = segmenter.encode(picture())
    previous = torch.randn(45, 80, generator=torch.Generator().manual_seed(3)) * 5
    prompts = [
        *PROMPTS.values(),
        clicks((10.0, 10.0, 0)),
        clicks(mask=previous),
        clicks((70.0, 50.0, 1), mask=previous),
    ]
    together = segmenter.decode(features, prompts)
    for prompt, answer in zip(prompts, together, strict=True):
        alone = segmenter.decode(features, [prompt])[0]
        torch.testing.assert_close(answer.mask_logits, alone.mask_logits, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(answer.predicted_iou, alone.predicted_iou, atol=1e-5, rtol=1e-5)


def test_the_finer_levels_matter_and_their_absence_is_an_error(segmenter):
    features = segmenter.encode(picture())
    assert [tuple(value.shape[1:]) for value in features.maps.values()] == [(32, 32), (16, 16), (8, 8)]
    prompt = PROMPTS["one click"]
    whole = segmenter.decode(features, [prompt])[0].mask_logits
    for name in ("stride_4", "stride_8"):
        flat = replace(features, maps=features.maps | {name: torch.zeros_like(features.maps[name])})
        assert (segmenter.decode(flat, [prompt])[0].mask_logits - whole).abs().max() > 1e-2
        bare = replace(features, maps={key: value for key, value in features.maps.items() if key != name})
        with pytest.raises(UserError, match="features with the maps"):
            segmenter.decode(bare, [prompt])


def test_gradients_reach_the_features(segmenter):
    features = segmenter.encode(picture())
    maps = {name: value.clone().requires_grad_() for name, value in features.maps.items()}
    segmenter.decode(replace(features, maps=maps), [PROMPTS["one click"]])[0].mask_logits.sum().backward()
    assert all(value.grad.abs().max() > 0 for value in maps.values())


@pytest.mark.parametrize("kind", ["sam2", "sam-hq"])
def test_the_cache_keeps_what_the_decoder_needs(kind: str, segmenter, tmp_path: Path):
    """Masks of features from disk, rounded to float16, agree with those of fresh ones to that rounding."""
    if kind == "sam-hq":
        tiny_model("SamHQ").save_pretrained(tmp_path / "hq")
        segmenter = load_segmenter(f"sam-hq:{tmp_path / 'hq'}", CPU)
    image, prompt = picture(), PROMPTS["box and clicks"]
    FeatureCache(segmenter, tmp_path / "cache").features(image)
    stored = FeatureCache(segmenter, tmp_path / "cache").features(image)
    fresh = segmenter.encode(image)
    assert set(stored.maps) == set(fresh.maps)
    for name, value in fresh.maps.items():
        assert torch.equal(stored.maps[name], value.half().float()), name
    expected, found = (segmenter.decode(features, [prompt])[0].mask_logits for features in (fresh, stored))
    assert (expected - found).abs().max() < 0.02 * expected.std()


def test_a_folder_of_the_video_model_gives_the_same_masks(segmenter, folder: Path, tmp_path: Path):
    """The folders on the hub are of `Sam2VideoModel`: another type, and tensors of its memory beside these."""
    from safetensors.torch import load_file, save_file

    video = shutil.copytree(folder, tmp_path / "video")
    config = json.loads((video / "config.json").read_text())
    (video / "config.json").write_text(json.dumps(config | {"model_type": "sam2_video", "num_maskmem": 7}))
    tensors = load_file(video / "model.safetensors")
    tensors |= {"memory_attention.layers.0.linear1.weight": torch.ones(4, 4), "no_object_pointer": torch.ones(1, 16)}
    save_file(tensors, video / "model.safetensors", metadata={"format": "pt"})
    image = picture()
    found, expected = (
        one.decode(one.encode(image), [PROMPTS["box"]])[0].mask_logits
        for one in (load_segmenter(f"sam2:{video}", CPU), segmenter)
    )
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_auto_is_half_precision_on_cuda_alone():
    assert encoder_dtype("auto", torch.device("cuda")) == torch.float16
    assert encoder_dtype("auto", CPU) == torch.float32
    assert encoder_dtype("bfloat16", CPU) == torch.bfloat16


@pytest.mark.parametrize(("load", "prefix"), [(load_sam, "Sam"), (load_sam_hq, "SamHQ"), (load_sam2, None)])
def test_an_encoder_in_bfloat16_gives_nearly_the_same_masks(load, prefix, tmp_path: Path):
    """bfloat16 keeps 8 bits, a relative error of 2^-9 = 0.002 an operation; the decoder stays in float32."""
    (tiny_model(prefix) if prefix else tiny_sam2()).save_pretrained(tmp_path)
    exact, rounded = load(str(tmp_path), CPU), load(str(tmp_path), CPU, precision="bfloat16")
    image, prompt = picture(), PROMPTS["box and clicks"]
    seen = []
    rounded._model.mask_decoder.register_forward_pre_hook(
        lambda _module, _inputs, named: seen.extend(
            value.dtype for value in named.values() if isinstance(value, torch.Tensor)
        ),
        with_kwargs=True,
    )
    expected = exact.decode(exact.encode(image), [prompt])[0].mask_logits
    features = rounded.encode(image)
    found = rounded.decode(features, [prompt])[0].mask_logits
    assert {value.dtype for value in features.maps.values()} == {torch.float32}
    assert set(seen) == {torch.float32}
    error = (found - expected).std() / expected.std()
    assert 1e-5 < error < 0.1, float(error)
    assert exact.fingerprint != rounded.fingerprint, "a cache must not mix the two"


def test_what_half_precision_cannot_hold_is_encoded_again(caplog: pytest.LogCaptureFixture):
    weights = torch.full((4, 4), 300.0)

    def encode() -> dict[str, torch.Tensor]:
        return {"map": weights @ weights}

    with caplog.at_level("WARNING"):
        maps = encode_maps(encode, device=CPU, dtype=torch.float16)
    assert torch.equal(maps["map"], torch.full((4, 4), 360000.0)), "float16 ends at 65504"
    assert "float32" in caplog.text
    small = encode_maps(lambda: {"map": torch.eye(4) @ torch.eye(4)}, device=CPU, dtype=torch.float16)
    assert small["map"].dtype == torch.float32 and torch.equal(small["map"], torch.eye(4))


def test_features_of_another_segmenter_are_refused(segmenter):
    foreign = ImageFeatures({"image_embeddings": torch.zeros(16, 8, 8)}, 90, 161)
    with pytest.raises(UserError, match="features with the maps stride_4"):
        segmenter.decode(foreign, [PROMPTS["box"]])
