"""How much memory a call takes beyond what its process holds already."""

import ctypes
import ctypes.util
import gc
import os
import resource
import sys
from pathlib import Path
from typing import Any

import jax

from jaxcl.labs.benchmarks._losses._calls import Prepared, load_torch, on_accelerator
from jaxcl.labs.benchmarks._timing import time_once

_STATUS = Path("/proc/self/status")


def measure_growth(prepared: Prepared, *, uses_torch: bool = False) -> dict[str, Any]:
    """Runs a call once and reports its seconds and the growth of memory, in bytes.

    The growth is the highest resident memory during the call less the resident memory
    just before it. The highest mark is the one of `ru_maxrss`, put back to the present
    before the call where the system allows: what was resident before compilation ended
    would hide a smaller call.
    """
    if on_accelerator():
        return _measure_device(prepared, uses_torch)
    gc.collect()
    _return_free_memory()
    _forget_highest()
    before = _resident()
    wall, cpu = time_once(prepared.call)
    growth = max(0, _highest() - before)
    return {"seconds": wall, "cpu_seconds": cpu, "growth": growth}


def free_memory() -> int:
    """Bytes that a call may take here: of the accelerator, or of the machine."""
    if on_accelerator():
        found = jax.devices()[0].memory_stats() or {}
        return int(found.get("bytes_limit", 0)) - int(found.get("bytes_in_use", 0))
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable"))
        return int(available.split()[1]) * 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _measure_device(prepared: Prepared, uses_torch: bool) -> dict[str, Any]:
    cuda = load_torch().cuda if uses_torch else None
    if cuda is not None:
        cuda.reset_peak_memory_stats()
        before = cuda.memory_allocated()
    prepared.call()
    # The first call loads kernels; the second one is what a step pays.
    wall, cpu = time_once(prepared.call)
    growth = prepared.temporaries
    if cuda is not None:
        growth = cuda.max_memory_allocated() - before
    return {"seconds": wall, "cpu_seconds": cpu, "growth": growth}


def _return_free_memory() -> None:
    """Hands freed pages back: a call that fills them again would look free."""
    name = ctypes.util.find_library("c")
    trim = getattr(ctypes.CDLL(name), "malloc_trim", None) if name else None
    if trim is not None:
        trim(0)


def _forget_highest() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # the mark then holds what came before, and the growth is a lower bound


def _resident() -> int:
    return _from_status("VmRSS") if _STATUS.exists() else _highest()


def _highest() -> int:
    if _STATUS.exists():
        return _from_status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _from_status(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


def per_mib(size: float | None, digits: int = 2) -> float | None:
    """Bytes as MiB."""
    return None if size is None else round(size / 2**20, digits)
