"""A pretended accelerator: its tensors lie on the CPU, say that they do not, and cannot be mixed with those that do.

What is computed is the same; what a GPU would refuse is refused: an operation on tensors of two devices (scalars
apart), a CPU tensor indexed by the device's, `.numpy()`. So a missing `.to(device)` is found without a GPU.
The device calls itself "meta", the one name that torch's autograd takes without a driver behind it.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
_INDEXING = ("aten::index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_")
_make_tensor = torch.tensor


class Elsewhere(torch.Tensor):
    """A tensor of the pretended device; `held` has its values."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )

    def __init__(self, held: torch.Tensor):
        self.held = held

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})

    def new_tensor(self, data, **_):
        return Elsewhere(_make_tensor(data, dtype=self.dtype))

    def tolist(self):
        return self.held.tolist()


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


def _run(function, args, kwargs):
    """Run an operation on the values; its results lie where its tensors do, or where it is told to put them."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    elsewhere = [tensor for tensor in tensors if isinstance(tensor, Elsewhere)]
    _refuse_mixtures(function, args, tensors)
    there = bool(elsewhere)
    if function._schema.name == "aten::copy_":
        there = isinstance(args[0], Elsewhere)
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == DEVICE.type
        kwargs = {**kwargs, "device": torch.device("cpu"), "pin_memory": None}
    args, kwargs = tree_map(lambda leaf: leaf.held if isinstance(leaf, Elsewhere) else leaf, (args, kwargs))

    def placed(value):
        if not isinstance(value, torch.Tensor):
            return value
        # What is changed in place is given back as the very tensor that was given.
        same = [tensor for tensor in tensors if value is (tensor.held if isinstance(tensor, Elsewhere) else tensor)]
        return same[0] if same else Elsewhere(value) if there else value

    return tree_map(placed, function(*args, **kwargs))


def _refuse_mixtures(function, args, tensors):
    name = function._schema.name
    if name in ("aten::_to_copy", "aten::copy_"):
        return
    checked = tensors
    if name in _INDEXING:
        # A device's tensor may be indexed by the CPU's.
        indices = [index for index in args[1] if index is not None]
        checked = [args[0], *args[2:3]] + [index for index in indices if isinstance(index, Elsewhere)]
    places = {isinstance(tensor, Elsewhere) for tensor in checked if tensor.dim() > 0 or isinstance(tensor, Elsewhere)}
    if len(places) == 2:
        shapes = [(tuple(tensor.shape), tensor.device.type) for tensor in checked]
        raise RuntimeError(f"{function}: expected all tensors on the same device, found {shapes}")


@contextmanager
def pretended_device() -> Iterator[torch.device]:
    """The device, while it is there."""

    def tensor(data, *, dtype=None, device=None):
        made = _make_tensor(data, dtype=dtype)
        return Elsewhere(made) if device is not None and torch.device(device).type == DEVICE.type else made

    fused = patch("torch.optim.optimizer._get_fused_kernels_supported_devices", lambda: ["cpu", "cuda", DEVICE.type])
    with patch.object(torch, "tensor", tensor), fused, warnings.catch_warnings():
        # Of copies to "meta", which here do copy.
        warnings.filterwarnings("ignore", message=".*to a meta parameter")
        with _Mode():
            yield DEVICE
