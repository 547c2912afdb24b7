"""The long form of `jaxcl bench aot`: all that docs/benchmarks says, in one command.

python scripts/bench_aot.py                    # half an hour, the steps half of it
python scripts/bench_aot.py --steps            # without steps

All losses at 65,536 rows; then NT-Xent at other sizes, widths and generations, and the
train steps. Needs `pip install 'jaxcl[aot]'`. Nothing is run: any machine will do.
"""

import argparse
import dataclasses
from pathlib import Path

from jaxcl.labs.benchmarks import AotBenchmark, show_benchmark

OUT = Path(__file__).parents[1] / "docs" / "benchmarks"
STEPS = ("resnet50", "vit_s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT / "aot")
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=STEPS)
    arguments = parser.parse_args()
    all_losses = AotBenchmark(out=arguments.out)
    one = AotBenchmark(losses=("nt_xent",), dtype=("float32",))
    vary = dataclasses.replace
    others = [
        vary(one, rows=(4096, 16_384, 1_048_576)),
        vary(one, dim=(512,), dtype=("float32", "bfloat16")),
        vary(one, generation=("v4", "v5p", "v6e")),
    ]
    if arguments.steps:
        steps = tuple(arguments.steps)
        others.append(AotBenchmark(losses=(), steps=steps, chips=(256,)))
    return 0 if show_benchmark(all_losses, *others) else 1


if __name__ == "__main__":
    raise SystemExit(main())
