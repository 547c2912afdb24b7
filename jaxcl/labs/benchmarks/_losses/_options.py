"""The options of `jaxcl bench losses`, and the jobs they stand for."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import ClassVar, Literal

from jaxcl.config import ConfigError
from jaxcl.labs.benchmarks._children import Job
from jaxcl.labs.benchmarks._losses._contenders import (
    DENSE,
    OURS,
    LossName,
    find_contenders,
)
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._options import Benchmark

_ROOM = "jaxcl.labs.benchmarks._losses"
_QUICK_ROWS = (256, 1024)
_ACCURACY_ROWS = 2048
_PATIENCE_SECONDS = 600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossesBenchmark(Benchmark):
    """Times the losses against dense code and other libraries, and checks them."""

    name: ClassVar[str] = "losses"
    packages: ClassVar[tuple[str, ...]] = (
        "torch",
        "lightly",
        "pytorch-metric-learning",
    )

    rows: tuple[int, ...] = (1024, 4096)
    """Rows of both views together."""
    dim: tuple[int, ...] = (128,)
    """Dimensions of a row."""
    losses: tuple[LossName, ...] = ("nt_xent", "info_nce", "supcon", "combined")
    """The losses to compare."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the rows."""
    temperature: float = 0.1
    """Divides the similarities."""
    peers: bool = True
    """Compare with other libraries, where they are installed."""
    memory: bool = True
    """Measure the memory of each call, in its own process."""
    accuracy: bool = False
    """Compare gradients of 2,048 rows with float64, at temperatures down to 0.01."""
    large: bool = False
    """One call of 262,144 rows, and the support-corrected loss."""
    large_rows: int = 262_144
    """Rows of that call."""
    largest: bool = False
    """Double the batch until it no longer fits."""
    rounds: int = 9
    """Measured calls of each implementation, in turn; medians are shown."""
    seconds: float = 20.0
    """Slower implementations are called less often, but at least three times."""
    quick: bool = False
    """Under a minute: 256 and 1,024 rows, no memory measurement, few rounds."""

    def check(self) -> None:
        """Raises `ConfigError` for what cannot be measured."""
        super().check()
        for name, values in (("rows", self.rows), ("dim", self.dim)):
            if not values or min(values) < 1:
                raise ConfigError(f"`{name}` must be positive numbers, got {values}")
        if any(rows % 2 or rows < 4 for rows in self.rows):
            raise ConfigError(f"`rows` must be even and at least 4, got {self.rows}")
        if not self.losses:
            raise ConfigError("`losses` must name at least one loss")
        if not self.temperature > 0:
            raise ConfigError(f"`temperature` must be positive, got {self.temperature}")

    def resolve(self) -> "LossesBenchmark":
        """These options, made small where `quick` is set."""
        if not self.quick:
            return self
        rows = _QUICK_ROWS if self.is_default("rows") else self.rows
        return dataclasses.replace(
            self, rows=rows, memory=False, rounds=min(self.rounds, 5), seconds=2.0
        )

    def plan(self, platform: str) -> Iterator[Job]:
        """Times, then memory, accuracy and the large cases."""
        sizes = [(rows, dim) for dim in self.dim for rows in self.rows]
        for threads, (rows, dim) in itertools.product(self.threads or (None,), sizes):
            row = self._row("losses", ", ".join(self.losses), "all", rows, dim)
            row = dataclasses.replace(row, quantity="wall", required=True)
            yield Job(f"{_ROOM}._jobs:time_losses", row.but(threads=threads), self)
        if self.memory:
            entries = find_contenders(self.losses, peers=self.peers)
            for size, one in itertools.product(sizes, entries):
                yield self._call(self._row("memory", one.loss, one.name, *size))
        if self.accuracy:
            names = {"regime": "all", "temperature": 0.0, "loss": "all", "dtype": "all"}
            row = Measurement("accuracy", "all", _ACCURACY_ROWS, names, required=False)
            row = row.of("gradient error", None)
            yield Job(f"{_ROOM}._jobs:measure_accuracy", row, self)
        if self.large:
            rows, dim = self.large_rows, self.dim[0]
            yield self._call(self._row("large", "nt_xent", OURS, rows, dim))
            yield from self._support(platform)
        if self.largest:
            for dim, name in itertools.product(self.dim, (OURS, DENSE)):
                row = self._row("largest", "nt_xent", name, max(self.rows), dim)
                yield self._double(row)

    def _row(self, what: str, loss: str, name: str, rows: int, dim: int) -> Measurement:
        setting = {"loss": loss, "dim": dim, "dtype": self.dtype, "threads": None}
        return Measurement(what, name, rows, setting, "growth", required=False)

    def _call(self, row: Measurement) -> Job:
        return Job(f"{_ROOM}._jobs:measure_memory", row, self)

    def _double(self, row: Measurement) -> Job:
        """Twice the rows after each call that fits and does not take too long."""

        def then(found: list[Measurement]) -> Job | None:
            seconds = [one.value or 0.0 for one in found if one.quantity == "seconds"]
            # The next one takes four times as long.
            if not seconds or 4 * seconds[0] > _PATIENCE_SECONDS:
                return None
            return self._double(dataclasses.replace(row, size=2 * row.size))

        return self._call(row)._replace(then=then)

    def _support(self, platform: str) -> Iterator[Job]:
        # Accelerators are faster with large chunks, CPUs with those that fit a cache.
        chunks = (1, 10) if platform == "cpu" else (50, 200)
        for count, sizes in ((500, (None, *chunks)), (2000, (None, chunks[-1]))):
            name = f"support-corrected, {count:,} negatives an anchor"
            for chunk_size in sizes:
                how = "all at once" if chunk_size is None else f"chunks of {chunk_size}"
                row = self._row("large", name, how, count, 3).but(dtype="float32")
                job = f"{_ROOM}._support:measure_support"
                yield Job(job, row, self, (chunk_size,))
