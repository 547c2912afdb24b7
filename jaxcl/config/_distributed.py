"""Several processes: how they find each other, and when one counts as dead."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DistributedConfig:
    """The other processes of a run."""

    enabled: bool = False
    """Join the other processes before the first step."""
    coordinator: str = ""
    """host:port of process 0; empty = found by JAX on TPU pods, SLURM, Open MPI."""
    num_processes: int = 0
    """How many processes there are; 0 = found."""
    process_id: int = -1
    """Which of them this is; -1 = found."""
    timeout: int = 60
    """Seconds after which the others notice that a process died, and leave."""
