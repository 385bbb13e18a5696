"""PSNR in closed form, SSIM against scikit-image."""

import math

import pytest
import torch
from skimage.metrics import structural_similarity

from sanerf.evaluation.metrics import SSIM_WINDOW, SquaredError, squared_error, ssim
from sanerf.run.train_run import LEAST_SIDE


def noisy_pair(height: int = 40, width: int = 33) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0, 1, width).expand(height, width)
    reference = torch.stack([ramp, ramp.square(), 1 - ramp], dim=-1)
    noise = 0.1 * torch.randn(height, width, 3, generator=generator)
    return (reference + noise).clamp(0, 1), reference


def test_psnr_of_a_constant_difference():
    reference = torch.full((5, 7, 3), 0.5)
    assert squared_error(reference + 0.1, reference).psnr == pytest.approx(20.0, abs=1e-5)
    assert squared_error(reference, reference).psnr == math.inf


def test_psnr_inside_sees_only_the_inside():
    reference = torch.zeros(4, 4, 3)
    image = reference.clone()
    image[:, 2:] = 1.0
    image[:, :2] = 0.01
    inside = torch.zeros(4, 4, dtype=torch.bool)
    inside[:, :2] = True
    assert squared_error(image, reference, inside).psnr == pytest.approx(40.0, abs=1e-4)
    assert math.isnan(squared_error(image, reference, torch.zeros_like(inside)).psnr)


def test_pooled_errors_weigh_pixels_not_pictures():
    small, large = torch.zeros(1, 1, 3), torch.zeros(3, 1, 3)
    pooled = squared_error(small + 1.0, small) + squared_error(large, large)
    assert pooled.psnr == pytest.approx(-10 * math.log10(0.25))
    assert math.isnan(SquaredError().psnr)


def test_ssim_is_that_of_scikit_image():
    image, reference = noisy_pair()
    expected = structural_similarity(
        image.double().numpy(),
        reference.double().numpy(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
    )
    assert ssim(image, reference) == pytest.approx(expected, abs=1e-9)
    assert 0.1 < expected < 0.9


def test_ssim_of_two_flat_pictures_is_the_luminance_term():
    a, b = torch.full((11, 11, 3), 0.2), torch.full((11, 11, 3), 0.6)
    assert ssim(a, b) == pytest.approx((2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4), abs=1e-6)
    assert ssim(a, a) == pytest.approx(1.0)


def test_pictures_that_may_be_trained_on_have_a_window_of_ssim():
    least = torch.full((LEAST_SIDE, LEAST_SIDE, 3), 0.5)
    assert LEAST_SIDE == SSIM_WINDOW and ssim(least, least) == pytest.approx(1.0)
