"""Tiny nerfacto trainings with random weights, as nerfstudio leaves them on disk, and their values at points."""

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import slow_fields as slow
import torch

LEVELS, BASE, FINEST, LOG2, FEATURES, HIDDEN, IMAGES = 3, 4, 19, 6, 2, 16, 5

CONFIG = """!!python/object:nerfstudio.engine.trainer.TrainerConfig
_target: !!python/name:nerfstudio.engine.trainer.Trainer ''
data: &id001 !!python/object/apply:pathlib.PosixPath
- data
- {canary}
steps: !!python/tuple [1, 2]
harm: !!python/object/apply:os.mkdir [{canary}]
pipeline: !!python/object:nerfstudio.pipelines.base_pipeline.VanillaPipelineConfig
  datamanager: !!python/object:nerfstudio.data.datamanagers.ParallelDataManagerConfig
    data: *id001
  model: !!python/object:nerfstudio.models.nerfacto.NerfactoModelConfig
    _target: !!python/name:nerfstudio.models.nerfacto.NerfactoModel ''
    appearance_embed_dim: {appearance}
    base_res: 4
    features_per_level: 2
    hidden_dim: 16
    hidden_dim_color: 16
    implementation: {implementation}
    disable_scene_contraction: {no_contraction}
    use_average_appearance_embedding: {average}
{density}"""


@dataclass(frozen=True)
class Training:
    """What a training was like. `names` is how the density network's weights are called."""

    implementation: str = "torch"
    names: str = "new"
    contraction: bool = True
    average: bool = True
    appearance: int = 3
    init_density: float | None = 0.01
    scalings: bool = False
    padding: int = 16
    transform: tuple[tuple[float, ...], ...] = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))
    scale: float = 1.0

    def with_(self, **changed) -> "Training":
        return replace(self, **changed)


AABB = np.array([[-1.5, -1.0, -0.5], [0.5, 1.25, 2.0]], dtype=np.float32)


