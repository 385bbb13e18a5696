"""The built-in segmenter: shapes, purity, frames of prompts, and that it really segments what is plain to see."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sanerf.errors import UserError
from sanerf.segmenter.mini.decoder import likeness, prompt_maps
from sanerf.segmenter.mini.network import InvertedResidual, SameConv, fold_pretrained
from sanerf.segmenter.mini.segmenter import (
    FORMAT_VERSION,
    WEIGHTS,
    MiniNetwork,
    MiniSegmenter,
    load_mini,
    network_size,
    preprocess,
)
from sanerf.segmenter.protocol import ImageFeatures, ViewPrompts

HEIGHT, WIDTH = 210, 300
CENTRE, RADIUS = (180, 90), 42


def disc_picture(height: int = HEIGHT, width: int = WIDTH) -> tuple[torch.Tensor, np.ndarray]:
    """An orange disc on a dim, slightly noisy blue ground, with a grey square elsewhere; and the disc's mask."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width] * (HEIGHT / height)
    image = np.empty((height, width, 3), np.float32)
    image[:] = (40, 60, 110)
    image[(x > 30) & (x < 80) & (y > 130) & (y < 180)] = (150, 150, 150)
    disc = (x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 < RADIUS**2
    shade = 1 - 0.2 * (y - CENTRE[1]) / RADIUS
    image[disc] = (np.array([230, 130, 30]) * shade[..., None])[disc]
    image += random.normal(0, 3, image.shape)
    return torch.from_numpy(np.clip(image, 0, 255).astype(np.uint8)), disc


def clicks(*points: tuple[float, float], labels: tuple[int, ...] | None = None) -> ViewPrompts:
    return ViewPrompts(
        torch.tensor(points, dtype=torch.float32).reshape(-1, 2),
        torch.tensor(labels if labels is not None else (1,) * len(points), dtype=torch.long),
    )


def box_prompt(*corners: float) -> ViewPrompts:
    return ViewPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), torch.tensor(corners, dtype=torch.float32))


def best_mask(segmenter: MiniSegmenter, features: ImageFeatures, prompt: ViewPrompts) -> np.ndarray:
    answer = segmenter.decode(features, [prompt])[0]
    return (answer.mask_logits[int(answer.predicted_iou.argmax())] > 0).numpy()


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture(scope="module")
def segmenter() -> MiniSegmenter:
    return load_mini(torch.device("cpu"), long_side=320)


@pytest.fixture(scope="module")
def disc(segmenter: MiniSegmenter) -> tuple[ImageFeatures, np.ndarray]:
    image, truth = disc_picture()
    return segmenter.encode(image), truth


def test_a_click_on_a_plain_object_gives_its_mask(segmenter, disc):
    features, truth = disc
    assert iou(best_mask(segmenter, features, clicks(CENTRE)), truth) > 0.8


def test_a_click_off_centre_gives_it_too(segmenter, disc):
    features, truth = disc
    assert iou(best_mask(segmenter, features, clicks((CENTRE[0] + 20, CENTRE[1] - 18))), truth) > 0.8


def test_a_box_gives_the_object_in_it(segmenter, disc):
    features, truth = disc
    (x, y), r = CENTRE, RADIUS
    assert iou(best_mask(segmenter, features, box_prompt(x - r, y - r, x + r, y + r)), truth) > 0.8


def test_the_same_object_at_twice_the_resolution(segmenter):
    image, truth = disc_picture(2 * HEIGHT, 2 * WIDTH)
    features = segmenter.encode(image)
    mask = best_mask(segmenter, features, clicks((2 * CENTRE[0], 2 * CENTRE[1])))
    assert mask.shape == (2 * HEIGHT, 2 * WIDTH)
    assert iou(mask, truth) > 0.8


def test_a_negative_click_takes_its_place_out_of_the_mask(segmenter, disc):
    features, _ = disc
    inside, outside = CENTRE, (55, 155)
    both = segmenter.decode(features, [clicks(inside, outside), clicks(inside, outside, labels=(1, 0))])
    at = [float(answer.mask_logits[int(answer.predicted_iou.argmax())][155, 55]) for answer in both]
    assert at[0] > at[1]
    assert at[1] < 0


