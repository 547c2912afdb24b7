"""Times `jaxcl embed` beside its own encoder on images that are in memory.

    python scripts/bench_embed.py                    10,000 images at 32 px, convnet
    python scripts/bench_embed.py --encoder resnet18 --size 224 --images 512

Prints images per second of both, and their ratio: what is lost to reading, decoding and
writing. Loading and compiling are not timed. On a CPU, decoding takes its share of the
cores. `--memory` embeds once, and prints the peak memory of the command.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from PIL import Image
from pyarrow import parquet

import jaxcl
from jaxcl.config import from_dict
from jaxcl.data import from_arrays
from jaxcl.experiment._embeddings import _digest, _embed, _schema
from jaxcl.experiment._parts import open_parts
from jaxcl.experiment._source import open_source
from jaxcl.runtime import Progress

SIZE = 256  # of a batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="convnet")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        name = make_images(options.images, options.size, place)
        run = train(options, name, place)
        if options.memory:
            measure_memory(run, name, place)
        else:
            compare(run, name, options, place)


def make_images(count: int, size: int, place: Path) -> str:
    """Stores images that PNG compresses about as much as it does photographs."""
    rng, images = np.random.default_rng(0), np.empty((count, size, size, 3), np.uint8)
    for i in range(count):
        coarse = rng.integers(0, 256, (size // 4, size // 4, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        images[i] = np.asarray(smooth) // 16 * 16 + rng.integers(0, 8, (size, size, 1))
    return from_arrays(image=images, data_dir=str(place))


def train(options: argparse.Namespace, name: str, place: Path) -> Path:
    data = {"name": name, "data_dir": str(place)}
    data |= {"train_split": "train[:64]", "test_splits": [], "label": ""}
    fields = {
        "num_steps": 1,
        "eval_every": 0,
        "data": {**data, "batch_size": 16},
        "model": {"encoder": options.encoder, "stem": "imagenet"},
        "optimizer": {"warmup_steps": 0},
        "evaluation": {"max_train": 16, "max_test": 16, "max_pairs": 8},
    }
    jaxcl.train(from_dict(fields), place / "run", quiet=True)
    return place / "run"


def compare(run: Path, name: str, options: argparse.Namespace, place: Path) -> None:
    trained = jaxcl.load(run)
    source = open_source(trained, "", "", name, str(place))
    batch = np.random.default_rng(1).integers(
        0, 256, (SIZE, *trained.image_shape), np.uint8
    )
    batches = -(-options.images // SIZE)
    jax.block_until_ready(trained.embed(batch))
    bare, whole = [], []
    for _ in range(options.repeats):
        start = time.perf_counter()
        jax.block_until_ready([trained.embed(batch) for _ in range(batches)])
        bare.append(batches * SIZE / (time.perf_counter() - start))
        start = time.perf_counter()
        out = place / "out.parquet"
        with open_parts(out, _digest(trained, source, SIZE)) as parts:
            count = _embed(trained, source, SIZE, parts, Progress(1, quiet=True))
            parts.join(out, count, _schema(trained, source))
        whole.append(options.images / (time.perf_counter() - start))
    ratios = [w / b for w, b in zip(whole, bare, strict=True)]
    print(
        f"{options.encoder} {options.size} px, {options.images:,} images: bare "
        f"{statistics.median(bare):,.0f}/s, embed {statistics.median(whole):,.0f}/s, "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    )


def measure_memory(run: Path, name: str, place: Path) -> None:
    command = ["embed", run, "--data", name, "--data-dir", place, "--quiet"]
    # Its own peak: that of a child counts the memory of its parent.
    program = (
        "import sys; from jaxcl.cli import main; main(sys.argv[1:]); "
        "print([s for s in open('/proc/self/status') if s.startswith('VmHWM')][0])"
    )
    out = place / "out.parquet"
    arguments = [sys.executable, "-c", program, *map(str, command), "--out", out]
    ran = subprocess.run(arguments, check=True, capture_output=True, text=True)
    peak = int(ran.stdout.split()[1]) / 2**10
    print(f"{parquet.read_metadata(out).num_rows:,} rows: peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
