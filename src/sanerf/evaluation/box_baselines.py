"""What a box alone gives without a promptable segmenter: GrabCut, and U²-Net on the box's part of the picture.

Both answer the tight box that the benchmark gives segmenters, and nothing outside of it is object. They need the extra
`bench`; U²-Net needs its weights as an ONNX file besides.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image

from sanerf.data.masked_pictures import MaskedPicture
from sanerf.errors import MissingExtraError, UserError, on_one_line
from sanerf.evaluation.clicking import tight_box
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.segmenter_bench import boundary_iou, mask_iou, read_case, result_key
from sanerf.progress import Progress
from sanerf.shapes import Bool, UInt8

GRABCUT_ROUNDS = 5
U2NET_SIDE = 320
U2NET_MARGIN = 0.15
_MEAN, _STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)

Box = tuple[float, float, float, float]


@runtime_checkable
class BoxMethod(Protocol):
    """Finds the object in a box (x0, y0, x1, y1) of whole pixels."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def __call__(self, image: UInt8[np.ndarray, "h w 3"], box: Box) -> Bool[np.ndarray, "h w"]: ...


class GrabCut:
    """GrabCut (Rother et al. 2004) as OpenCV has it: five rounds from the box."""

    name = "grabcut"

    def __init__(self):
        """Raises MissingExtraError without OpenCV."""
        self._cv2 = _optional("cv2", "opencv")
        self.fingerprint = f"grabcut opencv {self._cv2.__version__} {GRABCUT_ROUNDS}"

    def __call__(self, image: UInt8[np.ndarray, "h w 3"], box: Box) -> Bool[np.ndarray, "h w"]:
        """The object's pixels; the whole box where there is nothing around it to learn the background from."""
        cv2 = self._cv2
        x0, y0, x1, y1 = map(int, box)
        inside = _box_mask(image.shape[:2], box)
        if inside.all():
            return inside
        cv2.setRNGSeed(0)
        labels = np.zeros(image.shape[:2], np.uint8)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        bgr = np.ascontiguousarray(image[..., ::-1])
        cv2.grabCut(bgr, labels, (x0, y0, x1 - x0, y1 - y0), *models, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_RECT)
        return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


class U2Net:
    """U²-Net (Qin et al. 2020), salient objects, on the box grown by 15 % of its size on every side."""

    name = "u2net"

    def __init__(self, path: Path):
        """Raises UserError where the file is no such network, MissingExtraError without onnxruntime."""
        onnxruntime = _optional("onnxruntime", "onnxruntime")
        if not path.is_file():
            raise UserError(f"--u2net: there is no file {path}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common base but this
            raise UserError(f"--u2net: {path} is no network that onnxruntime reads ({on_one_line(error)})") from error
        shapes = [entry.shape for entry in self._session.get_inputs()]
        if [list(shape[1:]) for shape in shapes] != [[3, U2NET_SIDE, U2NET_SIDE]]:
            raise UserError(f"--u2net: {path} takes {shapes}; U²-Net takes one input of 1x3x{U2NET_SIDE}x{U2NET_SIDE}")
        self._input = self._session.get_inputs()[0].name
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        self.fingerprint = f"u2net {digest} onnxruntime {onnxruntime.__version__} {U2NET_MARGIN}"

    def __call__(self, image: UInt8[np.ndarray, "h w 3"], box: Box) -> Bool[np.ndarray, "h w"]:
        """The pixels of the box whose saliency, stretched to [0, 1] over the crop, is above one half."""
        x0, y0, x1, y1 = box
        grow_x, grow_y = U2NET_MARGIN * (x1 - x0), U2NET_MARGIN * (y1 - y0)
        left, top = max(0, round(x0 - grow_x)), max(0, round(y0 - grow_y))
        right, bottom = min(image.shape[1], round(x1 + grow_x)), min(image.shape[0], round(y1 + grow_y))
        crop = Image.fromarray(image[top:bottom, left:right])
        small = np.asarray(crop.resize((U2NET_SIDE, U2NET_SIDE), Image.Resampling.LANCZOS), np.float32)
        unit = (small / max(float(small.max()), 1e-6) - _MEAN) / _STD
        saliency = self._session.run(None, {self._input: unit.transpose(2, 0, 1)[None]})[0][0, 0]
        low, high = float(saliency.min()), float(saliency.max())
        stretched = Image.fromarray((saliency - low) / max(high - low, 1e-6))
        out = np.zeros(image.shape[:2], bool)
        out[top:bottom, left:right] = np.asarray(stretched.resize(crop.size, Image.Resampling.BILINEAR)) > 0.5
        return out & _box_mask(image.shape[:2], box)


@dataclass(frozen=True)
class BoxScores:
    """Means over all cases, and the seconds a box."""

    iou: float
    boundary_iou: float
    seconds: float


def bench_box_method(
    method: BoxMethod, pictures: Sequence[MaskedPicture], *, kept: KeptLines, progress: Progress
) -> BoxScores:
    """What a method makes of the tight boxes; pictures that `kept` has are not computed again."""
    rows: list[Sequence[float]] = []
    progress(method.name, 0, len(pictures))
    for done, picture in enumerate(pictures, start=1):
        key = result_key(picture, method.fingerprint)
        found = kept.get(key)
        if found is None:
            image, truths = read_case(picture)
            found = {"boxes": [_score_box(method, image.numpy(), truth) for truth in truths.values()]}
            kept.add(key, found)
        rows += found["boxes"]
        progress(method.name, done, len(pictures))
    assert rows, "no case"
    return BoxScores(*(sum(column) / len(rows) for column in zip(*rows, strict=True)))


def _score_box(
    method: BoxMethod, image: UInt8[np.ndarray, "h w 3"], truth: Bool[np.ndarray, "h w"]
) -> tuple[float, float, float]:
    began = time.perf_counter()
    mask = method(image, tight_box(truth))
    seconds = time.perf_counter() - began
    return mask_iou(mask, truth), boundary_iou(mask, truth), seconds


def _optional(module: str, package: str) -> Any:
    """A module of the extra `bench`; MissingExtraError where it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(package, "bench") from error


def _box_mask(shape: tuple[int, ...], box: Box) -> Bool[np.ndarray, "h w"]:
    x0, y0, x1, y1 = map(int, box)
    out = np.zeros(shape, bool)
    out[y0:y1, x0:x1] = True
    return out
