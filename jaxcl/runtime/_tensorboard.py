"""Writes the metrics of a run for TensorBoard, with tensorboardX."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path

from jaxcl.config import ConfigError

_LOG = logging.getLogger(__name__)


class TensorBoard:
    """Writes event files into a directory.

    Args:
        directory: Created if missing.
        step: The step at which the run resumes; older events after it are hidden.
    """

    def __init__(self, directory: Path, step: int = 0):
        try:
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError as error:
            raise ConfigError(
                "`tensorboard` needs tensorboardX: pip install 'jaxcl[tb]'"
            ) from error
        purge = step + 1 if step else None
        self._failed, self._writer = False, None
        try:
            self._writer = SummaryWriter(
                str(directory), purge_step=purge, flush_secs=10
            )
        except OSError as error:
            self._warn(error)

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        """Adds a point to every curve; warns once if that fails."""
        if self._writer is None:
            return
        try:
            for name, value in values.items():
                if value is not None and math.isfinite(value):
                    self._writer.add_scalar(name, value, step)
        except Exception as error:  # a failing log must not stop the run
            self._warn(error)

    def close(self) -> None:
        """Writes all remaining events, and ends the writing thread."""
        try:
            if self._writer is not None:
                self._writer.close()
        except Exception as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if not self._failed:
            _LOG.warning("TensorBoard events are not written: %s", error)
        self._failed = True
