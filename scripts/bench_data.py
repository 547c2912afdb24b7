"""The long form of `jaxcl bench data`: all that docs/benchmarks/data.md says.

python scripts/bench_data.py                 # about half an hour
python scripts/bench_data.py --out /tmp/b --sizes 32 --data cifar10

One core and all, images of 32, 64 and 224 pixels, a data set and made pictures. Needs
`.[tf]` and torchvision for the other paths, TFDS_DATA_DIR with CIFAR-10 or another
--data, and a quiet machine for numbers that mean something. Results of each version of
JAX get a directory of their own.
"""

import argparse
import importlib.metadata
import os
from pathlib import Path

from jaxcl.labs.benchmarks import DataBenchmark, show_benchmark

OUT = Path(__file__).parents[1] / "docs" / "benchmarks" / "data"


def main() -> int:
    version = importlib.metadata.version("jax")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT / f"jax-{version}")
    parser.add_argument("--sizes", type=int, nargs="+", default=DataBenchmark.sizes)
    parser.add_argument("--data", nargs="*", default=("cifar10", "jpeg"))
    parser.add_argument("--paths", nargs="+", default=DataBenchmark.paths)
    parser.add_argument("--threads", type=int, nargs="+", default=(1, os.cpu_count()))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    benchmark = DataBenchmark(
        sizes=tuple(arguments.sizes),
        threads=tuple(arguments.threads),
        data=tuple(arguments.data),
        paths=tuple(arguments.paths),
        seconds=arguments.seconds,
        rounds=arguments.rounds,
        seed=arguments.seed,
        out=arguments.out,
    )
    return 0 if show_benchmark(benchmark) else 1


if __name__ == "__main__":
    raise SystemExit(main())
