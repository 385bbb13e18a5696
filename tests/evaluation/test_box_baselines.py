"""GrabCut and U²-Net from a box: what they are shown, what counts, and what is said where they cannot run."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from known_segmenters import OBJECT, object_mask, write_picture

from sanerf.data.masked_pictures import find_masked_pictures
from sanerf.errors import MissingExtraError, UserError
from sanerf.evaluation.box_baselines import BoxScores, GrabCut, U2Net, bench_box_method
from sanerf.evaluation.kept_lines import KeptLines


class FilledBox:
    """The box itself; counts its calls."""

    name, fingerprint = "filled", "filled-1"

    def __init__(self):
        self.calls = 0

    def __call__(self, image, box):
        self.calls += 1
        x0, y0, x1, y1 = map(int, box)
        out = np.zeros(image.shape[:2], bool)
        out[y0:y1, x0:x1] = True
        return out


def test_scores_are_means_over_cases_and_are_kept(tmp_path):
    # The object fills its box, and a quarter of it is half of its box's area: IoUs of 1 and 1/2.
    half = np.zeros_like(object_mask())
    half[OBJECT[0], 10:20] = True
    half[OBJECT[0].start, 29] = half[OBJECT[0].start, 20:29] = False
    stairs = half.copy()
    stairs[OBJECT[0].stop - 1, 19:30] = True
    write_picture(tmp_path / "data", "a", {"whole": object_mask(), "stairs": stairs})
    pictures = find_masked_pictures(tmp_path / "data").pictures
    method, kept = FilledBox(), KeptLines(tmp_path / "answers.jsonl")
    scores = bench_box_method(method, pictures, kept=kept, progress=lambda *_: None)
    assert scores.iou == pytest.approx((1 + 90 / 160) / 2) and method.calls == 2
    again = bench_box_method(method, pictures, kept=KeptLines(tmp_path / "answers.jsonl"), progress=lambda *_: None)
    assert isinstance(again, BoxScores) and again == scores and method.calls == 2


def test_what_is_not_installed_names_its_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"this needs opencv.*sanerf\[bench\]"):
        GrabCut()
    with pytest.raises(MissingExtraError, match=r"this needs onnxruntime.*sanerf\[bench\]"):
        U2Net(tmp_path / "u2net.onnx")


class RedIsSalient:
    """A session of a network that finds red salient; remembers the crop it saw. Logits of any range."""

    def __init__(self, shape=("batch", 3, 320, 320)):
        self.shape, self.seen = list(shape), None

    def get_inputs(self):
        return [SimpleNamespace(name="input.1", shape=self.shape)]

    def run(self, outputs, inputs):
        (self.seen,) = inputs.values()
        red, green = self.seen[:, 0] * 0.229 + 0.485, self.seen[:, 1] * 0.224 + 0.456
        return [7 + 3 * (red - green)[:, None].astype(np.float32)]


@pytest.fixture
def onnxruntime(monkeypatch, tmp_path):
    """onnxruntime's part that is used, with a network in place of any file's."""
    session = RedIsSalient()
    module = SimpleNamespace(
        __version__="0", SessionOptions=SimpleNamespace, InferenceSession=lambda path, options, providers: session
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    (tmp_path / "u2net.onnx").write_bytes(b"weights")
    return session


def test_u2net_sees_the_box_grown_by_15_percent_on_each_side_and_answers_within_the_box(onnxruntime, tmp_path):
    image = np.zeros((200, 300, 3), np.uint8)
    image[..., 2] = 200
    image[60:120, 80:180] = (200, 0, 0)
    image[100:140, 170:200] = (200, 0, 0)  # red goes on beyond the box
    mask = U2Net(tmp_path / "u2net.onnx")(image, (80.0, 60.0, 180.0, 120.0))
    expected = np.zeros((200, 300), bool)
    expected[60:120, 80:180] = True
    assert np.array_equal(mask, expected)
    # The crop is 130 x 78: its red part begins after 15 of 130 columns and 9 of 78 rows.
    red = onnxruntime.seen[0, 0] > 0
    assert onnxruntime.seen.shape == (1, 3, 320, 320)
    assert np.flatnonzero(red[160])[0] == pytest.approx(320 * 15 / 130, abs=1.5)
    assert np.flatnonzero(red[:, 100])[0] == pytest.approx(320 * 9 / 78, abs=1.5)


def test_a_file_that_is_no_u2net_is_refused(onnxruntime, tmp_path):
    with pytest.raises(UserError, match=r"--u2net: there is no file .*none.onnx"):
        U2Net(tmp_path / "none.onnx")
    onnxruntime.shape = [1, 3, 224, 224]
    with pytest.raises(UserError, match=r"u2net.onnx takes .*224.*; U²-Net takes one input of 1x3x320x320"):
        U2Net(tmp_path / "u2net.onnx")


def test_a_file_that_onnxruntime_cannot_read_is_refused(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra 'bench' is not installed")
    (tmp_path / "u2net.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"u2net.onnx is no network that onnxruntime reads"):
        U2Net(tmp_path / "u2net.onnx")


def test_grabcut_finds_what_differs_from_around_the_box():
    pytest.importorskip("cv2", reason="the extra 'bench' is not installed")
    random = np.random.default_rng(0)
    y, x = np.mgrid[:120, :160]
    disc = (x - 70) ** 2 + (y - 60) ** 2 < 30**2
    image = np.where(disc[..., None], (200, 60, 40), (40, 90, 160)) + random.integers(-15, 16, (120, 160, 3))
    method = GrabCut()
    mask = method(image.astype(np.uint8), (41.0, 31.0, 100.0, 90.0))
    assert (mask & disc).sum() / (mask | disc).sum() > 0.98
    assert method(image.astype(np.uint8), (0.0, 0.0, 160.0, 120.0)).all()
