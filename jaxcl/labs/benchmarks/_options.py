"""What `jaxcl bench losses` can be asked."""

import dataclasses
from pathlib import Path
from typing import Literal

from jaxcl.config import ConfigError
from jaxcl.labs.benchmarks._contenders import LossName

_QUICK_ROWS = (256, 1024)


@dataclasses.dataclass(frozen=True)
class LossesBenchmark:
    """Times the losses against dense code and other libraries, and checks them."""

    rows: tuple[int, ...] = (1024, 4096)
    """Rows of both views together."""
    dim: tuple[int, ...] = (128,)
    """Length of a row."""
    losses: tuple[LossName, ...] = ("nt_xent", "info_nce", "supcon", "combined")
    """The losses to compare."""
    threads: tuple[int, ...] = ()
    """Cores to use, one measurement each; all when left out."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the rows are given in."""
    temperature: float = 0.1
    """Divides the similarities."""
    peers: bool = True
    """Compare with other libraries, as far as they are installed."""
    memory: bool = True
    """Measure the memory of a call, each in a process of its own."""
    accuracy: bool = False
    """Compare gradients with float64, at temperatures down to 0.01."""
    accuracy_rows: int = 2048
    """Rows of that comparison."""
    large: bool = False
    """One call of 262,144 rows, and the support-corrected loss."""
    large_rows: int = 262_144
    """Rows of that call."""
    largest: bool = False
    """Double the batch until it does not fit any more."""
    rounds: int = 9
    """Measured calls of each implementation."""
    seconds: float = 20.0
    """Slower implementations are called less often, but three times."""
    quick: bool = False
    """Under a minute: 256 and 1,024 rows, no memory measurement, few rounds."""
    seed: int = 0
    """Of the rows, labels and domains."""
    out: Path | None = None
    """Directory for losses.json, losses.md and losses.png."""
    json: bool = False
    """Print the results as JSON on standard output."""
    quiet: bool = False
    """Print errors only."""

    def check(self) -> None:
        """Raises `ConfigError` for what cannot be measured."""
        for name, values in (("rows", self.rows), ("dim", self.dim)):
            if not values or min(values) < 1:
                raise ConfigError(f"`{name}` must be positive numbers, got {values}")
        if any(rows % 2 or rows < 4 for rows in self.rows):
            raise ConfigError(f"`rows` must be even and at least 4, got {self.rows}")
        if not self.losses:
            raise ConfigError("`losses` must name at least one loss")
        if any(threads < 1 for threads in self.threads):
            raise ConfigError(f"`threads` must be at least 1, got {self.threads}")
        if not self.temperature > 0:
            raise ConfigError(f"`temperature` must be positive, got {self.temperature}")
        if self.rounds < 1 or not self.seconds > 0:
            raise ConfigError("`rounds` and `seconds` must be positive")

    def resolve(self) -> "LossesBenchmark":
        """The same with what `quick` stands for."""
        if not self.quick:
            return self
        rows = self.rows if self.rows != LossesBenchmark.rows else _QUICK_ROWS
        return dataclasses.replace(
            self, rows=rows, memory=False, rounds=min(self.rounds, 5), seconds=2.0
        )
