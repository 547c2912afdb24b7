"""The directory of a study: its config, its runs and its results."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

from jaxcl.config import ConfigError, StudyConfig, as_dict, study_from_dict
from jaxcl.files import read_regular, write_whole
from jaxcl.labs.studies._plan import Cell


class StudyError(ValueError):
    """A study that cannot run or be judged; the message says what to do."""


class StudyDirectory:
    """The files of a study.

    Args:
        path: The directory; created when missing.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser().absolute()
        self.config = self.path / "study.json"
        self.runs = self.path / "runs"
        self.logs = self.path / "logs"
        self.raw = self.path / "raw.parquet"
        self.results = self.path / "results.json"
        self.report = self.path / "report.html"

    def claim(self, config: StudyConfig) -> None:
        """Reserves the directory for this study, or checks that it belongs to it.

        Only the number of seeds may change. Otherwise runs of two studies would be
        compared.
        """
        now = _plain(config)
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(
                f"{str(self.path)!r} cannot be written: {error.strerror}"
            ) from error
        # All jobs of a cluster may start at once.
        with FileLock(self.path / ".lock"):
            self._claim(now)

    def _claim(self, now: dict[str, Any]) -> None:
        if self.config.exists():
            stored = _read_json(self.config)
            differing = [
                name
                for name in now
                if name != "seeds" and stored.get(name) != now[name]
            ]
            if differing:
                raise StudyError(
                    f"{str(self.path)!r} holds another study: it differs in "
                    f"{', '.join(f'`{name}`' for name in differing)}; choose another "
                    "--workdir, or the same values"
                )
            now["seeds"] = max(now["seeds"], stored["seeds"])
        write_whole(self.config, json.dumps(now, indent=1))

    def read_config(self) -> StudyConfig:
        """Reads the study that the directory belongs to."""
        if not self.config.exists():
            raise StudyError(
                f"{str(self.path)!r} is no directory of a study: it has no study.json"
            )
        return study_from_dict(_read_json(self.config))

    def result(self, cell: Cell, seed: int) -> Path:
        """File of the measurements of a run; it exists once the run is finished."""
        return self.runs / cell.path / f"seed-{seed}.json"

    def failure(self, cell: Cell, seed: int) -> Path:
        """File with the error of a run that failed."""
        return self.runs / cell.path / f"seed-{seed}.failed.txt"

    def missing(self, cells: Iterable[Cell], seeds: int) -> list[tuple[Cell, int]]:
        """Lists the runs that are not finished."""
        return [
            (cell, seed)
            for cell in cells
            for seed in range(seeds)
            if not self.result(cell, seed).exists()
        ]

    def failed(self, cells: Iterable[Cell], seeds: int) -> dict[str, str]:
        """Lists the runs that failed, each with the last line of its error."""
        found = {}
        for cell, seed in self.missing(cells, seeds):
            path = self.failure(cell, seed)
            if path.exists():
                lines = path.read_text().strip().splitlines() or ["no reason known"]
                found[f"{cell.path}/seed-{seed}"] = lines[-1]
        return found


def read_result(path: Path) -> dict[str, Any]:
    """Reads the measurements of a run; a `StudyError` names a file that is damaged."""
    try:
        result = json.loads(read_regular(path))
        if not isinstance(result, dict) or "values" not in result:
            raise ValueError("it holds no measurements")
        return result
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(
            f"{str(path)!r} is no result of a run ({error}); delete it, and the same "
            "command runs it again"
        ) from error


def _plain(config: StudyConfig) -> dict[str, Any]:
    """The config as JSON data."""
    try:
        return json.loads(json.dumps(as_dict(config)))
    except TypeError as error:
        raise ConfigError(f"a field of the study is no plain value: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(path))
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(f"{str(path)!r} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise StudyError(f"{str(path)!r} must hold an object")
    return content
