"""What is kept of a measurement: plain fields that become JSON."""

import dataclasses
from typing import Any, Literal

Status = Literal["measured", "not installed", "skipped", "pending", "failed"]


@dataclasses.dataclass(frozen=True)
class Timing:
    """One implementation at one size; the ratios are its time over the dense time."""

    loss: str
    contender: str
    rows: int
    dim: int
    dtype: str
    threads: int | None
    status: Status = "measured"
    reason: str = ""
    wall_ms: float | None = None
    cpu_ms: float | None = None
    wall_ratio: float | None = None
    cpu_ratio: float | None = None
    wall_samples_ms: tuple[float, ...] = ()
    cpu_samples_ms: tuple[float, ...] = ()
    temporaries_mib: float | None = None
    peak_share: float | None = None
    """Matmul work that ours counts, over what the measured matmul peak would do."""
    value: float | None = None
    value_difference: float | None = None
    gradient_difference: float | None = None
    """Relative to the dense code."""


@dataclasses.dataclass(frozen=True)
class Memory:
    """One call in a process of its own."""

    name: str
    contender: str
    rows: int
    dim: int
    dtype: str
    threads: int | None = None
    status: Status = "measured"
    reason: str = ""
    growth_mib: float | None = None
    """Most resident memory of the call above what was resident before it; on an
    accelerator the memory there beside inputs and outputs."""
    temporaries_mib: float | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """Relative error of a gradient against float64."""

    regime: str
    temperature: float
    loss: str
    contender: str
    dtype: str
    status: Status = "measured"
    reason: str = ""
    value: float | None = None
    gradient_error: float | None = None


@dataclasses.dataclass(frozen=True)
class Peak:
    """The fastest square matmul of a process."""

    rows: int
    dim: int
    threads: int | None
    dtype: str
    gflops: float


@dataclasses.dataclass(frozen=True)
class Results:
    """All of a benchmark."""

    record: dict[str, Any]
    timings: tuple[Timing, ...] = ()
    peaks: tuple[Peak, ...] = ()
    memory: tuple[Memory, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()
    large: tuple[Memory, ...] = ()
    largest: tuple[Memory, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)
