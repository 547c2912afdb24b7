"""What `jaxcl bench data` can be asked."""

import dataclasses
from pathlib import Path
from typing import Literal

from jaxcl.config import AugmentationConfig, ConfigError

PathName = Literal["jax", "tf_data", "torchvision"]

JPEG = "jpeg"
VIEWS = 2
# The views of every contender, as far as each of them can make them.
AUGMENTATION = AugmentationConfig(
    crop_scale=(0.08, 1.0), flip=0.5, jitter=0.8, grayscale=0.2
)


@dataclasses.dataclass(frozen=True)
class DataBenchmark:
    """Times what makes views of images, alone and behind reading and decoding."""

    sizes: tuple[int, ...] = (32, 64, 224)
    """Height and width of the images."""
    threads: tuple[int, ...] = ()
    """Cores to use, one measurement each; all when left out."""
    data: tuple[str, ...] = ("colored_digits", JPEG)
    """Data sets to read, as stored, or resized: pacs@224; jpeg: pictures made for each
    of the sizes."""
    paths: tuple[PathName, ...] = ("jax", "tf_data", "torchvision")
    """What to compare, as far as it is installed."""
    seconds: float = 1.0
    """Of a measured run of each implementation."""
    rounds: int = 5
    """Measured runs of each implementation, in turn; medians are shown."""
    quick: bool = False
    """Under half a minute: 32 pixels, short runs, one data set, no torchvision."""
    seed: int = 0
    """Of the images, the order and the views."""
    out: Path | None = None
    """Directory for data.json and data.md."""
    json: bool = False
    """Print the results as JSON on standard output."""
    quiet: bool = False
    """Print errors only."""

    def check(self) -> None:
        """Raises `ConfigError` for what cannot be measured."""
        if not self.sizes or min(self.sizes) < 8:
            raise ConfigError(f"`sizes` must be at least 8 pixels, got {self.sizes}")
        if any(threads < 1 for threads in self.threads):
            raise ConfigError(f"`threads` must be at least 1, got {self.threads}")
        for source in self.data:
            pixels = source.partition("@")[2]
            if "@" in source and not (pixels.isdecimal() and int(pixels) >= 8):
                raise ConfigError(
                    f"`data` must name pixels after an @, at least 8, got {source!r}"
                )
        if not self.paths:
            raise ConfigError("`paths` must name at least one path")
        if self.rounds < 1:
            raise ConfigError(f"`rounds` must be at least 1, got {self.rounds}")
        if not self.seconds > 0:
            raise ConfigError(f"`seconds` must be positive, got {self.seconds}")
        if self.seed < 0:
            raise ConfigError(f"`seed` must be at least 0, got {self.seed}")

    def resolve(self) -> "DataBenchmark":
        """The same with what `quick` stands for; what was named stays."""
        if not self.quick:
            return self
        sizes = self.sizes if self.sizes != DataBenchmark.sizes else (32,)
        data = self.data if self.data != DataBenchmark.data else ("colored_digits",)
        paths = self.paths if self.paths != DataBenchmark.paths else ("jax", "tf_data")
        return dataclasses.replace(
            self,
            sizes=sizes,
            data=data,
            paths=paths,
            rounds=min(self.rounds, 2),
            seconds=min(self.seconds, 0.05),
        )


def batch_of(size: int) -> int:
    """Images of a batch: views of about as many pixels, as memory has it."""
    return 256 if size <= 64 else 64
