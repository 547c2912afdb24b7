"""Eight CPU devices, strict shapes, and data sets that are built once a session."""

import gc
import importlib.metadata
import os
import tempfile
from pathlib import Path

_FLAGS = ["--xla_force_host_platform_device_count=8"]
_JAX = tuple(map(int, importlib.metadata.version("jax").split(".")[:2]))
# A version that meets a flag it does not know leaves at once.
if _JAX >= (0, 10):
    # A lock-up of the collectives between CPU devices ends soon instead of late.
    _FLAGS += [
        "--xla_cpu_collective_call_warn_stuck_timeout_seconds=20",
        "--xla_cpu_collective_call_terminate_timeout_seconds=60",
    ]
    if not os.environ.get("JAXCL_TEST_OPTIMIZED"):
        # Most of the time of these tests is compilation of programs that run once.
        _FLAGS += ["--xla_backend_optimization_level=0"]
        if _JAX < (0, 12):
            _FLAGS += ["--xla_cpu_use_fusion_emitters=false"]
# Set before JAX is imported, here and in the programs that tests start.
os.environ["XLA_FLAGS"] = " ".join(_FLAGS)
os.environ["JAX_PLATFORMS"] = "cpu"
# The same small runs are compiled by many tests: once is enough.
_CACHE = tempfile.TemporaryDirectory(prefix="jaxcl-compiled-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _CACHE.name)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"

import jax  # noqa: E402  the flags must be set first
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="session")
def data_dir(tmp_path_factory):
    """Where the embedded data sets of this session are built."""
    directory = tmp_path_factory.getbasetemp().parent / "jaxcl-data"
    directory.mkdir(exist_ok=True)
    os.environ["TFDS_DATA_DIR"] = str(directory)
    return directory


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Drops compiled programs before a process runs out of memory maps.

    Each holds some; Linux allows 65,530 a process, and XLA crashes at the next one.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > 20_000:
        jax.clear_caches()
        gc.collect()
