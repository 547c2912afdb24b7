"""The options of `jaxcl bench aot`, and the jobs they stand for."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import ClassVar, Literal, get_args

from jaxcl.config import ConfigError
from jaxcl.labs.benchmarks._aot._losses import LOSSES, ExchangeName, LossName
from jaxcl.labs.benchmarks._aot._targets import (
    ENVIRONMENT,
    GENERATIONS,
    GenerationName,
)
from jaxcl.labs.benchmarks._children import Job
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._options import Benchmark

_ROOM = "jaxcl.labs.benchmarks._aot"
StepName = Literal["resnet50", "vit_s"]
DtypeName = Literal["float32", "bfloat16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AotBenchmark(Benchmark):
    """Compiles losses and steps for accelerators that are not there: estimates only.

    Nothing is run. `threads`, `rounds` and `seconds` mean nothing here.
    """

    name: ClassVar[str] = "aot"
    packages: ClassVar[tuple[str, ...]] = ("libtpu", "jax-cuda12-plugin")

    losses: tuple[LossName, ...] = get_args(LossName)
    """The losses to compile, with their gradients."""
    steps: tuple[StepName, ...] = ()
    """Encoders whose train step to compile, minutes each: SimCLR in bfloat16, on the
    largest number of chips."""
    generation: tuple[GenerationName, ...] = ("v5e",)
    """The chips to compile for: TPUs (pip install 'jaxcl[aot]'), or a described H100
    (pip install 'jax[cuda12]')."""
    chips: tuple[int, ...] = (1, 16, 256)
    """How many of them."""
    exchange: tuple[ExchangeName, ...] = ("gather", "ring")
    """How several chips see each other's rows."""
    rows: tuple[int, ...] = (65_536,)
    """Rows of both views together, over all chips."""
    dim: tuple[int, ...] = (128,)
    """Dimensions of a row."""
    dtype: tuple[DtypeName, ...] = ("float32", "bfloat16")
    """Types of the rows."""
    batch_size: int = 4096
    """Samples of a step, over all chips."""
    image_size: int = 224
    """Height and width of the images of a step."""
    patience: float = 3600.0
    """Seconds after which a program counts as one that does not compile."""
    quick: bool = False
    """Under a minute: NT-Xent of 16,384 rows in float32, on 256 chips."""

    def check(self) -> None:
        """Raises `ConfigError` for what cannot be compiled."""
        super().check()
        self.at_least(1, "dim", "batch_size")
        self.at_least(8, "image_size")
        for name in ("generation", "chips", "exchange", "rows", "dim", "dtype"):
            if not getattr(self, name):
                raise ConfigError(f"`{name}` must name at least one")
        if not (self.losses or self.steps):
            raise ConfigError("`losses` or `steps` must name at least one")
        if not self.patience > 0:
            raise ConfigError(f"`patience` must be positive, got {self.patience}")
        for generation, chips in itertools.product(self.generation, self.chips):
            known = sorted(GENERATIONS[generation].topologies)
            if chips not in known:
                rule = f"must be among {known} of {generation}"
                raise ConfigError(f"`chips` {rule}, got {chips}")
        asked = self.resolve()
        for rows, chips in itertools.product(asked.rows, asked.chips):
            if rows < 1 or rows % (2 * chips):
                rule = f"must be two equal views on each of {chips} chips"
                raise ConfigError(f"`rows` {rule}, got {rows}")
        if self.steps and self.batch_size % max(self.chips):
            rule = f"must be divisible by {max(self.chips)} chips"
            raise ConfigError(f"`batch_size` {rule}, got {self.batch_size}")

    def resolve(self) -> "AotBenchmark":
        """These options, made small where `quick` is set."""
        if not self.quick:
            return self
        small = {
            "losses": ("nt_xent",),
            "chips": (256,),
            "rows": (16_384,),
            "dtype": ("float32",),
        }
        unnamed = {name: to for name, to in small.items() if self.is_default(name)}
        return dataclasses.replace(self, **unnamed)

    def plan(self, platform: str) -> Iterator[Job]:
        """One process for each program: one that fails or hangs ends only itself."""
        del platform  # nothing is run
        for row in self.loss_rows():
            yield self._job("_jobs:estimate_loss", row)
        chips = max(self.chips)
        for generation, name in itertools.product(self.generation, self.steps):
            setting = {"generation": generation, "chips": chips}
            setting |= {"image_size": self.image_size, "dtype": "bfloat16"}
            row = Measurement("aot steps", name, self.batch_size, setting)
            yield self._job("_steps:estimate_step", row.of("estimate", None))

    def loss_rows(self) -> Iterator[Measurement]:
        """Every loss that is asked for; a chip alone exchanges nothing."""
        for generation, dim, dtype, rows, name, chips in itertools.product(
            self.generation, self.dim, self.dtype, self.rows, self.losses, self.chips
        ):
            ways = [one for one in self.exchange if one != "ring" or LOSSES[name].rings]
            for exchange in ways if chips > 1 else ("none",):
                setting = {"generation": generation, "chips": chips}
                setting |= {"exchange": exchange, "dim": dim, "dtype": dtype}
                row = Measurement("aot losses", name, rows, setting)
                yield row.of("estimate", None)

    def _job(self, function: str, row: Measurement) -> Job:
        return Job(
            f"{_ROOM}.{function}",
            row,
            self,
            environment=ENVIRONMENT,
            patience=self.patience,
        )
