"""What `jaxcl bench train` can be asked."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxcl.config import ConfigError, TrainConfig, as_dict, from_dict, read_toml

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
    """One run to be measured, as plain values."""

    config: dict[str, Any]
    made: int
    """Height and width of the images that are made for it; 0 = its data are there."""


@dataclasses.dataclass(frozen=True)
class TrainBenchmark:
    """Times a training step, its pieces, the loop around it, and another library's."""

    config: Path | None = None
    """The run to measure, a TOML file, with its data; SimCLR on made images of CIFAR's
    size when left out."""
    encoder: tuple[EncoderName, ...] = ()
    """Encoders; the config's, or resnet18, when left out."""
    batch_size: tuple[int, ...] = ()
    """Samples a step; the config's, or 64, when left out."""
    dtype: tuple[DtypeName, ...] = ()
    """What is computed in; the config's, or float32, when left out."""
    steps_per_dispatch: tuple[int, ...] = ()
    """Steps of one call; the config's, or 1, when left out."""
    keep_on_device: bool = False
    """Keep all images in the device's memory, whatever the config says."""
    image_size: int = 0
    """Height and width of made images; 32 when left out."""
    devices: int = 0
    """How many devices to use (on a CPU, to split it into); all when left out."""
    threads: int = 0
    """Cores to use; all when left out."""
    steps: int = 10
    """Most steps of a measured run of each piece: at most 10, or a multiple of 10."""
    rounds: int = 5
    """Measured runs of each, in turn; medians are shown."""
    seconds: float = 10.0
    """Slow pieces take fewer steps, so that a run is not much longer than this."""
    peers: bool = True
    """Compare with PyTorch and lightly, as far as they are installed."""
    trace: Path | None = None
    """Directory for a profiler's trace of a few steps."""
    quick: bool = False
    """About half a minute: a small convnet, 16 images a step, short runs."""
    seed: int = 0
    """Of the images and of the run; that of a config stays."""
    out: Path | None = None
    """Directory for train.json and train.md."""
    json: bool = False
    """Print the results as JSON on standard output."""
    quiet: bool = False
    """Print errors only."""

    def check(self) -> None:
        """Raises `ConfigError` for what cannot be measured."""
        if self.steps < 1 or (self.steps > 10 and self.steps % 10):
            raise ConfigError(
                f"`steps` must be 1 to 10, or a multiple of 10, got {self.steps}"
            )
        for name, least in (("rounds", 1), ("devices", 0), ("threads", 0), ("seed", 0)):
            if getattr(self, name) < least:
                value = getattr(self, name)
                raise ConfigError(f"`{name}` must be at least {least}, got {value}")
        if not self.seconds > 0:
            raise ConfigError(f"`seconds` must be positive, got {self.seconds}")
        if self.image_size and self.image_size < 8:
            raise ConfigError(
                f"`image_size` must be at least 8 pixels, got {self.image_size}"
            )
        if self.config is not None and self.image_size:
            raise ConfigError("`image_size` is of made images; a config has its own")
        for case in self.cases():
            from_dict(case.config).check()

    def resolve(self) -> "TrainBenchmark":
        """The same with what `quick` stands for; what was named stays."""
        if not self.quick:
            return self
        small = {}
        if self.config is None:
            small["encoder"] = self.encoder or ("convnet",)
            small["batch_size"] = self.batch_size or (16,)
        return dataclasses.replace(
            self,
            **small,
            rounds=min(self.rounds, 3),
            seconds=min(self.seconds, 0.5),
        )

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
            # Nothing of it is run by its length but the schedule of the rate.
            tree |= {"steps_per_dispatch": taken, "eval_every": 0}
            tree |= {"checkpoint_every": taken, "num_steps": 10_000 * taken}
            yield Case(tree, made)


def _base(options: TrainBenchmark) -> TrainConfig:
    if options.config is not None:
        return read_toml(options.config)
    return from_dict({**_SIMCLR, "seed": options.seed})
