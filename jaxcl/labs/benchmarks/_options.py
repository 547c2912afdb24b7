"""The options that all benchmarks share."""

import abc
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from jaxcl.config import ConfigError
from jaxcl.labs.benchmarks._children import Job
from jaxcl.labs.benchmarks._measurement import Measurement


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark(abc.ABC):
    """What to measure, and how often."""

    name: ClassVar[str]
    """The name of its files."""
    packages: ClassVar[tuple[str, ...]]
    """Packages whose versions are reported, beside those of a run."""

    threads: tuple[int, ...] = ()
    """Numbers of cores to use, one measurement each; all cores when left out."""
    rounds: int = 5
    """Measured runs of each implementation, in turn; medians are shown."""
    seconds: float = 1.0
    """Length of a measured run."""
    quick: bool = False
    """A small version of the benchmark; options that are given stay."""
    seed: int = 0
    """Seed of everything that is drawn."""
    out: Path | None = None
    """Directory for the files of results."""
    json: bool = False
    """Print the results as JSON on standard output."""
    quiet: bool = False
    """Print errors only."""

    def check(self) -> None:
        """Raises `ConfigError` for what cannot be measured."""
        self.at_least(1, "threads", "rounds")
        self.at_least(0, "seed")
        if not self.seconds > 0:
            raise ConfigError(f"`seconds` must be positive, got {self.seconds}")

    def at_least(self, least: int, *names: str) -> None:
        """Raises `ConfigError` where a field, or one of its values, is smaller."""
        for name in names:
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else (value,)
            if any(one < least for one in values):
                raise ConfigError(f"`{name}` must be at least {least}, got {value}")

    def is_default(self, name: str) -> bool:
        """Whether a field has its default."""
        return getattr(self, name) == type(self).__dataclass_fields__[name].default

    @abc.abstractmethod
    def resolve(self) -> "Benchmark":
        """These options, made small where `quick` is set."""

    @abc.abstractmethod
    def plan(self, platform: str) -> Iterable[Job | Measurement]:
        """The work of every child process on a platform, and rows that need none."""

    def describe(self) -> dict[str, Any]:
        """The fields that affect measurements, as plain values."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(self).items()
            if name not in ("out", "json", "quiet")
        }
