"""The environment that computes a run: versions of packages, the commit of mien, and the device."""

import importlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mien._version import __version__

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def library_versions() -> dict[str, str]:
    """Return the versions that the numbers of a run depend on."""
    names = ("torch", "lightning-fabric", "numpy", "safetensors")
    return {
        "mien": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        **{name: _version_of(name) for name in names},
    }


def _version_of(package: str) -> str:
    """Return a package's version; where another package brings it, as pytorch-lightning does, what it says itself."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(importlib.import_module(package.replace("-", "_")), "__version__", "unknown"))


def source_commit() -> str:
    """Return the commit of the checkout that mien runs from.

    It ends with `-dirty` where files differ from the commit, and is empty where there is no checkout.
    """
    here = Path(__file__)
    tracked = ["git", "-C", str(here.parent), "ls-files", "--error-unmatch", here.name]
    describe = ["git", "-C", str(here.parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        subprocess.run(tracked, capture_output=True, check=True, timeout=10)
        return subprocess.run(describe, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def describe_environment(fabric: "Fabric") -> dict[str, str | int]:
    """Return all that the numbers of a run depend on, beside its recipe and its faces."""
    return {
        **library_versions(),
        "commit": source_commit(),
        "device": str(fabric.device),
        "processes": fabric.world_size,
        "threads": torch.get_num_threads(),
    }
