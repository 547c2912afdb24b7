"""The options of `jaxcl bench data`, and the jobs they stand for."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from jaxcl.config import AugmentationConfig, ConfigError
from jaxcl.labs.benchmarks._children import Job
from jaxcl.labs.benchmarks._measurement import Measurement
from jaxcl.labs.benchmarks._options import Benchmark

_JOBS = "jaxcl.labs.benchmarks._data._jobs"
PathName = Literal["jax", "tf_data", "torchvision"]

JPEG = "jpeg"
VIEWS = 2
# The views that all contenders make, where their library can.
AUGMENTATION = AugmentationConfig(
    crop_scale=(0.08, 1.0), flip=0.5, jitter=0.8, grayscale=0.2
)


def batch_of(size: int) -> int:
    """Images of a batch: about as many pixels in memory for every size."""
    return 256 if size <= 64 else 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataBenchmark(Benchmark):
    """Times what makes views of images, alone and behind reading and decoding."""

    name: ClassVar[str] = "data"
    packages: ClassVar[tuple[str, ...]] = (
        "torch",
        "array_record",
        "pillow",
        "tensorflow",
        "tensorflow-cpu",
        "torchvision",
    )

    sizes: tuple[int, ...] = (32, 64, 224)
    """Height and width of the images."""
    data: tuple[str, ...] = ("colored_digits", JPEG)
    """Data sets to read, in their size or another (pacs@224); jpeg: pictures made in
    each of the sizes."""
    paths: tuple[PathName, ...] = ("jax", "tf_data", "torchvision")
    """Input paths to compare, where they are installed."""
    quick: bool = False
    """Under half a minute: 32 pixels, short runs, one data set, no torchvision."""

    def check(self) -> None:
        """Raises `ConfigError` for what cannot be measured."""
        super().check()
        if not self.sizes or min(self.sizes) < 8:
            raise ConfigError(f"`sizes` must be at least 8 pixels, got {self.sizes}")
        for source in self.data:
            _, at, pixels = source.partition("@")
            if at and not (pixels.isdecimal() and int(pixels) >= 8):
                rule = "must name pixels after an @, at least 8"
                raise ConfigError(f"`data` {rule}, got {source!r}")
        if not self.paths:
            raise ConfigError("`paths` must name at least one path")

    def resolve(self) -> "DataBenchmark":
        """These options, made small where `quick` is set and none were given."""
        if not self.quick:
            return self
        small: dict[str, Any] = {
            "sizes": (32,),
            "data": ("colored_digits",),
            "paths": ("jax", "tf_data"),
        }
        small = {name: value for name, value in small.items() if self.is_default(name)}
        small |= {"rounds": min(self.rounds, 2), "seconds": min(self.seconds, 0.05)}
        return dataclasses.replace(self, **small)

    def plan(self, platform: str) -> Iterator[Job]:
        """Views of every size, then every data set."""
        # See the table of contenders for why torchvision is apart.
        ours = tuple(path for path in self.paths if path != "torchvision")
        groups = [ours, ("torchvision",) * ("torchvision" in self.paths)]
        for threads, paths in itertools.product(
            self.threads or (None,), filter(None, groups)
        ):
            for size in self.sizes:
                yield _job("views", "memory", size, paths, threads, self)
            for source in self.data:
                for size in self.sizes if source == JPEG else (0,):
                    yield _job("pipeline", source, size, paths, threads, self)


def _job(
    part: str,
    source: str,
    size: int,
    paths: tuple[str, ...],
    threads: int | None,
    options: DataBenchmark,
) -> Job:
    setting = {"source": source, "threads": threads, "batch_size": batch_of(size)}
    required = paths != ("torchvision",)
    row = Measurement(part, ", ".join(paths), size, setting, "wall", required=required)
    return Job(f"{_JOBS}:time_{part}", row, options, (paths,))
