"""Reports of run directories."""

import json
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


def _read(run: Path) -> dict[str, Any]:
    path = run / "report.json"
    try:
        # Nothing that could lead elsewhere, or never end.
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise ReportError(f"{str(path)!r} is a link, or no file")
        report = json.loads(path.read_text())
    except OSError as error:
        raise ReportError(
            f"no report in {str(run)!r} ({error.strerror}): `jaxcl evaluate {run}` "
            "writes one when the run has a checkpoint"
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ReportError(f"{str(path)!r} is no report: {error}") from error
    if not isinstance(report, dict):
        raise ReportError(f"{str(path)!r} is no report, but a {type(report).__name__}")
    return report
