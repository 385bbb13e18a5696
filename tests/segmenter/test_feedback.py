"""A mask fed back to the SAM family and to `mini`: what transformers' own call gives for the decoder's own logits."""

import logging
from dataclasses import replace

import pytest
import torch
from tiny_models import CPU, SIDE, clicks, picture, tiny_model, tiny_sam2

from sanerf.segmenter.choose import best_hypothesis
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.mini.segmenter import load_mini
from sanerf.segmenter.preprocess import Frame, frame_mask, picture_masks, sam2_pixel_values, sam_pixel_values
from sanerf.segmenter.refine import decode_chosen
from sanerf.segmenter.sam_hq import attended_upscaling

SIZE = (90, 161)
PROMPT = clicks((40.2, 30.7, 1), (100.0, 60.0, 0))
WITHOUT_TRANSFORMERS = "the SAM family needs transformers: sanerf[sam]"
CLASSES = {"sam": "SamModel", "sam-hq": "SamHQModel", "sam2": "Sam2Model"}


@pytest.fixture(scope="module", params=CLASSES)
def family(request, tmp_path_factory: pytest.TempPathFactory):
    """A tiny random model of a kind, as our segmenter and as transformers' own."""
    transformers = pytest.importorskip("transformers", reason=WITHOUT_TRANSFORMERS)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    folder = tmp_path_factory.mktemp(request.param)
    model = tiny_sam2() if request.param == "sam2" else tiny_model("SamHQ" if request.param == "sam-hq" else "Sam")
    model.save_pretrained(folder)
    own = getattr(transformers, CLASSES[request.param]).from_pretrained(folder).eval()
    return load_segmenter(f"{request.param}:{folder}", CPU), own


def official(kind: str, model, image, low_res=None):
    """transformers' forward on pixel values: low-resolution logits and predicted IoUs of `PROMPT`."""
    frame = Frame(*SIZE, SIDE, stretched=kind == "sam2")
    scale = torch.tensor([frame.columns / SIZE[1], frame.rows / SIZE[0]])
    inputs = {"input_points": (PROMPT.points * scale - 0.5)[None, None], "input_labels": PROMPT.labels[None, None]}
    if low_res is not None:
        inputs["input_masks"] = low_res[None, None]
    pixels = sam2_pixel_values(image, SIDE) if kind == "sam2" else sam_pixel_values(image, SIDE)
    with torch.no_grad():
        if kind == "sam-hq":
            with attended_upscaling(model.mask_decoder):
                out = model(pixel_values=pixels, multimask_output=True, **inputs)
            return out.pred_masks[0, 0, :1], out.iou_scores[0, 0, :1]
        out = model(pixel_values=pixels, multimask_output=True, **inputs)
        return out.pred_masks[0, 0], out.iou_scores[0, 0]


def test_feeding_back_is_the_official_call_with_the_decoders_own_logits(family):
    """Three calls of transformers by hand, the best mask of each going into the next, against ours."""
    segmenter, model = family
    image = picture(*SIZE)
    features, prompt, low_res = segmenter.encode(image), PROMPT, None
    for _ in range(3):
        expected, iou = official(segmenter.name, model, image, low_res)
        answer = segmenter.decode(features, [prompt])[0]
        frame = Frame(*SIZE, SIDE, stretched=segmenter.name == "sam2")
        torch.testing.assert_close(answer.low_res_logits, expected, atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(answer.mask_logits, picture_masks(expected, frame), atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(answer.predicted_iou, iou, atol=1e-5, rtol=0)
        best = best_hypothesis(answer, PROMPT)
        low_res = expected[best]
        prompt = replace(PROMPT, low_res_logits=answer.low_res_logits[best])
    first, second = (official(segmenter.name, model, image, mask)[0] for mask in (None, low_res))
    assert (first - second).abs().max() > 1e-2, "the mask fed back must matter"


def test_logits_through_the_pictures_resolution_are_others_than_the_decoders_own(family):
    """Why the low-resolution logits are carried: enlarging and shrinking again blurs, each cell with its neighbours."""
    segmenter, _ = family
    answer = segmenter.decode(segmenter.encode(picture(*SIZE)), [PROMPT])[0]
    frame = Frame(*SIZE, SIDE, stretched=segmenter.name == "sam2")
    own, resized = answer.low_res_logits[0], frame_mask(answer.mask_logits[0], frame)[0, 0]
    rows, columns = frame.rows // 4, frame.columns // 4
    change = (resized - own)[:rows, :columns].std() / own[:rows, :columns].std()
    # 0.67, 0.48 and 0.20 for SAM, SAM-HQ and SAM 2 with random weights, whose masks are rough.
    assert 0.1 < change < 1


def test_sam2_limits_what_is_fed_back_as_its_authors_do(tmp_path):
    """To ±32; what becomes the mask itself is not limited."""
    pytest.importorskip("transformers", reason=WITHOUT_TRANSFORMERS)
    model = tiny_sam2()
    for layers in model.mask_decoder.output_hypernetworks_mlps:
        layers.proj_out.weight.data *= 300
    model.save_pretrained(tmp_path)
    segmenter = load_segmenter(f"sam2:{tmp_path}", CPU)
    answer = segmenter.decode(segmenter.encode(picture(*SIZE)), [PROMPT])[0]
    assert answer.mask_logits.abs().max() > 40
    assert answer.low_res_logits.abs().max() == 32


def test_minis_own_logits_go_back_as_they_came():
    """The same, to the last bit, as the decoder network given its own limited logits as the previous mask."""
    mini = load_mini(CPU, long_side=160)
    features = mini.encode(picture(100, 160))
    answer = mini.decode(features, [PROMPT])[0]
    best = best_hypothesis(answer, PROMPT)
    again = mini.decode(features, [replace(PROMPT, low_res_logits=answer.low_res_logits[best])])[0]
    maps = {name: value[None] for name, value in features.maps.items()}
    with torch.inference_mode():
        logits, iou, _ = mini._network.decoder(
            maps, PROMPT.points[None], PROMPT.labels[None], torch.full((1, 4), torch.nan),
            answer.low_res_logits[best].clamp(-12, 12)[None] + 1e-6,
        )  # fmt: skip
    assert torch.equal(again.low_res_logits, logits[0]) and torch.equal(again.predicted_iou, iou[0])
    assert (again.mask_logits - answer.mask_logits).abs().max() > 1e-2


def test_rounds_end_with_a_mask_no_worse_by_its_own_measure(family):
    segmenter, _ = family
    features = segmenter.encode(picture(*SIZE))
    prompts = [PROMPT, clicks((20.0, 20.0, 1)), clicks(box=[20.0, 10.0, 120.5, 70.0])]
    plain = decode_chosen(segmenter, features, prompts)
    refined = decode_chosen(segmenter, features, prompts, rounds=3)
    for before, after in zip(plain, refined, strict=True):
        assert (after.agreement, after.predicted_iou) >= (before.agreement, before.predicted_iou)
        assert (after.rounds == 0) == torch.equal(before.mask_logits, after.mask_logits)
