"""All that was measured in a study, as one table."""

from typing import Any

import pandas as pd

from jaxcl.config import StudyConfig
from jaxcl.labs.studies._files import StudyDirectory, StudyError, read_result
from jaxcl.labs.studies._plan import Cell, plan_study

COLUMNS = [*Cell._fields, "seed", "metric", "split", "labels", "value"]


def collect(config: StudyConfig, directory: StudyDirectory) -> pd.DataFrame:
    """One row for every number of every finished run, with its cell and seed."""
    rows: list[dict[str, Any]] = []
    for cell in plan_study(config):
        for seed in range(config.seeds):
            path = directory.result(cell, seed)
            if not path.exists():
                continue
            result = read_result(path)
            here = {**cell._asdict(), "seed": seed}
            rows += [{**here, **value} for value in result["values"]]
            for name in ("train", "measure", "total"):
                seconds = result["seconds"][name]
                # A run that compiled says nothing of how long its kind takes.
                if name != "train" or not result["seconds"]["compiled"]:
                    rows.append(
                        {
                            **here,
                            "metric": f"seconds_{name}",
                            "split": "",
                            "labels": 0,
                            "value": seconds,
                        }
                    )
    if not rows:
        raise StudyError(f"no run of {str(directory.path)!r} is finished yet")
    return pd.DataFrame(rows, columns=COLUMNS)


def collect_histograms(
    config: StudyConfig, directory: StudyDirectory
) -> dict[Cell, dict[str, Any]]:
    """The histograms of cosines of the first finished seed of every cell."""
    found = {}
    for cell in plan_study(config):
        for seed in range(config.seeds):
            path = directory.result(cell, seed)
            if path.exists():
                found[cell] = read_result(path)["histograms"]
                break
    return found
