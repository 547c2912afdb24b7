"""Runs every method for the same short time, and writes docs/methods.md.

python scripts/methods.py --runs DIR              # runs what is missing, then the page
python scripts/methods.py --runs DIR --only byol  # some methods
python scripts/methods.py --runs DIR --page       # the page alone
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import tyro

import jaxcl
from jaxcl.config import OBJECTIVES, TrainConfig, as_dict, from_dict, read_toml

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "methods.toml"
PAGE = ROOT / "docs" / "methods.md"
SEEDS = (0, 1, 2)

# Settings that a method needs or its paper uses, beside the common ones.
_DEEP_HEAD = {"model.head_layers": 3}
_ANGLES = {"data.name": "rotated_mnist/continuous", "objective.bandwidth": 1.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "sigmoid": {"objective.learn_temperature": True},
    "moco_v2": {"objective.queue_size": 2048, "objective.momentum": 0.95},
    "moco_v3": {**_DEEP_HEAD, "objective.momentum": 0.95},
    "byol": {"objective.momentum": 0.95, "objective.momentum_schedule": "cosine"},
    "simsiam": {**_DEEP_HEAD, "model.head_last_norm": True},
    "vicreg": _DEEP_HEAD,
    "barlow_twins": _DEEP_HEAD,
    "bias_contrastive": {"objective.cross_entropy": 0.01},
    "y_aware": {**_ANGLES, "objective.metadata": ["angle"]},
    "kernel_nce": {**_ANGLES, "objective.metadata": ["angle"]},
    "rank_n_contrast": {"objective.metadata": ["label"], "objective.temperature": 2.0},
    "hierarchical_supcon": {"objective.metadata": ["label", "domain"]},
}
# Rows for methods that add something to another loss.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "nt_xent + variance penalty": (
        "nt_xent",
        {"objective.penalties.negative_variance": 30.0},
    ),
    "supcon + GroupDRO": ("supcon", {"objective.group_dro": 0.01}),
    "supcon + CORAL": ("supcon", {"objective.penalties.coral": 1.0}),
    "supcon + V-REx": ("supcon", {"objective.penalties.v_rex": 1.0}),
    "supcon + IRM": ("supcon", {"objective.penalties.irm": 0.1}),
    "supcon + FairKL": ("supcon", {"objective.penalties.fair_kl": 0.1}),
    "cross_entropy, balanced": ("cross_entropy", {"objective.balance": True}),
}
# Needs the features of a network that was trained to predict the bias.
LEFT_OUT = ("soft_bias_contrastive",)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Runs every method for the same short time."""

    runs: Path
    """Directory of the runs; finished runs are not repeated."""
    only: tuple[str, ...] = ()
    """Rows of the table to run; empty = all."""
    seeds: tuple[int, ...] = SEEDS
    """Seeds of the runs."""
    page: bool = False
    """Write the page from finished runs, without running any."""


def rows() -> dict[str, tuple[str, dict[str, Any]]]:
    """Name of each row, its objective, and what differs from the common setting."""
    names = [name for name in OBJECTIVES if name not in LEFT_OUT]
    return {name: (name, SETTINGS.get(name, {})) for name in names} | VARIANTS


def config_of(name: str, seed: int) -> TrainConfig:
    """The config of a row and a seed."""
    objective, changes = rows()[name]
    tree = as_dict(read_toml(CONFIG))
    wanted = {**changes, "objective.name": objective, "seed": seed}
    if "temperature" not in OBJECTIVES[objective].knobs:
        del tree["objective"]["temperature"]
    for field, value in wanted.items():
        *path, last = field.split(".")
        place = tree
        for part in path:
            place = place[part]
        place[last] = value
    config = from_dict(tree)
    config.check()
    return config


def directory_of(runs: Path, name: str, seed: int) -> Path:
    """The directory of a run."""
    return (
        runs / f"{name.replace(' ', '_').replace('+', 'and').replace(',', '')}-{seed}"
    )


def run_all(arguments: Arguments) -> None:
    """Runs what has not been run."""
    for seed in arguments.seeds:
        for name in arguments.only or rows():
            workdir = directory_of(arguments.runs, name, seed)
            if not (workdir / "report.json").exists():
                jaxcl.train(config_of(name, seed), workdir, quiet=True)
            print(name, seed, *_accuracies(workdir), flush=True)


def _accuracies(workdir: Path) -> list[float]:
    """Accuracy of kNN and linear probe before and after training, in percent."""
    evaluation = json.loads((workdir / "report.json").read_text())["evaluation"]
    return [
        100 * evaluation[when]["splits"]["test"][probe]["accuracy"]
        for probe in ("knn", "linear_probe")
        for when in ("before", "after")
    ]


def write_page(arguments: Arguments) -> None:
    """Writes the table of finished runs."""
    lines, origin = [], ""
    for name in rows():
        found = [
            directory_of(arguments.runs, name, seed) / "report.json"
            for seed in arguments.seeds
        ]
        found = [path for path in found if path.exists()]
        if not found:
            continue
        numbers = np.array([_accuracies(path.parent) for path in found])
        method, fields = rows()[name]
        ordered = "label" in fields.get("objective.metadata", ())
        labels = "yes" if "label" in OBJECTIVES[method].columns or ordered else ""
        cells = [_spread(numbers[:, i]) for i in (1, 0, 3, 2)]
        run = json.loads(found[0].read_text())["run"]
        origin = f"commit `{run['commit']}`"
        lines.append(f"| {name} | {labels} | {' | '.join(cells)} | {len(found)} |")
    PAGE.write_text(HEAD.format(origin=origin) + "\n".join(lines) + "\n")
    print(PAGE)


def _spread(values: np.ndarray) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}"


HEAD = """# Methods

Does every method learn? Each one trains a small ConvNet for the same 200 steps of 128
images of rotated MNIST (six angles; y_aware and kernel_nce: any angle) in two views
(crop, brightness and contrast) with AdamW. The setting and the command are in
[`configs/methods.toml`](../configs/methods.toml), and what differs for a method is in
[`scripts/methods.py`](../scripts/methods.py).

The table shows the accuracy in percent on 2,000 test images, of classifiers fitted on
the frozen embeddings of 2,000 training images; mean ± standard deviation over seeds;
chance is 10. *Random* columns use the embeddings before training. kNN is the majority
of 20 neighbors, as it was at this commit; since then near ones have more weight.
Two CPU cores, jax 0.10.2, Python 3.11.7, {origin}.

This is not a ranking. Nothing was tuned, and methods that need long training or large
batches get neither. Methods with labels are trained on all 60,000.

| method | labels | kNN | kNN, random | linear | linear, random | seeds |
|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Runs, then writes."""
    arguments = tyro.cli(Arguments)
    cache = arguments.runs / "compiled"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    if not arguments.page:
        run_all(arguments)
    write_page(arguments)


if __name__ == "__main__":
    main()
