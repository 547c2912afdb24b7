"""What is kept of a measurement of training: plain fields that become JSON."""

import dataclasses
from typing import Any

from jaxcl.labs.benchmarks._records import Status

WHOLE, INPUT, REST = "whole step", "input", "rest"


@dataclasses.dataclass(frozen=True)
class Setting:
    """The run that was measured."""

    encoder: str
    objective: str
    optimizer: str
    batch_size: int
    image_size: int = 0
    """Height of its images; 0 = not known, since it could not be opened."""
    dtype: str = "float32"
    steps_per_dispatch: int = 1
    keep_on_device: bool = False
    devices: int = 1
    threads: int | None = None

    def title(self) -> str:
        """A line that says what it is."""
        words = [
            f"{self.encoder}, {self.objective}, {self.optimizer}",
            f"{self.batch_size} images a step",
            self.dtype,
        ]
        if self.image_size:
            words.insert(2, f"{self.image_size} pixels")
        if self.steps_per_dispatch > 1:
            words.append(f"{self.steps_per_dispatch} steps a dispatch")
        if self.keep_on_device:
            words.append("images on the device")
        if self.devices > 1:
            words.append(f"{self.devices} devices")
        cores = "all cores" if self.threads is None else f"{self.threads} core(s)"
        return ", ".join([*words, cores])


def describe_setting(config: dict[str, Any], **fields: Any) -> Setting:
    """What a run is, from its config as plain values."""
    return Setting(
        encoder=config["model"]["encoder"],
        objective=config["objective"]["name"],
        optimizer=config["optimizer"]["name"],
        batch_size=config["data"]["batch_size"],
        dtype=config["model"]["dtype"],
        steps_per_dispatch=config["steps_per_dispatch"],
        keep_on_device=config["data"]["keep_on_device"],
        **fields,
    )


@dataclasses.dataclass(frozen=True)
class Breakdown:
    """A whole step, from the files on, and its pieces, each alone in the same rounds.

    Milliseconds of one step. The pieces do not add up to the whole: what is computed in
    one program need not be stored in between, and input is made beside the step. What
    is missing, or too much, is the rest.
    """

    setting: Setting
    status: Status = "measured"
    reason: str = ""
    images_per_second: float | None = None
    wall_ms: float | None = None
    cpu_ms: float | None = None
    parts_ms: dict[str, float] = dataclasses.field(default_factory=dict)
    parts_cpu_ms: dict[str, float] = dataclasses.field(default_factory=dict)
    shares: dict[str, float] = dataclasses.field(default_factory=dict)
    """Of the whole; with the rest they add up to 1."""
    cpu_shares: dict[str, float] = dataclasses.field(default_factory=dict)
    """The same of the CPU time of all cores, which a busy machine changes less."""
    samples_ms: dict[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    """By round, of the whole and of every piece."""


@dataclasses.dataclass(frozen=True)
class Overhead:
    """The trainer's loop beside a bare loop over the same mapped step."""

    setting: Setting
    steps: int
    """Of one run of each."""
    loop_ms: float
    """Of one step."""
    bare_ms: float
    ratio: float
    """Of the medians."""
    low: float
    """The quartiles of the ratio by round."""
    high: float
    loop_cpu_ms: float
    bare_cpu_ms: float
    loop_samples_ms: tuple[float, ...] = ()
    bare_samples_ms: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Rival:
    """Training by one library on views that are there, without input."""

    setting: Setting
    contender: str
    ours: bool = False
    status: Status = "measured"
    reason: str = ""
    images_per_second: float | None = None
    wall_ms: float | None = None
    cpu_ms: float | None = None
    wall_ratio: float | None = None
    """Its time over ours in the same rounds: above 1, ours is faster."""
    cpu_ratio: float | None = None
    parameters: int | None = None
    samples_ms: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class TrainResults:
    """All of a benchmark of training."""

    record: dict[str, Any]
    breakdowns: tuple[Breakdown, ...] = ()
    overheads: tuple[Overhead, ...] = ()
    rivals: tuple[Rival, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)
