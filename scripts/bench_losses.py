"""The long form of `jaxcl bench losses`: all that docs/benchmarks says, in one command.

python scripts/bench_losses.py                 # more than 20 minutes
python scripts/bench_losses.py --out /tmp/b --rows 1024 4096

One and two cores, accuracy, the large cases and the largest call. Needs `.[bench]` for
the other libraries, and a quiet machine for numbers that mean something.
"""

import argparse
from pathlib import Path

from jaxcl.labs.benchmarks import LossesBenchmark, show_benchmark

ROWS = (1024, 2048, 4096, 16_384)
OUT = Path(__file__).parents[1] / "docs" / "benchmarks"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--large-rows", type=int, default=LossesBenchmark.large_rows)
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    benchmark = LossesBenchmark(
        rows=tuple(arguments.rows),
        threads=tuple(arguments.threads),
        accuracy=True,
        large=True,
        large_rows=arguments.large_rows,
        seed=arguments.seed,
        out=arguments.out,
    )
    return 0 if show_benchmark(benchmark) else 1


if __name__ == "__main__":
    raise SystemExit(main())
