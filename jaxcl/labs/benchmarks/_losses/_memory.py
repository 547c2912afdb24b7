"""How much memory a call takes beyond what its process holds already."""

import ctypes
import ctypes.util
import gc
import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from jaxcl.labs.benchmarks._losses._calls import Prepared, load_torch, on_accelerator
from jaxcl.labs.benchmarks._measurement import Measurement, attempt
from jaxcl.labs.benchmarks._timing import time_once


def measure_call(
    row: Measurement, make: Callable[[], Prepared], *, uses_torch: bool = False
) -> Iterator[Measurement]:
    """Memory and time of one call, or why there is none."""

    def measure() -> tuple[Prepared, tuple[int | None, float, float]]:
        prepared = make()
        return prepared, measure_growth(prepared, uses_torch=uses_torch)

    found, row = attempt(row, measure)
    if found is None:
        yield row
        return
    prepared, (growth, wall, cpu) = found
    yield row.of("growth", per_mib(growth), "MiB")
    yield row.of("temporaries", per_mib(prepared.temporaries), "MiB")
    yield row.of("seconds", wall, "s")
    yield row.of("cpu seconds", cpu, "s")


def measure_growth(
    prepared: Prepared, *, uses_torch: bool = False
) -> tuple[int | None, float, float]:
    """Growth of memory in bytes, wall seconds and CPU seconds of one call.

    The growth is the highest resident memory during the call less the resident memory
    just before it; on an accelerator, what torch allocated or XLA planned. The highest
    mark is reset before the call where the system allows: compilation may have taken
    more memory than the call does.
    """
    if not on_accelerator():
        gc.collect()
        _return_free_memory()
        _reset_highest()
        before = _resident("VmRSS")
        wall, cpu = time_once(prepared.call)
        return max(0, _resident("VmHWM") - before), wall, cpu
    cuda = load_torch().cuda if uses_torch else None
    if cuda is not None:
        cuda.reset_peak_memory_stats()
    before = cuda.memory_allocated() if cuda is not None else 0
    prepared.call()
    # The first call loads kernels; the second one is what a step pays.
    wall, cpu = time_once(prepared.call)
    if cuda is not None:
        return cuda.max_memory_allocated() - before, wall, cpu
    return prepared.temporaries, wall, cpu


def free_memory() -> int:
    """Bytes that a call may take here: of the accelerator, or of the machine."""
    if on_accelerator():
        found = jax.devices()[0].memory_stats() or {}
        return int(found.get("bytes_limit", 0)) - int(found.get("bytes_in_use", 0))
    try:
        return _read_bytes("/proc/meminfo", "MemAvailable")
    except (OSError, IndexError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _return_free_memory() -> None:
    """Returns freed pages to the system: a call that fills them again must pay."""
    name = ctypes.util.find_library("c")
    trim = getattr(ctypes.CDLL(name), "malloc_trim", None) if name else None
    if trim is not None:
        trim(0)


def _reset_highest() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # the mark then holds what came before, and the growth is a lower bound


def _resident(field: str) -> int:
    """A figure of this process; off Linux, the highest mark is all there is."""
    try:
        return _read_bytes("/proc/self/status", field)
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _read_bytes(file: str, field: str) -> int:
    return int(Path(file).read_text().split(f"{field}:")[1].split()[0]) * 1024


def per_mib(size: int | None) -> float | None:
    """Bytes as MiB."""
    return None if size is None else round(size / 2**20, 2)
