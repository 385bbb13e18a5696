"""Nothing mixes devices on the way from pictures to exports, tried with a device that is only pretended."""

import shutil
from dataclasses import replace

import pytest
import torch
from command_stage import CONFIG, TEST, ball_mask

from pretended_device import Elsewhere, pretended_device
from sanerf.data.load import load_scene
from sanerf.evaluation.run_evaluation import DecoderAlone, TrueMasks, evaluate_run
from sanerf.evaluation.run_report import ReportViews
from sanerf.export.from_run import ObjectSource, export_mesh, export_points, object_surfaces, view_cutout
from sanerf.export.isolate import render_orbit
from sanerf.kernels import numba_hash
from sanerf.kernels.backend import kernels_for
from sanerf.prompts.file import BoxPrompt, read_prompts
from sanerf.render.pictures import to_bytes
from sanerf.run import decoding, segment_run
from sanerf.run.decoding import MaskSource
from sanerf.run.folder import load_renderer, open_run
from sanerf.run.render_run import parse_outputs, write_outputs
from sanerf.run.segmentation import load_segmentations, render_objects
from sanerf.run.train_run import train_run
from sanerf.run.training import load_checkpoint, save_checkpoint, start_state
from sanerf.run.views import run_cameras
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses


class ByColour:
    """A segmenter on a device: of the stage's red and blue, what has the colour under the first point or in the box."""

    name = fingerprint = "by colour"
    fed_back = 0

    def __init__(self, device):
        self.device = device

    def encode(self, image):
        return ImageFeatures({"picture": image.to(self.device).float()}, image.shape[0], image.shape[1])

    def decode(self, features, prompts):
        picture = features.maps["picture"].to(self.device)
        is_red, is_blue = picture[..., 0] > picture[..., 2] + 20, picture[..., 2] > picture[..., 0] + 20
        out = []
        for prompt in prompts:
            x, y = prompt.points[0].long().tolist() if len(prompt.points) else prompt.box.reshape(2, 2).mean(0).tolist()
            chosen = is_red if bool(is_red[int(y), int(x)]) else is_blue
            logits = 20 * chosen[None].float() - 10
            if prompt.low_res_logits is not None:
                assert prompt.low_res_logits.device == logits.device
                self.fed_back += 1
            out.append(MaskHypotheses(logits, torch.ones(1, device=self.device), logits[:, ::2, ::2]))
        return out


class HashInOneStep(torch.autograd.Function):
    """numba's hash grid on the values of the device's tensors: the reference's hundreds of steps take a minute."""

    @staticmethod
    def forward(ctx, p_world, table, levels):
        assert isinstance(p_world, Elsewhere) and isinstance(table, Elsewhere)
        with torch.enable_grad():
            ctx.table = table.held.detach().requires_grad_()
            ctx.out = numba_hash.hash_encode(p_world.held, ctx.table, levels)
        return Elsewhere(ctx.out.detach())

    @staticmethod
    def backward(ctx, *grad_outputs):
        (grad,) = torch.autograd.grad(ctx.out, ctx.table, grad_outputs[0].held)
        return None, Elsewhere(grad), None


@pytest.fixture
def device():
    with pretended_device() as device:
        yield device


def test_training_and_its_checkpoint_stay_on_the_device(stage, tmp_path, device):
    kernels = kernels_for("torch", device)
    config = replace(CONFIG, training=replace(CONFIG.training, steps=3))
    run = train_run(load_scene(stage.scene), config, tmp_path / "run", kernels=kernels)
    state = start_state(config, kernels, views=len(run.scene.train))
    save_checkpoint(tmp_path / "checkpoint.safetensors", state)
    load_checkpoint(tmp_path / "checkpoint.safetensors", state)
    assert state.field.grid.table.device == device
    assert load_renderer(run, kernels, device).density_grid.device == device


@pytest.fixture
def by_colour(monkeypatch, device):
    segmenter = ByColour(device)
    monkeypatch.setattr(decoding, "load_segmenter", lambda spec, device: segmenter)
    return segmenter


def test_a_vote_and_its_kept_samples_stay_on_the_device(stage, tmp_path, device, by_colour):
    kernels = replace(kernels_for("torch", device), hash_encode=HashInOneStep.apply)
    run = open_run(shutil.copytree(stage.run, tmp_path / "run"))
    renderer = load_renderer(run, kernels, device)
    prompts = read_prompts(stage.prompts)
    prompts = replace(prompts, objects=prompts.objects[:1])
    for _ in range(2):
        segment_run.segment_instantly(run, renderer, prompts, MaskSource("by colour"), seed=0, progress=lambda *_: None)
    segmentations = load_segmentations(run, kernels, device)
    assert all(value.device == device for value in segmentations[0].field.buffers())
    rendered = render_objects(renderer, run.scene.views[9].camera, segmentations, run.background)
    found, true = rendered.mask("ball"), torch.from_numpy(ball_mask(9))
    assert int((found & true).sum()) / int((found | true).sum()) > 0.7


