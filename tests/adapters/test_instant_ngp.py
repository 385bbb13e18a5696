"""Snapshots of instant-ngp: a writer of its own and a slow evaluation, point by point."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ngp_writer import WrittenSnapshot

from sanerf.adapters.instant_ngp import field_from_file, instant_ngp_field
from sanerf.adapters.tiny_cuda_nn import GridShape, NetworkShape
from sanerf.errors import UserError
from sanerf.geometry.transforms import IDENTITY, Similarity

TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
CASES = {
    "compressed": ("a.ingp", {}),
    "compressed by zlib, larger box": ("a.ingp", {"aabb_scale": 4}),
    "plain, padded to 8": ("a.msgpack", {"padding": 8}),
    "smoothstep in full precision": ("a.msgpack", {"smooth": True, "precision": "float"}),
    "cropped by a turned box": ("a.ingp", {"crop": ([0.0, 0.3, -0.2], [0.9, 1.2, 1.0]), "turn": TURN}),
}


@pytest.mark.parametrize(("name", "options"), CASES.values(), ids=CASES.keys())
def test_the_field_is_the_slow_one(name, options, tmp_path, agree):
    written = WrittenSnapshot(tmp_path / name, offset=(0.5, 0.4, 0.6), **options)
    # p_world = 0.5 R p_file + (0.1, 0, 0), R a turn by 90 degrees about x.
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    shift = np.array([0.1, 0.0, 0.0])
    field = instant_ngp_field(tmp_path / name, Similarity(0.5, torch.from_numpy(turn), torch.from_numpy(shift)))

    def cycled(v: np.ndarray) -> np.ndarray:
        return np.array([v[1], v[2], v[0]])

    def to_field(p_world: np.ndarray) -> np.ndarray:
        p_file = turn.T @ (p_world - shift) / 0.5
        return cycled(0.33 * p_file + [0.5, 0.4, 0.6])

    p_world = np.random.default_rng(5).uniform(-1.8, 1.8, (100, 3))
    empty = agree(field, written, p_world, to_field, lambda d: cycled(turn.T @ d), 0.33 / 0.5)
    assert 0 < empty < 95 or options.get("aabb_scale") == 4


def test_a_known_point_is_scaled_shifted_and_cycled():
    """0.33 (1, 2, 3) + 0.5 is (0.83, 1.16, 1.49); its axes y, z, x come first."""
    found = field_from_file({}).apply(torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([[1.16, 1.49, 0.83]], dtype=torch.float64))
    given = field_from_file({"scale": 0.5, "offset": [1.0, 2.0, 3.0]}).apply(torch.tensor([[2.0, 4.0, 8.0]]))
    torch.testing.assert_close(given, torch.tensor([[4.0, 7.0, 2.0]]))


def test_a_snapshot_of_the_base_configuration_has_the_published_number_of_parameters():
    """13,084,640 in instant-ngp's issue 845: base.json with three cascades (aabb_scale 4), networks padded to 8."""
    grid = GridShape(16, 2, 19, 16, float((2048 * 4 / 16) ** (1 / 15)))
    networks = [NetworkShape(32, 64, 1, 16), NetworkShape(32, 64, 2, 3)]
    rows = int(grid.layout()[2].sum())
    assert 2 * rows + sum(a * b for network in networks for a, b in network.matrices(8)) == 13_084_640


def test_the_scale_per_level_follows_from_the_box_where_it_is_not_given(tmp_path):
    """The finest level has 2048 grid points for each unit of the box: 2048 * 2 / 3 in 3 steps."""
    path = tmp_path / "a.msgpack"
    growth = (2048 * 2 / 3) ** (1 / 3)
    rows = [32, 2**7, 2**7, 2**7]
    weights = 16 * 16 + 16 * 16 + 16 * 32 + 16 * 16 + 16 * 16
    content = bytes(2 * (weights + 2 * sum(rows)))
    changed = {"snapshot.params_binary": content, "encoding.per_level_scale": 0.0}
    WrittenSnapshot(path, changed=changed)
    field = instant_ngp_field(path, IDENTITY)
    expected = torch.tensor([3 * growth**level - 1 for level in range(4)])
    torch.testing.assert_close(field.scales, expected, rtol=1e-5, atol=1e-4)


def test_bad_snapshots_are_refused_in_a_sentence(tmp_path):
    path = tmp_path / "a.msgpack"

    def refused(message: str, file: Path = path) -> None:
        with pytest.raises(UserError, match=message) as error:
            instant_ngp_field(file, IDENTITY)
        assert "\n" not in str(error.value)

    for content, kind in ((b"", "an empty file"), (b"\xc1", "of no known kind"), (b"no snapshot", "text"),
                          (b"\x1f\x8bnot gzip", "a gzip archive"), (b"\x89PNG", "a PNG picture"),
                          (b"PK\x03\x04", "a zip archive")):  # fmt: skip
        path.write_bytes(content)
        refused(f"is no snapshot of instant-ngp, or a damaged one: by its first bytes it is {kind}; save it again")
    for content in (b"\x80", b"\x01"):
        path.write_bytes(content)
        refused("is no snapshot of instant-ngp: it has no entry 'snapshot'")
    path.write_bytes(b"\x81\xa8snapshot\x80")
    refused("it has no entry 'encoding'; save it again with instant-ngp")
    written = tmp_path / "cut.ingp"
    WrittenSnapshot(written)
    written.write_bytes(written.read_bytes()[:-100])
    refused("cut short", written)
    for changed, message in (
        ({"snapshot.mode": "sdf"}, "mode 'sdf'; only 'nerf'"),
        ({"snapshot.params_binary": b"\0" * 100}, "holds 50 parameters, which its configuration does not explain"),
        ({"snapshot.params_type": "double"}, "parameters of the type 'double'"),
        ({"snapshot.nerf.dataset.from_mitsuba": True}, "Mitsuba"),
        ({"snapshot.nerf.dataset.n_extra_learnable_dims": 8}, "latent codes"),
        ({"encoding.otype": "TiledGrid"}, "'TiledGrid'"),
        ({"encoding.interpolation": "Nearest"}, "'Nearest'"),
        ({"network.activation": "Sine"}, "sine"),
        ({"dir_encoding": {"otype": "Frequency"}}, "Frequency"),
        ({"encoding": {}}, "position encoding"),
        ({"network": 3}, "is no snapshot of instant-ngp that can be used"),
        ({"snapshot.aabb": [1, 2]}, "is no snapshot of instant-ngp that can be used"),
    ):
        WrittenSnapshot(path, changed=changed)
        refused(message)
