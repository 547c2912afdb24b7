"""Writes the results: numbers, tables and a picture."""

from pathlib import Path

from jaxcl.labs.benchmarks._figure import draw_results
from jaxcl.labs.benchmarks._records import Results
from jaxcl.labs.benchmarks._tables import render_markdown, write_page


def write_results(results: Results, directory: Path) -> list[Path]:
    """losses.json, losses.md and losses.png."""
    paths = write_page(results, render_markdown(results), directory, "losses")
    figure = directory / "losses.png"
    draw_results(results, figure)
    return [*paths, figure]
