"""Outcomes as JSON and as a page in one file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxcl.files import write_whole
from jaxcl.labs.reproduce._claim import Outcome, as_record
from jaxcl.labs.reproduce._figures import draw_figures
from jaxcl.labs.reproduce._table import cells
from jaxcl.reports import render_page
from jaxcl.runtime import describe_versions, find_command, find_commit, timestamp


def make_record(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All outcomes, and where they are from, as JSON."""
    first = jax.devices()[0]
    return {
        "command": find_command(),
        "commit": find_commit(),
        "date": timestamp(),
        "versions": describe_versions(),
        "device": {"platform": first.platform, "kind": first.device_kind},
        "claims": [as_record(outcome) for outcome in outcomes],
    }


def write_files(
    outcomes: Sequence[Outcome], record: dict[str, Any], directory: Path
) -> list[Path]:
    """``claims.json`` and ``claims.html`` of a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    data, page = directory / "claims.json", directory / "claims.html"
    write_whole(data, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    write_whole(page, _render(outcomes, record))
    return [data, page]


def _render(outcomes: Sequence[Outcome], record: dict[str, Any]) -> str:
    """The page: it needs no network, no script and no other file."""
    claims = [
        {
            **as_record(outcome),
            "rows": [(cells(check), check.verdict) for check in outcome.checks],
        }
        for outcome in outcomes
    ]
    return render_page(
        "claims",
        title="What the papers claim, and what comes out",
        summary=_summary(outcomes),
        origin=_origin(record),
        claims=claims,
        figures=draw_figures(outcomes),
    )


def _summary(outcomes: Sequence[Outcome]) -> str:
    found = [outcome.verdict for outcome in outcomes]
    judged = [verdict for verdict in found if verdict not in ("skipped", "failed")]
    parts = [
        f"{judged.count(verdict)} {verdict}"
        for verdict in ("confirmed", "refuted", "inconclusive")
        if verdict in judged
    ]
    left = len(found) - len(judged)
    rest = f"; {left} not judged" if left else ""
    return f"Of {len(found)} claims: {', '.join(parts) or 'none judged'}{rest}."


def _origin(record: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
    device = record["device"]
    said = [record["command"], f"{device['platform']}, {device['kind']}", versions]
    said.append(record["date"])
    if record["commit"]:
        said.append(f"commit {record['commit']}")
    return said
