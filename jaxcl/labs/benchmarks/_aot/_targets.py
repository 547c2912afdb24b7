"""Accelerators as a compiler knows them, and their data sheets."""

import importlib.util
from typing import Any, Literal, NamedTuple

from jax.experimental import topologies

from jaxcl.labs.benchmarks._measurement import Excuse

GenerationName = Literal["v4", "v5e", "v5p", "v6e", "h100"]

# Nothing runs and no metadata server is asked; several processes may compile at once.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_COMPILATION_CACHE": "false",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


class Generation(NamedTuple):
    """One kind of chip, by its data sheet."""

    topologies: dict[int, str]
    """Slices by their number of chips; one chip is a part of the smallest."""
    flops: float
    """Of products of bfloat16, a second and chip."""
    bandwidth: float
    """Bytes of its memory, a second and chip."""
    clock: float = 0.0
    """Hertz; 0 = its compiler estimates no cycles."""
    platform: str = "tpu"
    package: str = "libtpu"
    extra: str = "jaxcl[aot]"
    """What has its compiler, and how to install that."""


_FLAT = {1: "2x2", 4: "2x2", 16: "4x4", 64: "8x8", 256: "16x16"}
_CUBES = {1: "2x2x1", 4: "2x2x1", 16: "2x2x4", 64: "4x4x4", 256: "4x8x8"}
_HOSTS = {1: "1x1x1", 8: "1x1x8", 16: "1x2x8", 64: "1x8x8", 256: "1x32x8"}

GENERATIONS: dict[str, Generation] = {
    "v4": Generation(_CUBES, 275e12, 1228e9, 1.05e9),
    "v5e": Generation(_FLAT, 197e12, 819e9, 1.5e9),
    "v5p": Generation(_CUBES, 459e12, 2765e9, 1.75e9),
    "v6e": Generation(_FLAT, 918e12, 1640e9, 1.75e9),
    "h100": Generation(
        _HOSTS,
        989e12,
        3352e9,
        platform="cuda",
        package="jax_cuda12_plugin",
        extra="jax[cuda12]",
    ),
}

_H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84929347584 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
runtime_version { major: 12 minor: 9 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def describe_chips(generation: str, chips: int) -> list[Any]:
    """Devices that are described and not found.

    Raises:
        Excuse: The compiler of the generation is not installed.
    """
    about = GENERATIONS[generation]
    if importlib.util.find_spec(about.package) is None:
        raise Excuse("not installed", f"pip install '{about.extra}'")
    shape = about.topologies[chips]
    described: dict[str, Any] = {"topology_name": f"{generation}:{shape}"}
    if about.platform == "cuda":
        described = {"topology_name": "h100", "target_config": _H100, "topology": shape}
    elif generation == "v4":
        # Both cores of a chip as one device, as JAX shows them on a machine.
        described["chip_config_name"] = "megacore"
    topology = topologies.get_topology_desc(platform=about.platform, **described)
    return list(topology.devices[:chips])
