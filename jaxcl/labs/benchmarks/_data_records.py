"""What is kept of a measurement of the input paths: plain fields that become JSON."""

import dataclasses
from typing import Any, Literal

from jaxcl.labs.benchmarks._records import Status

Part = Literal["views", "pipeline"]

# What the others of each part are compared with.
BASELINES: dict[Part, str] = {"views": "jaxcl: JAX", "pipeline": "grain + JAX views"}


@dataclasses.dataclass(frozen=True)
class Speed:
    """One implementation on images of one size; an image is one sample, not a view."""

    part: Part
    """Views of images that are in memory, or all from the files on."""
    source: str
    """Where the images come from."""
    contender: str
    size: int
    threads: int | None
    batch_size: int
    ours: bool = True
    """Whether this library made it."""
    status: Status = "measured"
    reason: str = ""
    images_per_second: float | None = None
    cpu_us: float | None = None
    """Microseconds of all cores, for an image."""
    wall_ratio: float | None = None
    """Its time over that of the baseline in the same rounds."""
    cpu_ratio: float | None = None
    wall_samples_us: tuple[float, ...] = ()
    """For an image, by round."""
    cpu_samples_us: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Stall:
    """What a path takes beyond its operations, each measured alone in the same rounds.

    All for an image, in microseconds.
    """

    path: str
    source: str
    size: int
    threads: int | None
    operations_us: dict[str, float]
    """Wall time of each alone."""
    operations_cpu_us: dict[str, float]
    wall_us: float
    cpu_us: float
    wall_ratio: float
    """Wall time of the path over that of its operations together."""
    cpu_ratio: float
    busy: float
    """CPU time over the wall time of the cores it may use."""


@dataclasses.dataclass(frozen=True)
class DataResults:
    """All of a benchmark of the input paths."""

    record: dict[str, Any]
    speeds: tuple[Speed, ...] = ()
    stalls: tuple[Stall, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)
