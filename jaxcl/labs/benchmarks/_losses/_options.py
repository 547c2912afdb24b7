"""What `jaxcl bench losses` can be asked, and the jobs that answer it."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

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
    """Compare with other libraries, as far as they are installed."""
    memory: bool = True
    """Measure the memory of a call, each in a process of its own."""
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
        """The same options with what `quick` stands for."""
        if not self.quick:
            return self
        rows = _QUICK_ROWS if self.is_default("rows") else self.rows
        return dataclasses.replace(
            self, rows=rows, memory=False, rounds=min(self.rounds, 5), seconds=2.0
        )

    def plan(self, platform: str) -> Iterator[Job]:
        """Times, then memory, accuracy and the large cases, as far as asked for."""
        for threads in self.threads or (None,):
            yield from (self._time(*size, threads) for size in self._sizes())
        if self.memory:
            entries = find_contenders(self.losses, peers=self.peers)
            for size, one in itertools.product(self._sizes(), entries):
                yield self._job("memory", one.loss, one.name, *size)
        if self.accuracy:
            yield self._judge()
        if self.large:
            yield self._job("large", "nt_xent", OURS, self.large_rows, self.dim[0])
            yield from self._support(platform)
        if self.largest:
            for dim, name in itertools.product(self.dim, (OURS, DENSE)):
                yield self._double(name, max(self.rows), dim)

    def _sizes(self) -> list[tuple[int, int]]:
        """Rows and dimensions."""
        return [(rows, dim) for dim in self.dim for rows in self.rows]

    def _job(
        self, what: str, loss: str, name: str, rows: int, dim: int, **fields: Any
    ) -> Job:
        setting = {"loss": loss, "dim": dim, "dtype": self.dtype, "threads": None}
        row = Measurement(what, name, rows, setting, "growth", required=False)
        return Job(f"{_ROOM}._jobs:measure_memory", row, self, **fields)

    def _time(self, rows: int, dim: int, threads: int | None) -> Job:
        job = self._job("losses", ", ".join(self.losses), "all", rows, dim)
        row = dataclasses.replace(job.row, quantity="wall", required=True)
        return Job(f"{_ROOM}._jobs:time_losses", row.but(threads=threads), self)

    def _double(self, name: str, rows: int, dim: int) -> Job:
        """Twice the rows after each call that fits and does not take too long."""

        def then(found: list[Measurement]) -> Job | None:
            seconds = [one.value or 0.0 for one in found if one.quantity == "seconds"]
            # The next one takes four times as long.
            if not seconds or 4 * seconds[0] > _PATIENCE_SECONDS:
                return None
            return self._double(name, 2 * rows, dim)

        return self._job("largest", "nt_xent", name, rows, dim, then=then)

    def _judge(self) -> Job:
        setting = {"regime": "all", "temperature": 0.0, "loss": "all", "dtype": "all"}
        row = Measurement("accuracy", "all", _ACCURACY_ROWS, setting, required=False)
        row = row.of("gradient error", None)
        return Job(f"{_ROOM}._accuracy:measure_accuracy", row, self)

    def _support(self, platform: str) -> Iterator[Job]:
        # An accelerator wants many rows at once, a CPU as many as its caches hold.
        chunks = (1, 10) if platform == "cpu" else (50, 200)
        for count, sizes in ((500, (None, *chunks)), (2000, (None, chunks[-1]))):
            for chunk_size in sizes:
                how = "all at once" if chunk_size is None else f"chunks of {chunk_size}"
                name = f"support-corrected, {count:,} negatives an anchor"
                job = self._job("large", name, how, count, 3, more=(chunk_size,))
                row = job.row.but(dtype="float32")
                yield job._replace(
                    function=f"{_ROOM}._support:measure_support", row=row
                )
