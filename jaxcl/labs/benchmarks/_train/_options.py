"""The options of `jaxcl bench train`, and the jobs they stand for."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from jaxcl.config import ConfigError, TrainConfig, as_dict, from_dict, read_toml
from jaxcl.labs.benchmarks._children import Job
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._options import Benchmark
from jaxcl.labs.benchmarks._train._contenders import (
    OURS,
    PACKAGES,
    WHOLE,
    stand_ins,
    why_not,
)

_ROOM = "jaxcl.labs.benchmarks._train"

EncoderName = Literal[
    "convnet",
    "simple_convnet",
    "mlp",
    "resnet18",
    "resnet34",
    "resnet50",
    "vit_ti",
    "vit_s",
]
DtypeName = Literal["float32", "bfloat16"]

# SimCLR on CIFAR-10, as arXiv 2002.05709, appendix B.9, has it, but for the optimizer:
# that of the other library.
_SIMCLR: dict[str, Any] = {
    "data": {"batch_size": 64, "test_splits": []},
    "augmentation": {"recipe": "simclr", "blur": 0.0},
    "model": {"encoder": "resnet18", "head_hidden": 512, "head_dim": 128},
    "objective": {"name": "nt_xent", "temperature": 0.5},
    "optimizer": {"name": "sgd", "learning_rate": 0.06, "weight_decay": 5e-4},
}
_IMAGE_SIZE = 32


class Case(NamedTuple):
    """The config of a run, as plain values."""

    config: dict[str, Any]
    made: int
    """Height and width of the images to make; 0 = the config has its own data."""

    def describe(self, threads: int | None) -> dict[str, Any]:
        """The settings of the run, without the size of its batch."""
        config = self.config
        return {
            "encoder": config["model"]["encoder"],
            "objective": config["objective"]["name"],
            "optimizer": config["optimizer"]["name"],
            "image_size": self.made,
            "dtype": config["model"]["dtype"],
            "steps_per_dispatch": config["steps_per_dispatch"],
            "keep_on_device": config["data"]["keep_on_device"],
            "devices": 1,
            "threads": threads,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainBenchmark(Benchmark):
    """Times a training step, its pieces, the loop around it, and another library's."""

    name: ClassVar[str] = "train"
    packages: ClassVar[tuple[str, ...]] = ("pytorch-metric-learning", *PACKAGES)

    config: Path | None = None
    """The run to measure, a TOML file, with its data; SimCLR on made images of CIFAR's
    size when left out."""
    encoder: tuple[EncoderName, ...] = ()
    """Encoders; the config's, or resnet18, when left out."""
    batch_size: tuple[int, ...] = ()
    """Samples a step; the config's, or 64, when left out."""
    dtype: tuple[DtypeName, ...] = ()
    """Types of the computation; the config's, or float32, when left out."""
    steps_per_dispatch: tuple[int, ...] = ()
    """Steps of one call; the config's, or 1, when left out."""
    keep_on_device: bool = False
    """Keep all images in the device's memory, even if the config does not."""
    image_size: int = 0
    """Height and width of made images; 32 when left out."""
    devices: int = 0
    """How many devices to use (on a CPU, to split it into); all when left out."""
    steps: int = 10
    """Most steps of a measured run of each piece: at most 10, or a multiple of 10."""
    seconds: float = 10.0
    """Slow pieces take fewer steps, so that a run is not much longer than this."""
    peers: bool = True
    """Compare with PyTorch and lightly, where they are installed."""
    trace: Path | None = None
    """Directory for a profiler's trace of a few steps."""
    quick: bool = False
    """About half a minute: a small convnet, 16 images a step, short runs."""
    seed: int = 0
    """Seed of the images and of the run; that of a config stays."""

    def check(self) -> None:
        """Raises `ConfigError` for what cannot be measured."""
        super().check()
        if self.steps < 1 or (self.steps > 10 and self.steps % 10):
            rule = "must be 1 to 10, or a multiple of 10"
            raise ConfigError(f"`steps` {rule}, got {self.steps}")
        self.at_least(0, "devices")
        if self.image_size and self.image_size < 8:
            rule = "must be at least 8 pixels"
            raise ConfigError(f"`image_size` {rule}, got {self.image_size}")
        if self.config is not None and self.image_size:
            raise ConfigError("`image_size` is of made images; a config has its own")
        for case in self.cases():
            from_dict(case.config).check()

    def resolve(self) -> "TrainBenchmark":
        """These options, made small where `quick` is set and none were given."""
        if not self.quick:
            return self
        small = {}
        if self.config is None:
            small["encoder"] = self.encoder or ("convnet",)
            small["batch_size"] = self.batch_size or (16,)
        rounds, seconds = min(self.rounds, 3), min(self.seconds, 0.5)
        return dataclasses.replace(self, **small, rounds=rounds, seconds=seconds)

    def plan(self, platform: str) -> Iterator[Job | Measurement]:
        """A step of every run, and the same step of the other library."""
        for threads, case in itertools.product(self.threads or (None,), self.cases()):
            size, setting = case.config["data"]["batch_size"], case.describe(threads)
            row = Measurement("step", WHOLE, size, setting, "wall")
            yield Job(f"{_ROOM}._jobs:time_training", row, self, (case,))
            if not self.peers:
                continue
            row = dataclasses.replace(row, what="peers", contender=OURS)
            excuse = why_not(case.config, self.devices)
            if excuse is None:
                yield Job(f"{_ROOM}._peers:time_peers", row, self, (case,))
            else:
                yield from stand_ins(row, excuse)

    def cases(self) -> Iterator[Case]:
        """Every run to be measured."""
        asked = self.resolve()
        base = _base(asked)
        options = (
            asked.encoder or (base.model.encoder,),
            asked.batch_size or (base.data.batch_size,),
            asked.dtype or (base.model.dtype,),
            asked.steps_per_dispatch or (base.steps_per_dispatch,),
        )
        made = 0 if asked.config is not None else asked.image_size or _IMAGE_SIZE
        for encoder, batch_size, dtype, taken in itertools.product(*options):
            tree = as_dict(base)
            tree["model"] |= {"encoder": encoder, "dtype": dtype}
            tree["data"] |= {"batch_size": batch_size, "test_splits": []}
            tree["data"]["keep_on_device"] |= asked.keep_on_device
            # The length matters only to the schedule of the learning rate.
            tree |= {"steps_per_dispatch": taken, "eval_every": 0}
            tree |= {"checkpoint_every": taken, "num_steps": 10_000 * taken}
            yield Case(tree, made)


def _base(options: TrainBenchmark) -> TrainConfig:
    if options.config is not None:
        return read_toml(options.config)
    return from_dict({**_SIMCLR, "seed": options.seed})
