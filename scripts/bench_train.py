"""The long form of `jaxcl bench train`: a page for each version of JAX.

python scripts/bench_train.py                # about an hour on two cores
python scripts/bench_train.py --rounds 3 --seconds 3 --out /tmp/b

ResNet-18 on images of CIFAR's size at two batch sizes and in bfloat16, PyTorch with
lightly on the same, and a small convnet, whose step is short enough to show what else a
run pays for: one step a dispatch and ten, images read and images kept on the device.
The peer needs `.[bench]`; numbers that mean something need a quiet machine. --dry
shows in a few minutes that all of it runs.
"""

import argparse
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxcl.labs.benchmarks import TrainBenchmark, show_benchmark

OUT = Path(__file__).parents[1] / "docs" / "benchmarks" / "train"


def plan(shared: dict[str, Any], *, dry: bool) -> Iterator[TrainBenchmark]:
    small, large = (8, 16) if dry else (64, 128)
    if dry:
        shared |= {"image_size": 8, "rounds": 1, "seconds": 0.1}
    yield TrainBenchmark(encoder=("resnet18",), batch_size=(small, large), **shared)
    alone = {**shared, "peers": False}
    yield TrainBenchmark(
        encoder=("resnet18",), batch_size=(small,), dtype=("bfloat16",), **alone
    )
    # Of short steps many, since the loop is what they are taken for.
    steps = {"steps": 10 if dry else 50}
    convnet = {"encoder": ("convnet",), "batch_size": (small,), **alone, **steps}
    yield TrainBenchmark(**convnet, steps_per_dispatch=(1, 10))
    yield TrainBenchmark(**convnet, steps_per_dispatch=(1, 10), keep_on_device=True)


def main() -> int:
    version = importlib.metadata.version("jax")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT / f"jax-{version}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, nargs="+", default=())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--dry", action="store_true")
    shared = vars(parser.parse_args())
    shared["threads"] = tuple(shared["threads"])
    dry = shared.pop("dry")
    return 0 if show_benchmark(*plan(shared, dry=dry)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
