"""Eight CPU devices, tiers, one worker per compiled program, shared data sets."""

import gc
import importlib.metadata
import itertools
import os
import re
import shutil
import signal
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
            # Programs are small, and the other core has tests of its own.
            _FLAGS += ["--xla_cpu_parallel_codegen_split_count=1"]
            _FLAGS += ["--xla_cpu_use_fusion_emitters=false"]
# Set before JAX is imported, here and in the programs that tests start.
os.environ["XLA_FLAGS"] = " ".join(_FLAGS)
os.environ["JAX_PLATFORMS"] = "cpu"
# Compiled programs are shared by tests, workers and later runs of the tests.
_COMPILED = Path(__file__).parent / ".pytest_cache" / "compiled"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_COMPILED))
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"

import jax  # noqa: E402  the flags must be set first
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")


# A runner that was started in the background ignores this, and so would its programs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Without paths and without `-m`, pytest runs these tests and leaves the rest to CI.
_FAST_TIER = "not slow and not lab"
# These begin first, so that no worker ends with a long one while the other waits.
_LONG = ("test_processes", "test_hosts", "test_runs", "test_studies", "test_claims")
_LONG += ("test_trainer", "test_resume", "test_measure", "test_aot_limits")
# What is compiled is shared by all tests of a loss, or of a mapping of all losses.
_BY_LOSS = ("losses/test_contract.py",)
_BY_MAPPING = ("losses/test_devices.py", "losses/test_ring.py")
_MAPPING = re.compile(r"pmap|checked|unchecked|auto|explicit|set|None|\d+")
_NO_LOSS = re.compile(r"b?float16|exponents\d|shape\d|duplicates")


def pytest_configure(config):
    """Chooses the fast tier, and removes stored programs that take too much room."""
    if config.args_source is config.ArgsSource.TESTPATHS and not config.option.markexpr:
        config.option.markexpr = _FAST_TIER
    size = sum(program.stat().st_size for program in _COMPILED.glob("*"))
    if size > 2**30 and not hasattr(config, "workerinput"):
        shutil.rmtree(_COMPILED)


def unit_of(nodeid):
    """The unit that one worker runs as a whole: tests that share compiled programs."""
    file, _, rest = nodeid.partition("::")
    function, _, case = rest.removesuffix("]").partition("[")
    words = case.split("-")
    if file.endswith(_BY_LOSS):
        names = (w for w in words if w.isidentifier() and not _NO_LOSS.fullmatch(w))
        return f"{file} {next((n for n in names if n != 'None'), function)}"
    if file.endswith(_BY_MAPPING):
        shares = "shares" if "of_the_" in function else function
        return " ".join([file, shares, *filter(_MAPPING.fullmatch, words)])
    return file


def pytest_ignore_collect(collection_path, config):
    """Imports no laboratory for the fast tier."""
    if config.option.markexpr == _FAST_TIER and collection_path.name == "labs":
        return True
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks laboratories, and puts long tests first."""
    for item in items:
        if "labs" in item.path.parts:
            item.add_marker("lab")
    items.sort(key=lambda item: not any(name in item.nodeid for name in _LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Gives units to workers instead of single tests."""
    from xdist.scheduler import LoadScopeScheduling

    class BySharedPrograms(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return unit_of(nodeid)

    config.option.loadscopereorder = False
    return BySharedPrograms(config, log)


@pytest.fixture(autouse=True, scope="session")
def data_dir(tmp_path_factory):
    """Where the embedded data sets of this session are built."""
    directory = tmp_path_factory.getbasetemp().parent / "jaxcl-data"
    directory.mkdir(exist_ok=True)
    os.environ["TFDS_DATA_DIR"] = str(directory)
    return directory


_ENDED = itertools.count(1)


@pytest.fixture(autouse=True)
def forget_programs():
    """Drops compiled programs before a process runs out of memory maps.

    Each holds some; Linux allows 65,530 a process, and XLA crashes at the next one.
    """
    yield
    maps = Path("/proc/self/maps")
    if next(_ENDED) % 25 or not maps.exists():
        return
    if len(maps.read_bytes().splitlines()) > 30_000:
        jax.clear_caches()
        gc.collect()
