"""Reports of run directories."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class ReportError(ValueError):
    """A report that is not there, or is none."""


def read_reports(runs: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The `report.json` of every run directory.

    Args:
        runs: Directories of finished runs.

    Returns:
        The reports. A `ReportError` names the directory that has none.
    """
    return [_read(Path(run)) for run in runs]


def read_looks(runs: Sequence[str | Path]) -> list[dict[str, Any] | None]:
    """The `looks.json` of every run directory; None where it has none.

    Runs of older versions have none. A `ReportError` names what is no such file.
    """
    files = [Path(run) / "looks.json" for run in runs]
    return [_read_json(file) if os.path.lexists(file) else None for file in files]


def _read(run: Path) -> dict[str, Any]:
    try:
        return _read_json(run / "report.json")
    except OSError as error:
        raise ReportError(
            f"no report in {str(run)!r} ({error.strerror}): `jaxcl evaluate {run}` "
            "writes one when the run has a checkpoint"
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        # Nothing that could lead elsewhere, or never end.
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise ReportError(f"{str(path)!r} is a link, or no file")
        report = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ReportError(f"{str(path)!r} is no report: {error}") from error
    if not isinstance(report, dict):
        raise ReportError(f"{str(path)!r} is no report, but a {type(report).__name__}")
    return report
