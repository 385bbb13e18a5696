"""The matrix peak of a machine, measured, and what the small networks of a training step reach of it.

A multiply-add counts as two floating-point operations, as usual. Of a linear layer's forward pass there are inputs x
outputs multiply-adds a point; the backward pass takes as many for the gradient of the weights and as many again for
that of the inputs, which the first layers need too: the hash table and the density head learn by it. Biases, ReLU and
sums over points are not counted, so that what is reached is not flattered.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from timing import best_seconds
from torch import Tensor, nn

SIZES = (512, 1024, 2048, 3072)


@dataclass(frozen=True)
class Peak:
    """The best that `torch.mm` of two square float32 matrices reached."""

    flops: float
    """floating-point operations a second"""
    size: int
    """rows of the matrices that reached it"""


@dataclass(frozen=True)
class Pass:
    """One call of a module in a training step: its input, and whether gradients were computed for it."""

    module: str
    inputs: Tensor
    backward: bool

    @property
    def points(self) -> int:
        return self.inputs.shape[0]


def matrix_peak(device: torch.device, sizes: Sequence[int], repeats: int) -> Peak:
    """The best of `repeats` products for each size, with the threads and the precision that torch is set to."""
    peaks = []
    for size in sizes:
        generator = torch.Generator().manual_seed(size)
        a, b = (torch.randn(size, size, generator=generator).to(device) for _ in range(2))
        out = torch.empty_like(a)

        def product(a: Tensor = a, b: Tensor = b, out: Tensor = out) -> None:
            torch.mm(a, b, out=out)

        peaks.append(Peak(2 * size**3 / best_seconds(product, device, repeats), size))
    return max(peaks, key=lambda peak: peak.flops)


@contextmanager
def recorded_passes(modules: dict[str, nn.Module]) -> Iterator[list[Pass]]:
    """Within, each call of these modules is noted down with its input."""
    passes: list[Pass] = []
    hooks = []
    for name, module in modules.items():

        def note(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
            passes.append(Pass(name, inputs[0].detach().clone(), torch.is_grad_enabled()))

        hooks.append(module.register_forward_pre_hook(note))
    try:
        yield passes
    finally:
        for hook in hooks:
            hook.remove()


def multiply_adds(network: nn.Module) -> int:
    """Those of a network's linear layers in the forward pass of one point."""
    count = sum(layer.in_features * layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear))
    assert count > 0, f"no linear layer in {network}"
    return count


def step_multiply_adds(passes: Sequence[Pass], networks: dict[str, nn.Module]) -> int:
    """Those of all passes of a step, backward passes included."""
    return sum((3 if of.backward else 1) * of.points * multiply_adds(networks[of.module]) for of in passes)


def run_alone(passes: Sequence[Pass], networks: dict[str, nn.Module], pulls: Sequence[Tensor]) -> None:
    """The networks' work of a step and nothing else: forward, and backward from the gradients `pulls` where it was.

    The gradients of inputs and weights are computed, and thrown away.
    """
    for of, pull in zip(passes, pulls, strict=True):
        network = networks[of.module]
        if of.backward:
            inputs = of.inputs.requires_grad_()
            torch.autograd.grad(network(inputs), [inputs, *network.parameters()], pull)
        else:
            with torch.no_grad():
                network(of.inputs)


def output_gradients(passes: Sequence[Pass], networks: dict[str, nn.Module]) -> list[Tensor]:
    """Gradients to begin the backward passes with, of ones."""
    with torch.no_grad():
        return [torch.ones_like(networks[of.module](of.inputs)) for of in passes]