class WrittenTraining:
    """A training on disk and, at points of its own frame, what it says."""

    def __init__(self, root: Path, training: Training, seed: int = 0):
        self.root, self.training = root, training
        self._random = np.random.default_rng(seed)
        self.growth = (FINEST / BASE) ** (1 / (LEVELS - 1))
        self.embedding = self._draw(IMAGES, training.appearance)
        tensors = self._torch_tensors() if training.implementation == "torch" else self._tcnn_tensors()
        tensors |= {"aabb": AABB, "num_levels": np.int64(LEVELS), "max_res": np.int64(FINEST)}
        tensors |= {"log2_hashmap_size": np.int64(LOG2)}
        if training.appearance:
            tensors["embedding_appearance.embedding.weight"] = self.embedding
        self._write(tensors)

    def _draw(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        return (self._random.uniform(-scale, scale, shape)).astype(np.float32)

    def _torch_tensors(self) -> dict[str, np.ndarray]:
        self.table = self._draw(LEVELS * 2**LOG2, FEATURES, scale=2.0)
        # As torch computes it: in float32, so that the last may be one less than FINEST. Here it is exact by eye.
        self.scales = [4, 8, 19]
        given = 16 + 15 + self.training.appearance
        widths = {"base": [LEVELS * FEATURES, HIDDEN, 16], "head": [given, HIDDEN, HIDDEN, 3]}
        networks = {name: [(self._draw(b, a), self._draw(b)) for a, b in pairwise(w)] for name, w in widths.items()}
        self.base, self.head = networks["base"], networks["head"]
        new = self.training.names == "new"
        grid = "mlp_base.model.0." if new else "mlp_base_grid."
        layers = "mlp_base.model.1.layers" if new else "mlp_base_mlp.layers"
        tensors = {grid + "hash_table": self.table}
        if not new:  # a Sequential of the two has them a second time
            tensors["mlp_base.0.hash_table"] = self.table
        if self.training.scalings:
            self.scales = [5, 9, 17]
            tensors[grid + "scalings"] = np.array(self.scales, dtype=np.float32)
        for k, (weight, bias) in enumerate(self.base):
            tensors |= {f"{layers}.{k}.weight": weight, f"{layers}.{k}.bias": bias}
        for k, (weight, bias) in enumerate(self.head):
            tensors |= {f"mlp_head.layers.{k}.weight": weight, f"mlp_head.layers.{k}.bias": bias}
        return tensors

    def _tcnn_tensors(self) -> dict[str, np.ndarray]:
        self.sides = [BASE * self.growth**level for level in range(LEVELS)]
        points = [int(np.ceil(side - 1)) + 1 for side in self.sides]
        rows = sum(min(-(-(p**3) // 8) * 8, 2**LOG2) for p in points)
        self.table = self._draw(rows, FEATURES, scale=2.0)
        pad = self.training.padding

        def padded(width: int) -> int:
            return (width + pad - 1) // pad * pad

        self.given = 16 + 15 + self.training.appearance
        base = [self._draw(HIDDEN, padded(6)), self._draw(16, HIDDEN)]
        head = [self._draw(HIDDEN, padded(self.given)), self._draw(HIDDEN, HIDDEN), self._draw(padded(3), HIDDEN)]
        self.base = [(weight, np.zeros(len(weight))) for weight in base]
        self.head = [(weight, np.zeros(len(weight))) for weight in head]
        network, grid = np.concatenate([w.reshape(-1) for w in base]), self.table.reshape(-1)
        tensors = {"mlp_head.tcnn_encoding.params": np.concatenate([w.reshape(-1) for w in head])}
        if self.training.names == "new":
            return tensors | {"mlp_base.model.params": np.concatenate([network, grid])}
        return tensors | {"mlp_base_grid.tcnn_encoding.params": grid, "mlp_base_mlp.tcnn_encoding.params": network}

    def _write(self, tensors: dict[str, np.ndarray]) -> None:
        t = self.training
        (self.root / "nerfstudio_models").mkdir(parents=True)
        self.canary = self.root / "harm"
        density = "" if t.init_density is None else f"    average_init_density: {t.init_density}\n"
        text = CONFIG.format(
            canary=self.canary, implementation=t.implementation, appearance=t.appearance, density=density,
            no_contraction=str(not t.contraction).lower(), average=str(t.average).lower(),
        )  # fmt: skip
        (self.root / "config.yml").write_text(text)
        document = {"transform": [list(row) for row in t.transform], "scale": t.scale}
        (self.root / "dataparser_transforms.json").write_text(json.dumps(document))
        state = {f"_model.field.{name}": torch.from_numpy(np.array(value)) for name, value in tensors.items()}
        state["_model.proposal_networks.0.aabb"] = torch.from_numpy(AABB)
        checkpoint = {
            "step": 29999,
            "pipeline": state,
            "optimizers": {"fields": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.01}]}},
            # Schedulers' states have NumPy's numbers in them.
            "schedulers": {"fields": {"_last_lr": [np.float64(0.01)], "last_epoch": 29999}},
            "scalers": {"scale": 65536.0},
        }
        torch.save({"pipeline": {}}, self.root / "nerfstudio_models" / "step-000002000.ckpt")
        torch.save(checkpoint, self.root / "nerfstudio_models" / "step-000029999.ckpt")

    def network_outputs(self, p: np.ndarray) -> tuple[np.ndarray, bool]:
        """The density network's outputs at a point of the field's frame, and whether it lies in its cube."""
        if self.training.contraction:
            unit = (slow.contracted(p) + 2) / 4
        else:
            unit = (p - AABB[0].astype(np.float64)) / (AABB[1].astype(np.float64) - AABB[0])
        inside = bool(((unit > 0) & (unit < 1)).all())
        if not inside:
            return np.zeros(16), False
        if self.training.implementation == "torch":
            features = slow.torch_grid_features(unit, self.table, self.scales)
        else:
            features = slow.tcnn_grid_features(unit, self.table, self.sides, LOG2, smooth=False)
            features = np.pad(features, (0, self.base[0][0].shape[1] - len(features)))
        return slow.through(self.base, features), True

    def density(self, p: np.ndarray) -> float:
        """Per unit of the field's frame."""
        out, inside = self.network_outputs(p)
        return (self.training.init_density or 1.0) * float(np.exp(out[0])) if inside else 0.0

    def colour(self, p: np.ndarray, d: np.ndarray) -> np.ndarray:
        """Of a point seen along a unit direction, both in the field's frame."""
        out, _ = self.network_outputs(p)
        torch_made = self.training.implementation == "torch"
        code = slow.nerfstudio_torch_harmonics(d) if torch_made else slow.legendre_harmonics(d)
        mean = self.embedding.astype(np.float64).mean(axis=0) * self.training.average
        given = np.concatenate([code, out[1:16], mean])
        given = np.pad(given, (0, self.head[0][0].shape[1] - len(given)), constant_values=1.0)
        return slow.sigmoid(slow.through(self.head, given)[:3])
