"""Writes the results: numbers, tables and a picture."""

import json
from pathlib import Path

from jaxcl.benchmarks._figure import draw_results
from jaxcl.benchmarks._records import Results
from jaxcl.benchmarks._tables import render_markdown


def write_results(results: Results, directory: Path) -> list[Path]:
    """losses.json, losses.md and losses.png."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"losses.{suffix}" for suffix in ("json", "md", "png")]
    paths[0].write_text(json.dumps(results.to_json(), indent=1) + "\n")
    paths[1].write_text(render_markdown(results))
    draw_results(results, paths[2])
    return paths
