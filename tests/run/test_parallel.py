"""What one process knows of the others, without them; what two do together is in `cli/test_torchrun.py`."""

from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from test_training import CONFIG

from sanerf.errors import ProcessLostError, UserError
from sanerf.kernels.backend import kernels_for
from sanerf.run.parallel import ALONE, Ranks, derived_seed, joined, own_device
from sanerf.run.training import load_checkpoint, save_checkpoint, start_state

CPU = torch.device("cpu")


def fresh(ranks: Ranks, seed: int = 0):
    return start_state(replace(CONFIG, seed=seed), kernels_for("torch", CPU), views=3, ranks=ranks)


@pytest.fixture
def second_of_two(monkeypatch):
    """The environment that torchrun makes for the second of two processes on a machine."""
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1",
                        "LOCAL_WORLD_SIZE": "2"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)


def test_a_process_alone_gets_back_what_it_gave():
    generator, own = torch.Generator(), torch.ones(2, 3)
    parameter, untouched = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    parameter.grad = torch.tensor([1.0, 2.0])
    ALONE.average_gradients([parameter, untouched])
    ALONE.wait_for_all()
    assert parameter.grad.tolist() == [1.0, 2.0] and untouched.grad is None
    assert ALONE.gather(own) is own and ALONE.own_draws(generator) is generator
    assert ALONE.first and ALONE.share(7) == 7
    with joined(CPU) as ranks:
        assert ranks is ALONE and not dist.is_initialized()


def test_rays_are_shared_equally_and_none_is_lost():
    assert [Ranks(0, size).share(2048) for size in (1, 2, 3, 4)] == [2048, 1024, 683, 512]


def test_processes_begin_with_the_same_field_and_draw_rays_of_their_own():
    states = [fresh(Ranks(rank, 2)) for rank in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*(s.field.state_dict().values() for s in states), strict=True))
    assert torch.equal(*(fresh(Ranks(1, 2)).generator.get_state() for _ in range(2)))
    streams = [s.generator for s in [*states, fresh(ALONE), fresh(Ranks(0, 2), seed=1), fresh(Ranks(1, 2), seed=1)]]
    drawn = torch.stack([torch.randint(1 << 40, (100,), generator=stream) for stream in streams])
    assert drawn.unique().numel() == drawn.numel()


def test_a_seed_is_a_function_of_all_its_numbers():
    seeds = {derived_seed(seed, rank, step) for seed in range(5) for rank in range(5) for step in range(5)}
    assert len(seeds) == 125 and all(0 <= seed < 2**32 for seed in seeds)
    assert derived_seed(2**63 - 1, 0) != derived_seed(2**63 - 2, 0)


def test_two_processes_go_on_from_where_one_stopped_with_random_numbers_of_their_own(tmp_path):
    one = fresh(ALONE)
    one.step = 7
    save_checkpoint(tmp_path / "c", one)
    assert [name for name in load_file(tmp_path / "c") if "generator" in name] == ["generator"]
    states = [fresh(Ranks(rank, 2), seed=5) for rank in range(2)]
    for state in states:
        load_checkpoint(tmp_path / "c", state)
        assert state.step == 7
        assert torch.equal(state.field.state_dict()["grid.table"], one.field.state_dict()["grid.table"])
    streams = [state.generator.get_state() for state in [one, *states, *(fresh(Ranks(r, 2), seed=5) for r in range(2))]]
    assert not any(torch.equal(streams[i], streams[j]) for i in range(5) for j in range(i))


def test_each_process_takes_its_own_cuda_device_and_too_few_are_refused(monkeypatch, second_of_two):
    taken = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device(CPU) is CPU and own_device(torch.device("cuda")) == torch.device("cuda", 1)
    assert taken == [torch.device("cuda", 1)]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="2 processes on a machine with 1 CUDA device; use --nproc-per-node 1, or"):
        own_device(torch.device("cuda"))
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert own_device(torch.device("cuda")) == torch.device("cuda")


def test_a_broken_connection_has_a_sentence(monkeypatch):
    def broken(*_: object, **__: object):
        raise RuntimeError("[pair.cc:537] Connection closed by peer [127.0.0.1]:4242")

    monkeypatch.setattr(dist, "all_gather", broken)
    monkeypatch.setattr(dist, "all_reduce", broken)
    monkeypatch.setattr(dist, "broadcast", broken)
    said = r"another of the processes that train together has ended \(\[pair.cc:537\] Connection closed by peer"
    with pytest.raises(ProcessLostError, match=said):
        Ranks(0, 2).gather(torch.ones(1))
    for size in (1, 2**16):
        with pytest.raises(ProcessLostError, match=said):
            Ranks(0, 2).average_gradients([torch.ones(size, requires_grad=True)])
    with pytest.raises(ProcessLostError, match=said):
        Ranks(0, 2).take_from_first(torch.ones(1))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 8589934592 bytes."),
        RuntimeError("NCCL error: unhandled cuda error; Cuda failure 2 'out of memory'"),
    ],
    ids=["cuda", "cpu", "nccl"],
)
def test_want_of_memory_is_not_taken_for_a_lost_process(monkeypatch, error):
    def refuse(*_: object, **__: object):
        raise error

    monkeypatch.setattr(dist, "all_gather", refuse)
    with pytest.raises(type(error)) as caught:
        Ranks(0, 2).gather(torch.ones(1))
    assert caught.value is error


def test_a_fault_between_the_calls_keeps_its_own_name(monkeypatch):
    parameter = torch.ones(2, requires_grad=True)
    parameter.grad = torch.ones(2)
    monkeypatch.setattr(dist, "all_reduce", lambda *_: None)

    def fault(*_: object):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch, "cat", fault)
    with pytest.raises(RuntimeError, match="illegal memory access") as caught:
        Ranks(0, 2).average_gradients([parameter])
    assert not isinstance(caught.value, ProcessLostError)


@pytest.mark.parametrize(
    "cause", [RuntimeError("Distributed package doesn't have NCCL built in"), ValueError("MASTER_ADDR expected")]
)
def test_a_group_that_does_not_come_about_has_a_sentence_of_its_own(monkeypatch, second_of_two, cause):
    def refuse(*_: object):
        raise cause

    monkeypatch.setattr(dist, "init_process_group", refuse)
    said = rf"cannot join into one group \({cause}\); .* without torchrun$"
    with pytest.raises(UserError, match=said), joined(CPU):
        pass
