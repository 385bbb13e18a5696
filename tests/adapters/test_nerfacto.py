"""nerfacto checkpoints: a writer of its own and a slow evaluation, point by point."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfstudio_writer import AABB, Training, WrittenTraining

from sanerf.adapters.nerfacto import nerfacto_field, torch_scales
from sanerf.adapters.nerfstudio_files import field_from_file, training_files
from sanerf.errors import UserError
from sanerf.geometry.transforms import IDENTITY, Similarity

TURNED = ((0.0, 1.0, 0.0, 0.3), (-1.0, 0.0, 0.0, -0.2), (0.0, 0.0, 1.0, 0.5))
CASES = {
    "torch": Training(),
    "torch, older names, scales in the file": Training(names="old", scalings=True, init_density=None),
    "torch, no contraction, no average": Training(contraction=False, average=False),
    "torch, no embedding, turned frame": Training(appearance=0, transform=TURNED, scale=0.4),
    "tcnn": Training(implementation="tcnn"),
    "tcnn, older names, padded to 8": Training(implementation="tcnn", names="old", padding=8),
    "tcnn, no embedding, no contraction": Training(implementation="tcnn", appearance=0, contraction=False),
}


def points(count: int = 80) -> np.ndarray:
    """Of the world, near and far."""
    random = np.random.default_rng(3)
    return np.concatenate([random.uniform(-1.4, 1.4, (count // 2, 3)), random.normal(size=(count // 2, 3)) * 6])


@pytest.mark.parametrize("training", CASES.values(), ids=CASES.keys())
def test_the_field_is_the_slow_one(training, tmp_path, agree):
    written = WrittenTraining(tmp_path / "run", training)
    # The world is another frame than the scene file's: p_world = 2 p_file + (0, 0.5, 0).
    world_from_file = Similarity(2.0, torch.eye(3, dtype=torch.float64), torch.tensor([0.0, 0.5, 0.0]).double())
    field = nerfacto_field(tmp_path / "run", world_from_file, scene=tmp_path)
    matrix = np.array(training.transform, dtype=np.float64)

    def to_field(p_world: np.ndarray) -> np.ndarray:
        p_file = (p_world - [0.0, 0.5, 0.0]) / 2
        return training.scale * (matrix[:, :3] @ p_file + matrix[:, 3])

    empty = agree(field, written, points(), to_field, lambda d: matrix[:, :3] @ d, training.scale / 2)
    assert (empty > 10) if not training.contraction else (empty == 0)
    assert not written.canary.exists()


def test_the_scales_of_the_torch_grid_are_those_of_single_precision():
    """With nerfacto's own numbers the finest level comes out as 2047, by 16 * b^15 = 2047.9988 in float32."""
    scales = torch_scales(16, 2048, 16)
    assert scales[0] == 16 and scales[-1] == 2047
    growth = np.exp((np.log(2048) - np.log(16)) / 15)
    assert torch.equal(scales, torch.floor(16 * growth ** torch.arange(16)).float())


def test_a_known_point_goes_through_both_of_nerfstudios_transforms(tmp_path):
    """As nerfstudio does it: the poses of the file are turned and shifted by T0, then scaled by s0; it saves
    T0 applied_transform and s0 applied_scale."""
    turned = ((0, -1, 0, 1.0), (1, 0, 0, 0), (0, 0, 1, 0))
    WrittenTraining(tmp_path / "run", Training(transform=turned, scale=0.5))
    files = training_files(tmp_path / "run")
    plain = field_from_file(files, tmp_path)
    torch.testing.assert_close(plain.apply(torch.tensor([[1.0, 2.0, 3.0]])), torch.tensor([[-0.5, 0.5, 1.5]]))
    applied = [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]]
    document = {"applied_transform": applied, "applied_scale": 2.0, "frames": []}
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    found = field_from_file(files, tmp_path)
    p_file = np.array([2.0, 6.0, -4.0])
    turned_4, applied_4 = (np.vstack([np.array(m, dtype=float), [0, 0, 0, 1]]) for m in (turned, applied))
    t0 = turned_4 @ np.linalg.inv(applied_4)
    expected = 0.25 * (t0 @ [*p_file, 1.0])[:3]
    np.testing.assert_allclose(expected, [-0.75, 0.5, 1.5])
    np.testing.assert_allclose(found.apply(torch.tensor([p_file.tolist()]))[0], expected, atol=1e-6)
    assert found.scale == pytest.approx(0.25)


