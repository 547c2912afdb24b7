"""What `jaxcl bench data` can be asked, and the jobs that answer it."""

import dataclasses
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
# The views of every contender, as far as each of them can make them.
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
    """Data sets to read, as stored, or resized: pacs@224; jpeg: pictures made for each
    of the sizes."""
    paths: tuple[PathName, ...] = ("jax", "tf_data", "torchvision")
    """What to compare, as far as it is installed."""
    quick: bool = False
    """Under half a minute: 32 pixels, short runs, one data set, no torchvision."""

    def check(self) -> None:
        """Raises `ConfigError` for what cannot be measured."""
        super().check()
        if not self.sizes or min(self.sizes) < 8:
            raise ConfigError(f"`sizes` must be at least 8 pixels, got {self.sizes}")
        for source in self.data:
            pixels = source.partition("@")[2]
            if "@" in source and not (pixels.isdecimal() and int(pixels) >= 8):
                raise ConfigError(
                    f"`data` must name pixels after an @, at least 8, got {source!r}"
                )
        if not self.paths:
            raise ConfigError("`paths` must name at least one path")

    def resolve(self) -> "DataBenchmark":
        """The same options with what `quick` stands for; what was named stays."""
        if not self.quick:
            return self
        small: dict[str, Any] = {
            "sizes": (32,),
            "data": ("colored_digits",),
            "paths": ("jax", "tf_data"),
        }
        return dataclasses.replace(
            self,
            **{name: value for name, value in small.items() if self.is_default(name)},
            rounds=min(self.rounds, 2),
            seconds=min(self.seconds, 0.05),
        )

    def plan(self, platform: str) -> Iterator[Job]:
        """Views of every size, then every data set."""
        for threads in self.threads or (None,):
            for paths in self._processes():
                for size in self.sizes:
                    yield self._job("views", "memory", size, paths, threads)
                for source in self.data:
                    for size in self.sizes if source == JPEG else (0,):
                        yield self._job("pipeline", source, size, paths, threads)

    def _processes(self) -> Iterator[tuple[PathName, ...]]:
        """Paths that share a process; see the table of contenders."""
        ours: tuple[PathName, ...] = tuple(
            path for path in self.paths if path != "torchvision"
        )
        if ours:
            yield ours
        if "torchvision" in self.paths:
            yield ("torchvision",)

    def _job(
        self,
        part: str,
        source: str,
        size: int,
        paths: tuple[PathName, ...],
        threads: int | None,
    ) -> Job:
        setting = {"source": source, "threads": threads, "batch_size": batch_of(size)}
        row = Measurement(part, ", ".join(paths), size, setting, "wall")
        row = dataclasses.replace(row, required=paths != ("torchvision",))
        return Job(f"{_JOBS}:time_{part}", row, self, (paths,))
