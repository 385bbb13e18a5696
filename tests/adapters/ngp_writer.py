"""Tiny snapshots of instant-ngp with random weights, as the program writes them, and their values at points."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import slow_fields as slow

LEVELS, BASE, LOG2, FEATURES, HIDDEN, GROWTH = 4, 3, 7, 2, 16, 1.7


class WrittenSnapshot:
    """A snapshot on disk and, at points of its own frame, what it says. `changed` replaces entries of its map."""

    def __init__(
        self,
        path: Path,
        *,
        aabb_scale: int = 2,
        padding: int = 16,
        smooth: bool = False,
        precision: str = "__half",
        offset: tuple[float, ...] = (0.5, 0.5, 0.5),
        crop: tuple[list[float], list[float]] | None = None,
        turn: np.ndarray | None = None,
        seed: int = 0,
        changed: dict[str, Any] | None = None,
    ):
        random = np.random.default_rng(seed)
        kind = np.float16 if precision == "__half" else np.float32
        self.smooth = smooth
        self.low, self.high = np.full(3, 0.5 - aabb_scale / 2), np.full(3, 0.5 + aabb_scale / 2)
        self.crop = crop or (self.low.tolist(), self.high.tolist())
        self.turn = np.eye(3) if turn is None else turn
        self.sides = [BASE * GROWTH**level for level in range(LEVELS)]
        points = [int(np.ceil(side - 1)) + 1 for side in self.sides]
        rows = sum(min(-(-(p**3) // 8) * 8, 2**LOG2) for p in points)
        self.table = random.uniform(-2, 2, (rows, FEATURES)).astype(kind)
        outputs = 16 if padding == 16 else 8
        inputs = -(-LEVELS * FEATURES // padding) * padding
        shapes = [(HIDDEN, inputs), (16, HIDDEN)], [(HIDDEN, 32), (HIDDEN, HIDDEN), (outputs, HIDDEN)]
        self.networks = [
            [(random.uniform(-1, 1, shape).astype(kind), np.zeros(shape[0])) for shape in network] for network in shapes
        ]
        arrays = [weight for network in self.networks for weight, _ in network] + [self.table]
        binary = b"".join(array.tobytes() for array in arrays)
        network = {"otype": "FullyFusedMLP", "activation": "ReLU", "output_activation": "None", "n_neurons": HIDDEN}
        self.document = {
            "encoding": {
                "otype": "HashGrid", "n_levels": LEVELS, "n_features_per_level": FEATURES, "log2_hashmap_size": LOG2,
                "base_resolution": BASE, "per_level_scale": GROWTH,
                "interpolation": "Smoothstep" if smooth else "Linear",
            },
            "network": {**network, "n_hidden_layers": 1},
            "rgb_network": {**network, "n_hidden_layers": 2},
            "dir_encoding": {
                "otype": "Composite",
                "nested": [
                    {"n_dims_to_encode": 3, "otype": "SphericalHarmonics", "degree": 4},
                    {"otype": "Identity", "n_bins": 4, "degree": 4},
                ],
            },
            "snapshot": {
                "version": 1, "mode": "nerf", "params_type": precision, "params_binary": binary,
                "n_params": len(binary) // np.dtype(kind).itemsize,
                "aabb": {"min": self.low.tolist(), "max": self.high.tolist()},
                "render_aabb": {"min": self.crop[0], "max": self.crop[1]},
                "render_aabb_to_local": self.turn.tolist(),
                "density_grid_size": 128, "density_grid_binary": b"",
                "nerf": {
                    "aabb_scale": aabb_scale,
                    "dataset": {"scale": 0.33, "offset": list(offset), "aabb_scale": aabb_scale, "from_mitsuba": False},
                },
            },
        }  # fmt: skip
        for dotted, value in (changed or {}).items():
            *parents, last = dotted.split(".")
            place = self.document
            for name in parents:
                place = place[name]
            place[last] = value
        content = msgpack.packb(self.document)
        if path.suffix == ".ingp":
            content = gzip.compress(content) if aabb_scale == 2 else zlib.compress(content)
        path.write_bytes(content)

    def network_outputs(self, p: np.ndarray) -> tuple[np.ndarray, bool]:
        """The density network's outputs at a point of the field's frame, and whether it lies in its boxes."""
        unit = (p - self.low) / (self.high - self.low)
        turned = self.turn @ p
        inside = bool(
            ((unit > 0) & (unit < 1)).all() and (turned >= self.crop[0]).all() and (turned <= self.crop[1]).all()
        )
        if not inside:
            return np.zeros(16), False
        features = slow.tcnn_grid_features(unit, self.table, self.sides, LOG2, self.smooth)
        given = np.pad(features, (0, self.networks[0][0][0].shape[1] - len(features)))
        return slow.through(self.networks[0], given), True

    def density(self, p: np.ndarray) -> float:
        """Per unit of the field's frame."""
        out, inside = self.network_outputs(p)
        return float(np.exp(out[0])) if inside else 0.0

    def colour(self, p: np.ndarray, d: np.ndarray) -> np.ndarray:
        """Of a point seen along a unit direction, both in the field's frame."""
        out, _ = self.network_outputs(p)
        given = np.concatenate([out, slow.legendre_harmonics(d)])
        return slow.sigmoid(slow.through(self.networks[1], given)[:3])
