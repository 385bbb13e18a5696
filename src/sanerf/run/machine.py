"""What the machine offers: cores, memory, accelerator, optional packages."""

import importlib.util
import os
import platform
from typing import Any

import torch

OPTIONAL_PACKAGES = {
    "numba": ("cpu", "training on the CPU about four times as fast"),
    "triton": ("cuda", "kernels made for the GPU"),
    "skimage": ("mesh", "meshes"),
    "pycolmap": ("colmap", "COLMAP scenes and `process`"),
    "av": ("video", "`process` on a video"),
    "msgpack": ("adapters", "fields of instant-ngp"),
    "yaml": ("adapters", "fields of nerfacto"),
    "h5py": ("hdf5", "instance maps in HDF5"),
    "transformers": ("sam", "SAM and SAM-HQ"),
    "tyro": ("cli", "the command line"),
    "rich": ("cli", "progress bars"),
}
"""Import name to the extra that brings it and what it is for."""


def machine_facts() -> dict[str, Any]:
    """Plain facts, for people and programs."""
    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "cuda": torch.cuda.get_device_name() if cuda else None,
        "packages": {name: importlib.util.find_spec(name) is not None for name in OPTIONAL_PACKAGES},
    }


def machine_sentences(facts: dict[str, Any]) -> list[str]:
    """The same in words."""
    memory = "unknown memory" if facts["memory_gb"] is None else f"{facts['memory_gb']:.1f} GB of memory"
    lines = [f"Python {facts['python']}, torch {facts['torch']}, {facts['cores']} cores, {memory}."]
    if facts["cuda"]:
        lines.append(f"CUDA device: {facts['cuda']}.")
    else:
        lines.append("No CUDA device: everything runs on the CPU; a scene of 60 small photos takes some five minutes.")
    for name, (extra, purpose) in OPTIONAL_PACKAGES.items():
        if not facts["packages"][name] and (name != "triton" or facts["cuda"]):
            lines.append(f"{name} is missing, for {purpose}: pip install 'sanerf[{extra}]'")
    if facts["memory_gb"] is not None and facts["memory_gb"] < 6:
        lines.append("Less than 6 GB of memory: use --downscale 2 or 4 for large photos.")
    return lines


def _memory_gb() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):
        return None
