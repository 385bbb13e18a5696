"""The kept samples: the same bank to the bit, and computed anew when anything they depend on changed or is damaged."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analytic_scene import PLAN, camera_at, numba_kernels, stage_renderer
from sanerf.aggregate import sample_cache as module
from sanerf.aggregate.ray_bank import RayBank, build_ray_bank
from sanerf.aggregate.sample_cache import SampleCache
from sanerf.errors import UserError
from sanerf.fields.radiance import RadianceConfig, RadianceField
from sanerf.render.images import Renderer
from sanerf.run.samples import sample_cache

CONFIG = RadianceConfig(levels=2, entries_log2=6, channels=2, coarsest=4, finest=8, hidden=8, geometry=3)
CAMERAS = {view: camera_at(0.1 * view, 0.0, size=12) for view in range(3)}


def renderer(seed: int = 0) -> Renderer:
    generator = torch.Generator().manual_seed(seed)
    field = RadianceField(CONFIG, numba_kernels, generator).requires_grad_(False)
    field.grid.table.copy_(torch.randn(field.grid.table.shape, generator=generator))
    plan = replace(PLAN, bins=32, samples=16, refined=8)
    return Renderer(field, torch.rand(16, 16, 16, generator=generator) * 5, plan, numba_kernels)


def bank_of(path: Path | None, of: Renderer, cameras=CAMERAS, field_settings="", **options) -> tuple[RayBank, bool]:
    """The bank, and whether the renderer was asked for it."""
    asked = []
    settings = {"total_rays": 200, "weight_threshold": 0.01, "generator": torch.Generator().manual_seed(0), **options}
    cache = None if path is None else SampleCache(path, field_settings)
    bank = build_ray_bank(cameras, of, cache=cache, on_progress=lambda done, _: asked.append(done), **settings)
    return bank, bool(asked)


def assert_same(a: RayBank, b: RayBank) -> None:
    for name in ("p_world", "weights", "first_sample", "accumulation", "distance", "possible"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    assert a.lattices == b.lattices


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "samples.safetensors"


def test_the_bank_is_the_same_to_the_bit_without_with_and_from_the_cache(path):
    without, _ = bank_of(None, renderer())
    assert len(without.weights) > 100
    made, asked = bank_of(path, renderer())
    assert asked
    found, asked = bank_of(path, renderer())
    assert not asked
    assert_same(made, without)
    assert_same(found, without)
    # Eight bytes a sample and ten a ray, and less than a kilobyte that says what they are.
    assert 0 < path.stat().st_size - 8 * len(without.weights) - 10 * len(without) < 1000


def other_field() -> dict:
    return {"of": renderer(seed=1)}


def one_changed_weight() -> dict:
    of = renderer()
    next(iter(of.field.density_head.parameters()))[0] += 1e-6
    return {"of": of}


def other_grid() -> dict:
    return {"of": replace(renderer(), density_grid=renderer().density_grid + 1e-6)}


def other_plan() -> dict:
    return {"of": replace(renderer(), plan=replace(renderer().plan, uniform=0.3))}


def other_kernels() -> dict:
    return {"of": replace(renderer(), kernels=replace(numba_kernels, name="others"))}


def moved_camera() -> dict:
    return {"of": renderer(), "cameras": {**CAMERAS, 2: camera_at(0.2 + 1e-9, 0.0, size=12)}}


def other_settings() -> dict:
    return {"of": renderer(), "field_settings": "another lookup"}


def other_threshold() -> dict:
    return {"of": renderer(), "weight_threshold": 0.02}


def other_lattices() -> dict:
    return {"of": renderer(), "generator": torch.Generator().manual_seed(1), "total_rays": 100}


@pytest.mark.parametrize(
    "change",
    [
        other_field, one_changed_weight, other_grid, other_plan, other_kernels, moved_camera, other_settings,
        other_threshold, other_lattices,
    ],
)  # fmt: skip
def test_where_anything_changed_it_is_made_anew(path, change):
    bank_of(path, renderer())
    found, asked = bank_of(path, **change())
    assert asked
    assert_same(found, bank_of(None, **change())[0])
    # And kept in the old one's place.
    assert not bank_of(path, **change())[1] and bank_of(path, renderer())[1]


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def one_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def nonsense(content: bytes) -> bytes:
    return b"nonsense"


@pytest.mark.parametrize("damage", [cut, one_bit, nonsense])
def test_a_damaged_file_is_made_anew(path, damage):
    good, _ = bank_of(path, renderer())
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    found, asked = bank_of(path, renderer())
    assert asked and path.read_bytes() == whole
    assert_same(found, good)


def test_a_field_of_somebodys_code_has_no_cache(path):
    """Of such a field nobody knows what it depends on, though it is built on one of ours."""
    assert sample_cache(path, stage_renderer().field) is None
    assert sample_cache(path, renderer().field) == SampleCache(path, "GridLevels(resolutions=(4, 8), entries=64)")


def test_where_it_cannot_be_written_the_samples_are_there_all_the_same(path, monkeypatch, caplog):
    def full(*_):
        raise UserError("cannot write samples.safetensors: the disk is full")

    monkeypatch.setattr(module, "write_tensors", full)
    found, _ = bank_of(path, renderer())
    assert_same(found, bank_of(None, renderer())[0])
    assert "the disk is full; samples are computed again next time" in caplog.text


def test_what_a_killed_process_left_is_taken_away(path):
    leftover = path.with_name(".samples.0123456789ab.part.safetensors")
    others = path.with_name(".coarse_samples.0123456789ab.part.safetensors")
    leftover.write_bytes(b"half")
    others.write_bytes(b"half")
    bank_of(path, renderer())
    assert path.exists() and others.exists() and not leftover.exists()