def test_a_previous_mask_alone_is_a_prompt_at_any_resolution(segmenter, disc):
    features, truth = disc
    small = torch.from_numpy(np.where(truth, 6.0, -6.0)[::3, ::3].astype(np.float32))
    prompt = ViewPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), None, small)
    assert iou(best_mask(segmenter, features, prompt), truth) > 0.75


def test_shapes_and_ranges(segmenter, disc):
    features, _ = disc
    answer = segmenter.decode(features, [clicks(CENTRE)])[0]
    assert answer.mask_logits.shape == (3, HEIGHT, WIDTH)
    assert answer.predicted_iou.shape == (3,)
    assert bool(((answer.predicted_iou >= 0) & (answer.predicted_iou <= 1)).all())
    assert (features.height, features.width) == (HEIGHT, WIDTH)
    rows, columns = 224, 320
    assert {name: tuple(x.shape) for name, x in features.maps.items()} == {
        "f16": (128, rows // 16, columns // 16),
        "f8": (48, rows // 8, columns // 8),
        "f4": (24, rows // 4, columns // 4),
    }


def test_a_list_is_decoded_as_one_by_one(segmenter, disc):
    features, truth = disc
    mask = torch.from_numpy(np.where(truth, 5.0, -5.0).astype(np.float32))
    mixed = [
        clicks(CENTRE),
        clicks(CENTRE, (55, 155), (250, 30), labels=(1, 0, 0)),
        box_prompt(120, 40, 230, 140),
        ViewPrompts(torch.tensor([[100.0, 100.0]]), torch.tensor([0]), None, mask),
    ]
    mixed += [clicks((10.0 + 25 * k, 20.0 + 15 * k)) for k in range(7)]
    together = segmenter.decode(features, mixed)
    assert len(together) == len(mixed)
    for prompt, answer in zip(mixed, together, strict=True):
        alone = segmenter.decode(features, [prompt])[0]
        torch.testing.assert_close(answer.mask_logits, alone.mask_logits, atol=2e-3, rtol=1e-3)
        torch.testing.assert_close(answer.predicted_iou, alone.predicted_iou, atol=1e-4, rtol=1e-3)


def test_no_prompts_no_answers(segmenter, disc):
    assert segmenter.decode(disc[0], []) == []


def test_the_same_call_gives_the_same_numbers(segmenter, disc):
    features, _ = disc
    image, _ = disc_picture()
    again = segmenter.encode(image)
    for name, x in features.maps.items():
        assert torch.equal(x, again.maps[name])
    one, two = (segmenter.decode(features, [clicks(CENTRE)])[0].mask_logits for _ in range(2))
    assert torch.equal(one, two)


def test_features_survive_half_precision(segmenter, disc):
    features, _ = disc
    halves = ImageFeatures({k: x.half() for k, x in features.maps.items()}, features.height, features.width)
    whole, half = best_mask(segmenter, features, clicks(CENTRE)), best_mask(segmenter, halves, clicks(CENTRE))
    assert iou(whole, half) > 0.98


def test_the_fingerprint_follows_weights_and_settings():
    network = MiniNetwork()
    cpu = torch.device("cpu")
    first = MiniSegmenter(network, cpu).fingerprint
    assert MiniSegmenter(network, cpu).fingerprint == first
    assert MiniSegmenter(network, cpu, long_side=512).fingerprint != first
    with torch.no_grad():
        network.decoder.coarse.bias += 1e-3
    assert MiniSegmenter(network, cpu).fingerprint != first


def test_bad_prompts_are_refused(segmenter, disc):
    features, _ = disc
    with pytest.raises(UserError, match="at least one point"):
        segmenter.decode(features, [ViewPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))])
    with pytest.raises(UserError, match="label"):
        segmenter.decode(features, [clicks((5, 5), labels=(2,))])


def test_other_formats_and_missing_files_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="not at"):
        load_mini(torch.device("cpu"), weights=tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, str(other), {"format_version": str(FORMAT_VERSION + 1)})
    with pytest.raises(UserError, match="format version"):
        load_mini(torch.device("cpu"), weights=other)


def test_the_packaged_weights_are_small():
    assert WEIGHTS.stat().st_size < 30e6


