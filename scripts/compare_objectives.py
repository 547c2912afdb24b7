"""Trains the quickstart with three objectives and several seeds; prints a table.

python scripts/compare_objectives.py --out docs/objectives.json --seeds 0 1 2
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import jaxcl
from jaxcl.config import ObjectiveConfig, PenaltiesConfig, TrainConfig, read_toml

CONFIG = Path(__file__).parents[1] / "configs" / "quickstart.toml"
OBJECTIVES = {
    "NT-Xent": ObjectiveConfig("nt_xent"),
    "NT-Xent + 30 · negative variance": ObjectiveConfig(
        "nt_xent", penalties=PenaltiesConfig(negative_variance=30.0)
    ),
    "within-domain NCE": ObjectiveConfig("within_domain"),
}


def measure(config: TrainConfig) -> dict[str, Any]:
    """The numbers of one run."""
    with tempfile.TemporaryDirectory() as workdir:
        report = jaxcl.train(config, workdir, quiet=True)
    after = report["evaluation"]["after"]
    accuracies = {
        f"{split}_{method}": found[method]["accuracy"]
        for split, found in after["splits"].items()
        for method in ("linear_probe", "knn")
    }
    worst = after["splits"]["ood_test"]["linear_probe"]["worst_domain"]["accuracy"]
    return {
        **accuracies,
        "ood_test_linear_probe_worst": worst,
        "negative_variance": after["similarity_statistics"]["negative_variance"],
        "positive_mean": after["similarity_statistics"]["positive_mean"],
        "record": {name: report[name] for name in ("versions", "devices")}
        | {"commit": report["run"]["commit"]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    base = read_toml(CONFIG)
    runs = {
        name: [
            measure(dataclasses.replace(base, seed=seed, objective=objective))
            for seed in arguments.seeds
        ]
        for name, objective in OBJECTIVES.items()
    }
    arguments.out.write_text(json.dumps(runs, indent=1) + "\n")
    columns = ["ood_test_linear_probe", "id_test_linear_probe", "negative_variance"]
    print("| objective | " + " | ".join(columns) + " |")
    for name, found in runs.items():
        cells = []
        for column in columns:
            values = [run[column] for run in found]
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            cells.append(f"{statistics.mean(values):.4f} ± {spread:.4f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
