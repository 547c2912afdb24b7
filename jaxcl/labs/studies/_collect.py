"""All measurements of a study as one table."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from jaxcl.config import StudyConfig
from jaxcl.labs.studies._directory import StudyDirectory, StudyError, read_result
from jaxcl.labs.studies._plan import Cell, plan_study

COLUMNS = [*Cell._fields, "seed", "metric", "split", "labels", "value"]


def collect(config: StudyConfig, directory: StudyDirectory) -> pd.DataFrame:
    """One row per number of every finished run, with its cell and seed."""
    check_one_origin(config, directory)
    rows: list[dict[str, Any]] = []
    for cell, seed, result in _results(config, directory):
        here = {**cell._asdict(), "seed": seed}
        rows += [{**here, **value} for value in result["values"]]
        for name in ("train", "measure", "total"):
            # Training times that include compilation are left out.
            if name != "train" or not result["seconds"]["compiled"]:
                value = result["seconds"][name]
                where = {"metric": f"seconds_{name}", "split": "", "labels": 0}
                rows.append({**here, **where, "value": value})
    if not rows:
        raise StudyError(f"no run of {str(directory.path)!r} is finished yet")
    return pd.DataFrame(rows, columns=COLUMNS)


def check_one_origin(config: StudyConfig, directory: StudyDirectory) -> None:
    """Raises a `StudyError` if runs had other data, or other settings of JAX."""
    first: dict[tuple[str, str], tuple[Any, str]] = {}
    for cell, seed, result in _results(config, directory):
        here = f"{cell.path} seed {seed}"
        for what, shift in (("data", cell.shift), ("settings", "")):
            if what not in result:
                continue  # it was made before this was recorded
            value, there = first.setdefault((what, shift), (result[what], here))
            if value != result[what]:
                raise StudyError(
                    f"all runs of a study must have the same {what}, but those of "
                    f"{there} and {here} differ; remove the results of one kind in "
                    f"{str(directory.runs)!r}, and the study makes them again"
                )


def collect_histograms(
    config: StudyConfig, directory: StudyDirectory
) -> dict[Cell, dict[str, Any]]:
    """Histograms of cosines of the first finished seed of every cell."""
    found: dict[Cell, dict[str, Any]] = {}
    for cell, _, result in _results(config, directory):
        found.setdefault(cell, result["histograms"])
    return found


def _results(
    config: StudyConfig, directory: StudyDirectory
) -> Iterator[tuple[Cell, int, dict[str, Any]]]:
    """Every finished run."""
    for cell in plan_study(config):
        for seed in range(config.seeds):
            path = directory.result(cell, seed)
            if path.exists():
                yield cell, seed, read_result(path)
