"""Triton's kernels compile for NVIDIA's GPUs, which needs none: down to machine code, as the functions launch them."""

import math

import pytest
import torch

from sanerf.kernels.reference import GridLevels, SamplingPlan

triton = pytest.importorskip("triton", reason="triton is not installed: pip install 'sanerf[cuda]'")
if tuple(int(part) for part in triton.__version__.split(".")[:2]) < (3, 3):
    pytest.skip("asks the compiler as of triton 3.3", allow_module_level=True)

DTYPES = {torch.float32: "*fp32", torch.int32: "*i32"}


class CompiledNotRun:
    """Stands for a kernel: what would be launched is compiled for an architecture, and its assembly is kept."""

    def __init__(self, kernel, architecture: int):
        self.kernel, self.architecture, self.assembly = kernel, architecture, []

    def __getitem__(self, grid):
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource
        from triton.compiler import compile as compile_for

        def launch(*values, **options):
            signature, constants, attributes = {}, {}, {}
            for index, (parameter, value) in enumerate(zip(self.kernel.params, values, strict=True)):
                # Ones become constants when launched, multiples of 16 are known to be.
                if parameter.is_constexpr or (isinstance(value, int) and value == 1):
                    signature[parameter.name], constants[(index,)] = "constexpr", value
                elif isinstance(value, torch.Tensor):
                    signature[parameter.name], attributes[(index,)] = DTYPES[value.dtype], [["tt.divisibility", 16]]
                else:
                    signature[parameter.name] = {int: "i32", float: "fp32"}[type(value)]
                    if isinstance(value, int) and value % 16 == 0:
                        attributes[(index,)] = [["tt.divisibility", 16]]
            source = ASTSource(self.kernel, signature, constants, attributes)
            done = compile_for(source, target=GPUTarget("cuda", self.architecture, 32), options=options)
            assert len(done.asm["cubin"]) > 1000
            self.assembly.append(done.asm["ptx"])

        return launch


@pytest.fixture
def compiled(request, monkeypatch, tmp_path):
    """`compiled(module, name)` replaces a kernel by its compilation for Turing, the oldest served, or Hopper."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))

    def replaced(module, name: str) -> CompiledNotRun:
        stands_in = CompiledNotRun(getattr(module, name), request.param)
        monkeypatch.setattr(module, name, stands_in)
        return stands_in

    return replaced


@pytest.mark.parametrize(("compiled", "entries"), [(75, 1), (90, 2**18)], indirect=["compiled"])
def test_the_hash_grid_compiles_and_adds_without_fences(compiled, entries):
    from sanerf.kernels import triton_hash

    forward, backward = compiled(triton_hash, "_forward"), compiled(triton_hash, "_backward")
    table = torch.zeros(2, entries, 2, requires_grad=True)
    triton_hash.hash_encode(torch.zeros(100, 3), table, GridLevels((16, 4096), entries)).sum().backward()
    assert len(forward.assembly) == len(backward.assembly) == 1
    assert ".relaxed.add" in backward.assembly[0] and "acq_rel" not in backward.assembly[0]


@pytest.mark.parametrize(("compiled", "rays"), [(75, 1), (90, 100)], indirect=["compiled"])
def test_placing_and_compositing_compile(compiled, rays):
    from sanerf.kernels import triton_rays

    place = compiled(triton_rays, "_place")
    plan = SamplingPlan(0.05, math.inf, rays == 100, bins=192, samples=16)
    triton_rays.place_samples(torch.zeros(rays, 3), torch.ones(rays, 3), torch.zeros(rays), torch.zeros(4, 4, 4), plan)
    # Positions are rounded as in the reference, or points near a cell's face would fall into another cell.
    assert "div.rn" in place.assembly[0] and "fma" not in place.assembly[0]

    again = compiled(triton_rays, "_resample")
    triton_rays.resample(torch.zeros(rays, 17), torch.zeros(rays, 16), torch.zeros(rays), plan)
    assert len(again.assembly) == 1

    forward, backward = compiled(triton_rays, "_weights_forward"), compiled(triton_rays, "_weights_backward")
    for samples in (1, 12):
        density = torch.zeros(rays, samples, requires_grad=True)
        triton_rays.composite_weights(density, torch.zeros(rays, samples)).sum().backward()
    assert len(forward.assembly) == len(backward.assembly) == 2


@pytest.mark.parametrize(("compiled", "unbounded"), [(75, False), (90, True)], indirect=["compiled"])
def test_the_density_grids_update_compiles(compiled, unbounded):
    from sanerf.kernels import triton_rays

    mark, highest = compiled(triton_rays, "_mark"), compiled(triton_rays, "_raise")
    triton_rays.update_density_grid(torch.zeros(4, 4, 4), torch.zeros(50, 3), torch.zeros(50), 0.9, unbounded)
    assert "fma" not in mark.assembly[0] + highest.assembly[0]
    assert ".relaxed.max" in highest.assembly[0]