def test_a_training_is_found_by_its_folder_its_configuration_or_a_checkpoint(tmp_path):
    written = WrittenTraining(tmp_path / "run", Training())
    newest = written.root / "nerfstudio_models" / "step-000029999.ckpt"
    for path in (written.root, written.root / "config.yml", newest):
        assert training_files(path).checkpoint == newest
    older = newest.with_name("step-000002000.ckpt")
    assert training_files(older).checkpoint == older


def refused(path: Path, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        nerfacto_field(path, IDENTITY, scene=path)
    assert "\n" not in str(error.value)


class _Harm:
    """A pickle that would make a folder."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_bad_trainings_are_refused_in_a_sentence(tmp_path):
    def fresh(name: str, **changed) -> Path:
        return WrittenTraining(tmp_path / name, Training().with_(**changed)).root

    def checkpoint(root: Path) -> Path:
        return root / "nerfstudio_models" / "step-000029999.ckpt"

    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "has no checkpoint: expected nerfstudio_models")
    root = fresh("no transforms")
    (root / "dataparser_transforms.json").unlink()
    refused(root, r"dataparser_transforms\.json is missing")
    root = fresh("no config")
    (root / "config.yml").write_text("pipeline: [1, 2")
    refused(root, "is no configuration of nerfstudio: it is no YAML text from line 1 on")
    (root / "config.yml").write_text("pipeline: {model: 3}")
    refused(root, "it has no settings under pipeline, model; expected the config.yml")
    refused(fresh("sheared", transform=((1, 1, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))), "is no rotation with a shift")
    refused(fresh("no scale", scale=0.0), "the scale in .* is 0.0")
    root = fresh("cut")
    checkpoint(root).write_bytes(checkpoint(root).read_bytes()[:-2000])
    refused(root, "its archive cannot be read to the end; copy it again")
    for content, kind in ((b"", "an empty file"), (b"\xff\xd8\xff\xe0\0\0", "a JPEG picture"),
                          ("Käse".encode(), "text"), (pickle.dumps({"a": 1}), "of no known kind")):  # fmt: skip
        checkpoint(root).write_bytes(content)
        refused(root, f"is no checkpoint of nerfstudio, or a damaged one: by its first bytes it is {kind}; expected")
    torch.save({"state": torch.zeros(3)}, checkpoint(root))
    refused(root, "it has no weights under 'pipeline'; expected the step-")
    root = fresh("harmful")
    torch.save({"pipeline": {}, "state": _Harm(tmp_path / "done")}, checkpoint(root))
    refused(root, "is not opened: it is damaged, or holds Python objects, which may run code")
    checkpoint(root).write_bytes(pickle.dumps(_Harm(tmp_path / "done")))
    refused(root, "is no checkpoint of nerfstudio")
    assert not (tmp_path / "done").exists()
    root = fresh("other method")
    torch.save({"pipeline": {"_model.gauss_params.means": torch.zeros(3, 3)}}, checkpoint(root))
    refused(root, "has no weights of a field")
    torch.save({"pipeline": {"_model.field.aabb": torch.from_numpy(AABB)}}, checkpoint(root))
    refused(root, "has no hash grid and networks of nerfacto")
    root = fresh("other size", implementation="tcnn")
    config = root / "config.yml"
    config.write_text(config.read_text().replace("hidden_dim: 16", "hidden_dim: 32"))
    refused(root, "parameters, which its configuration does not explain")