def test_preprocess_keeps_the_aspect_and_pads_with_grey():
    image = torch.full((100, 200, 3), 255, dtype=torch.uint8)
    pixels = preprocess(image, 320)
    assert network_size(100, 200, 320) == (160, 320)
    assert pixels.shape == (1, 3, 160, 320)
    assert torch.allclose(pixels, torch.ones_like(pixels))
    padded = preprocess(torch.full((110, 200, 3), 255, dtype=torch.uint8), 320)
    assert padded.shape == (1, 3, 192, 320)
    assert bool((padded[:, :, 176:] == 0).all())
    assert torch.allclose(padded[:, :, :176], torch.ones(1))


def test_prompt_maps_put_clicks_and_boxes_where_they_belong():
    points = torch.tensor([[[42.0, 18.0], [10.0, 50.0]]])
    box = torch.tensor([[16.0, 8.0, 48.0, 40.0]])
    maps = prompt_maps(points, torch.tensor([[1, 0]]), box, torch.zeros(1, 32, 40), 4, (16, 20))[0]
    assert divmod(int(maps[0].argmax()), 20) == (4, 10)
    assert divmod(int(maps[2].argmax()), 20) == (12, 2)
    inside = maps[4] > 0.5
    assert bool(inside[2:10, 4:12].all())
    assert int(inside.sum()) == 64
    assert bool((maps[5] == 1).all())
    assert bool((maps[6:] == 0).all())


def test_prompt_maps_without_a_box_or_clicks_are_zero():
    nothing = prompt_maps(
        torch.zeros(1, 1, 2), torch.tensor([[-1]]), torch.full((1, 4), torch.nan), torch.zeros(1, 8, 8), 4, (4, 4)
    )
    assert bool((nothing == 0).all())


def test_likeness_is_one_at_the_click_and_zero_without_clicks():
    embedding = torch.randn(1, 64, 6, 8, generator=torch.Generator().manual_seed(0))
    at = torch.tensor([[[28.0, 20.0]]])
    maps = likeness(embedding, at, torch.tensor([[1]]), 8)[0]
    assert torch.allclose(maps[:4, 2, 3], torch.ones(4), atol=1e-5)
    assert float(maps[:4].max()) <= 1 + 1e-5
    assert bool((maps[4:] == 0).all())


def test_folded_batch_norm_equals_batch_norm():
    generator = torch.Generator().manual_seed(0)
    conv = torch.nn.Conv2d(3, 32, 3, stride=2, bias=False)
    norm = torch.nn.BatchNorm2d(32, eps=1e-3).eval()
    for x in (norm.weight, norm.bias, norm.running_mean):
        x.data = torch.randn(x.shape, generator=generator)
    norm.running_var = torch.rand(32, generator=generator) + 0.2
    names = {"_conv_stem": conv.state_dict(), "_bn0": norm.state_dict()}
    pretrained = {f"{prefix}.{name}": x for prefix, state in names.items() for name, x in state.items()}
    folded = fold_pretrained(pretrained | _zero_blocks())
    assert set(folded) == set(MiniNetwork().encoder.backbone.state_dict())
    same = SameConv(3, 32, 3, 2, 1)
    same.load_state_dict({"weight": folded["stem.weight"], "bias": folded["stem.bias"]})
    picture = torch.randn(1, 3, 8, 8, generator=generator)
    expected = norm(conv(torch.nn.functional.pad(picture, (0, 1, 0, 1))))
    torch.testing.assert_close(same(picture), expected, atol=1e-4, rtol=1e-4)


def _zero_blocks() -> dict[str, torch.Tensor]:
    """A pretrained state dict's blocks, zero, with the package's names."""
    found, index = {}, 0
    for stage in MiniNetwork().encoder.backbone.stages:
        for block in stage:
            assert isinstance(block, InvertedResidual)
            convs = [("_expand_conv", "_bn0", block.expand)] if block.expand is not None else []
            convs += [("_depthwise_conv", "_bn1", block.depthwise), ("_project_conv", "_bn2", block.project)]
            for conv_name, norm_name, conv in convs:
                channels = conv.out_channels
                found[f"_blocks.{index}.{conv_name}.weight"] = torch.zeros_like(conv.weight)
                for part in ("weight", "bias", "running_mean"):
                    found[f"_blocks.{index}.{norm_name}.{part}"] = torch.zeros(channels)
                found[f"_blocks.{index}.{norm_name}.running_var"] = torch.ones(channels)
            index += 1
    return found
