"""One of several processes of a study: `python -m jaxcl.labs.studies._worker`."""

import logging
import sys

from rich.console import Console

from jaxcl.config import ConfigError
from jaxcl.data import DataError
from jaxcl.labs.studies._directory import StudyDirectory
from jaxcl.labs.studies._jobs import run_part, take_cores


def main(path: str, part: int, parts: int) -> None:
    """Runs a share of the study in a directory."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    take_cores(part, parts)
    try:
        run_part(StudyDirectory(path), part, parts, Console())
    except (ConfigError, DataError) as error:
        kind = "config" if isinstance(error, ConfigError) else "data"
        print(f"{kind}: {' '.join(str(error).split())}")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
