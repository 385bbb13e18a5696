"""The processes that train one scene together: what each knows of the others, and how they stay of one mind.

`torchrun` starts them. Each draws its own share of a step's rays; the mean of their gradients is that of one process
with all the rays. What is not averaged is made the same everywhere by `Ranks.gather`, so that fields, optimizers and
density grids stay equal to the bit. `ALONE` is the single process: every function then gives back what it was given.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from sanerf.errors import ProcessLostError, UserError, is_out_of_memory, on_one_line
from sanerf.torchrun import process_count

_WORTH_ITS_OWN_CALL = 1 << 16
"""Numbers in a gradient from which on copying it beside the others costs more than exchanging it by itself."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together. All of them call the same methods in the same order."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files, keeps the time and speaks."""
        return self.rank == 0

    def share(self, rays: int) -> int:
        """How many of a step's rays each process draws: as many as the others, rounded up."""
        return -(-rays // self.size)

    def own_draws(self, generator: torch.Generator) -> torch.Generator:
        """This process's stream of random numbers, where `generator` is in the same state in all."""
        if self.size == 1:
            return generator
        return torch.Generator().manual_seed(derived_seed(generator.initial_seed(), self.rank))

    def gather(self, own: Tensor) -> Tensor:
        """The tensors of all processes, in order, joined along their first axis; only that may differ in length."""
        if self.size == 1:
            return own
        counts = [torch.empty(1, dtype=torch.int64) for _ in range(self.size)]
        with _lost_processes_named():
            dist.all_gather(counts, torch.tensor([len(own)]))
        lengths = [int(count) for count in counts]
        padded = own.new_zeros(max(lengths), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in lengths]
        with _lost_processes_named():
            dist.all_gather(parts, padded)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    def mean(self, own: Tensor) -> Tensor:
        """The mean of a number over all processes; of a single one its own, without waiting for its device."""
        return own if self.size == 1 else self.gather(own.detach().double().cpu()[None]).mean()

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """In place: each gradient becomes the mean over the processes; one that is missing counts as zero."""
        if self.size == 1:
            return
        small: list[Tensor] = []
        with torch.no_grad():
            for parameter in parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                if parameter.numel() < _WORTH_ITS_OWN_CALL or not parameter.grad.is_contiguous():
                    small.append(parameter.grad)
                else:
                    with _lost_processes_named():
                        dist.all_reduce(parameter.grad)
                    parameter.grad /= self.size
            if small:
                joined = torch.cat([gradient.reshape(-1) for gradient in small])
                with _lost_processes_named():
                    dist.all_reduce(joined)
                for gradient, mean in zip(small, (joined / self.size).split([g.numel() for g in small]), strict=True):
                    gradient.copy_(mean.view(gradient.shape))

    def take_from_first(self, *tensors: Tensor) -> None:
        """In place: each tensor gets the values that it has in the first process."""
        if self.size == 1:
            return
        for tensor in tensors:
            with _lost_processes_named():
                dist.broadcast(tensor, src=0)

    def wait_for_all(self) -> None:
        """Go on when every process has come here."""
        self.gather(torch.zeros(1))


ALONE = Ranks()
"""A process without others."""


def derived_seed(*numbers: int) -> int:
    """A seed of 32 bits (torch's generator on the CPU heeds no more) that is a function of `numbers`, none negative."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def own_device(device: torch.device) -> torch.device:
    """The CUDA device that is this process's own; any other `device` as it is. UserError where there are too few."""
    if device.type != "cuda" or process_count() == 1:
        return device
    here, devices = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if here > devices:
        raise UserError(
            f"torchrun started {here} processes on a machine with {devices} CUDA device{'s' * (devices > 1)}; "
            f"use --nproc-per-node {devices}, or --device cpu"
        )
    own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(own)
    return own


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Within, the processes that torchrun started are one group; `ALONE` without torchrun or with one process.

    Numbers for the CPU go through gloo, those on CUDA devices through nccl. A group that torch has already is taken,
    and left; a process cannot make a second one, which would look for the first one's connections. Raises UserError
    where no group comes about.
    """
    if dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size())
        return
    if process_count() == 1:
        yield ALONE
        return
    # Numba takes all cores for each process else. It reads this when it is first imported.
    os.environ.setdefault("NUMBA_NUM_THREADS", str(torch.get_num_threads()))
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"the processes that torchrun started cannot join into one group ({on_one_line(error)}); see whether all "
            "of them run and reach each other, or train in one process, without torchrun"
        ) from error
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


@contextmanager
def _lost_processes_named() -> Iterator[None]:
    """Around a collective call of torch: raise ProcessLostError where it fails, save for want of memory here."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise ProcessLostError(on_one_line(error)) from error
