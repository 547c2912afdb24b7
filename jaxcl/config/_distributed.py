"""Several processes: how they find each other, and when one counts as dead."""

from dataclasses import dataclass
from typing import Annotated

from jaxcl.config._bounds import POSITIVE


@dataclass(frozen=True)
class DistributedConfig:
    """The processes of a run on several hosts."""

    enabled: bool = False
    """Connect to the other processes before the first step."""
    coordinator: str = ""
    """host:port of process 0; empty = detected by JAX (TPU pods, SLURM, Open MPI)."""
    num_processes: int = 0
    """Number of processes; 0 = detected."""
    process_id: int = -1
    """Index of this process; -1 = detected."""
    timeout: Annotated[int, POSITIVE] = 60
    """Seconds after which the other processes stop when one has died."""