def test_a_vote_that_prompts_the_decoder_again_and_is_refined_stays_on_the_device(stage, tmp_path, device, by_colour):
    kernels = replace(kernels_for("torch", device), hash_encode=HashInOneStep.apply)
    run = open_run(shutil.copytree(stage.run, tmp_path / "run"))
    run = replace(run, config=replace(run.config, aggregate=replace(run.config.aggregate, refining_steps=20)))
    renderer = load_renderer(run, kernels, device)
    prompts = read_prompts(stage.prompts)
    prompts = replace(prompts, objects=prompts.objects[:1])
    asked, decode = [], by_colour.decode
    by_colour.decode = lambda features, prompts: (asked.extend(prompts), decode(features, prompts))[1]
    answers = list(
        segment_run.segment_and_refine(
            run, renderer, prompts, MaskSource("by colour"), seed=0, progress=lambda *_: None
        )
    )
    assert [answer.record["field"] for answer, _ in answers] == ["voted", "refined"]
    # Once by the click, once by the box of what was voted, in each training view that sees the ball.
    boxed = [prompt.box is not None for prompt in asked]
    assert sum(boxed) > 1 and boxed == sorted(boxed)
    segmentations = load_segmentations(run, kernels, device)
    assert all(value.device == device for value in segmentations[0].field.state_dict().values())
    rendered = render_objects(renderer, run.scene.views[9].camera, segmentations, run.background)
    found, true = rendered.mask("ball"), torch.from_numpy(ball_mask(9))
    assert int((found & true).sum()) / int((found | true).sum()) > 0.7


def test_segmenting_scoring_and_exporting_stay_on_the_device(stage, tmp_path, device, by_colour):
    kernels = replace(kernels_for("torch", device), hash_encode=HashInOneStep.apply)
    run = open_run(shutil.copytree(stage.run, tmp_path / "run"))
    run = replace(run, config=replace(run.config, aggregate=replace(run.config.aggregate, steps=30)))
    renderer = load_renderer(run, kernels, device)
    prompts = read_prompts(stage.prompts)
    # The ball, also by a box, which is decoded before it is lifted.
    ball = replace(prompts.objects[0], boxes=(BoxPrompt("9.png", (12.0, 6.0, 20.0, 14.0)),))
    prompts = replace(prompts, objects=(ball,))
    refined = MaskSource("by colour", refine=1)
    segment_run.segment_run(run, renderer, prompts, refined, seed=0, progress=lambda *_: None)
    # Of the box, and of each training view that sees the ball.
    assert by_colour.fed_back > 1
    segmentations = load_segmentations(run, kernels, device)

    view = run.scene.view_index("9.png")
    rendered = render_objects(renderer, run.scene.views[view].camera, segmentations, run.background)
    found, true = rendered.mask("ball"), torch.from_numpy(ball_mask(9))
    assert int((found & true).sum()) / int((found | true).sum()) > 0.7
    write_outputs(tmp_path / "out", "9", rendered, parse_outputs("rgb,depth,mask:ball,overlay:ball"), 1.0)

    decoder = decoding.open_decoder(run, renderer, "by colour")
    lifted = decoding.lift_prompts(prompts, decoder, cameras=run_cameras(run), renderer=renderer)
    pictures = ReportViews(most=1)
    scores = evaluate_run(
        run,
        renderer,
        segmentations=segmentations,
        views=[run.scene.view_index(f"{name}.png") for name in TEST],
        true_masks=TrueMasks(stage.masks, ("ball",)),
        alone=DecoderAlone(decoder.segmenter, lifted),
        on_view=lambda scored: pictures.add(run, scored),
    )
    assert scores.objects["ball"].counts.iou > 0.7 and len(pictures.figures) == 4

    source = ObjectSource(run, renderer, segmentations[0], "ball")
    surface = object_surfaces(run, renderer, segmentation=segmentations[0], names=["ball"], progress=lambda *_: None)[
        "ball"
    ]
    assert len(export_points(source, surface)) > 20
    assert len(export_mesh(source, surface, resolution=24).faces) > 20
    assert view_cutout(source, view, rendered, "soft").shape == (24, 32, 4)
    low, high = surface.box(0.1)
    frames = render_orbit(source, low=low, high=high, size=16, frames=2)
    assert [to_bytes(frame).shape for frame in frames] == [(16, 16, 3)] * 2
