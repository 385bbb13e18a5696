"""Cut-outs keep the photograph's pixels; masks land where the contract says."""

import numpy as np
import pytest
from PIL import Image

from sanerf.errors import UserError
from sanerf.export.cutouts import file_name, resize_alpha, rgba_cutout, write_masks
from sanerf.files import FOLDER_MARKER, write_text


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def test_colours_are_kept_where_anything_shows_and_gone_elsewhere(photo):
    """One part in 255 still shows; less than half a part is written as alpha 0."""
    alpha = np.zeros((12, 20), dtype=np.float32)
    alpha[3:6, 4:9], alpha[0, 0], alpha[0, 1], alpha[0, 2] = 1.0, 0.5, 1 / 255, 0.4 / 255
    rgba = rgba_cutout(photo, alpha)
    shows = np.zeros((12, 20), dtype=bool)
    shows[3:6, 4:9], shows[0, :2] = True, True
    np.testing.assert_array_equal(rgba[shows][:, :3], photo[shows])
    np.testing.assert_array_equal(rgba[..., 3], np.rint(alpha * 255))
    assert photo[~shows].any() and not rgba[~shows].any()


def test_over_any_background_the_cutout_is_what_alpha_says(photo):
    """Of straight alpha: Pillow's own compositing gives the photograph and the background in those parts."""
    alpha = np.tile(np.linspace(0, 1, 20, dtype=np.float32), (12, 1))
    behind = Image.new("RGBA", (20, 12), (10, 200, 90, 255))
    shown = Image.alpha_composite(behind, Image.fromarray(rgba_cutout(photo, alpha)))
    share = np.rint(alpha * 255)[..., None] / 255
    expected = share * photo + (1 - share) * np.array([10, 200, 90])
    np.testing.assert_allclose(np.asarray(shown)[..., :3], expected, atol=1)


def test_a_ramp_stays_a_ramp_when_it_grows():
    """Bilinear interpolation is exact on a linear ramp with pixel centres at halves."""
    centres = (np.arange(10) + 0.5) / 10
    grown = resize_alpha(np.tile(centres, (6, 1)), 12, 20)
    expected = (np.arange(20) + 0.5) / 20
    np.testing.assert_allclose(grown[:, 1:-1], np.tile(expected[1:-1], (12, 1)), atol=1e-12)
    np.testing.assert_allclose(grown[:, 0], 0.05)


def test_shrinking_averages():
    checks = np.indices((40, 40)).sum(axis=0) % 2 * 1.0
    np.testing.assert_allclose(resize_alpha(checks, 5, 5), 0.5, atol=0.01)


def test_crop_is_the_box_of_what_shows(photo):
    alpha = np.zeros((12, 20), dtype=np.float32)
    alpha[3:6, 4:9] = 1.0
    np.testing.assert_array_equal(rgba_cutout(photo, alpha, crop_to_alpha=True)[..., :3], photo[3:6, 4:9])
    assert rgba_cutout(photo, 0 * alpha, crop_to_alpha=True).shape == (12, 20, 4)


def test_masks_folder_follows_the_contract_and_keeps_the_other_views(tmp_path):
    mask = np.zeros((4, 6), dtype=bool)
    mask[1, 2] = True
    write_masks(tmp_path, "golden cape", [("IMG_1", ~mask), ("IMG_2", mask)])
    folder = write_masks(tmp_path, "golden cape", {"IMG_1": mask}.items())
    assert folder == tmp_path / "golden cape"
    assert {path.name for path in folder.iterdir()} == {"IMG_1.png", "IMG_2.png", FOLDER_MARKER}
    picture = Image.open(folder / "IMG_1.png")
    assert picture.mode == "L"
    np.testing.assert_array_equal(np.asarray(picture), mask * 255)


def test_two_views_of_one_stem_and_a_foreign_folder_are_refused(tmp_path):
    mask = np.ones((2, 2), dtype=bool)
    with pytest.raises(UserError, match="two views are called 'a'"):
        write_masks(tmp_path, "cape", [("a", mask), ("a", mask)])
    assert list(tmp_path.iterdir()) == []
    write_text(tmp_path / "images" / "a.png", "a photograph")
    with pytest.raises(UserError, match="did not write"):
        write_masks(tmp_path, "images", [("a", mask)])


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "a\\b", ".hidden", "a\n", "C:", " a", "a\0"])
def test_names_that_no_file_may_have(name):
    with pytest.raises(UserError, match="cannot be the name"):
        file_name(name)
    assert file_name("Käse 2.0 (left)") == "Käse 2.0 (left)"
