"""`jaxcl explore`."""

import time
from pathlib import Path
from typing import Annotated

import tyro

from jaxcl.cli._words import Arguments, Switch, parse, show


def run_explore(arguments: Arguments) -> None:
    """Writes a page on which embeddings are looked at."""

    def command(
        source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
        out: Path | None = None,
        folder: str = "",
        table: str = "",
        max: int = 5000,
        step: int | None = None,
        data_dir: str = "",
        quiet: Switch = False,
    ) -> None:
        """Writes a page on which the embeddings of images are looked at.

        The page is one file: a map of the images, with thumbnails, colors by any
        column, nearest neighbors, and selections to save.

        Args:
            source: Directory of a run, or a file that `jaxcl embed` wrote.
            out: HTML file; by default RUN/explore.html, or FILE.html.
            folder: Images to embed; by default those of the run's splits. With a file,
                the folder of its paths.
            table: Describes the images of FOLDER; by default that of the run.
            max: Images to show, drawn evenly over labels and domains.
            step: Step of an older checkpoint to use.
            data_dir: Directory of the run's data, if they have moved.
            quiet: Print errors only.
        """
        from jaxcl.experiment import explore_run

        start = time.monotonic()
        is_file = source.is_file()
        page = source.with_suffix(".html") if is_file else source / "explore.html"
        page = out or page
        count = explore_run(
            source,
            page,
            folder=folder,
            table=table,
            most=max,
            step=step,
            data_dir=data_dir,
            quiet=quiet,
        )
        if not quiet:
            size = page.stat().st_size / 1e6
            seconds = time.monotonic() - start
            show(f"{page}: {count:,} images, {size:.1f} MB, {seconds:.0f} s")

    parse(command, arguments, "jaxcl explore")
