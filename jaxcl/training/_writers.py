"""Lines of metrics, written while a run goes."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax


class NonFiniteError(ArithmeticError):
    """The loss or its gradient became NaN or infinite; the run was stopped."""


class MetricsLog:
    """Collects the metrics of steps and writes some of them, one JSON object a line.

    The file depends on seed and config alone, not on the clock or on interruptions:
    lines behind the step a run continues from are removed when it is opened.

    Args:
        path: A JSONL file.
        step: The step the run continues from.
        every: Steps between lines.
        in_flight: Steps the host may be ahead of the devices.
        active: False = write nothing; another host does.

    Attributes:
        step: The last step whose result is known.
        loss: Its loss.
    """

    def __init__(
        self,
        path: Path,
        *,
        step: int = 0,
        every: int = 1,
        in_flight: int = 1,
        active: bool = True,
    ):
        self._path, self._every, self._active = path, every, active
        self._in_flight = in_flight
        self._pending: list[tuple[int, Mapping[str, jax.Array]]] = []
        self.step, self.loss = step, math.nan
        if active and path.exists():
            kept = [line for line in read_lines(path) if line["step"] <= step]
            write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))

    def add(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
        """Takes the metrics of a step; waits for the devices when too far ahead."""
        self._pending.append((step, metrics))
        if len(self._pending) >= self._in_flight:
            self.wait()

    def wait(self) -> None:
        """Waits for every step so far; a loss that is not finite ends the run."""
        pending, self._pending = self._pending, []
        for step, metrics in pending:
            values = {name: float(value) for name, value in metrics.items()}
            for name in ("loss", "gradient_norm"):
                if not math.isfinite(values[name]):
                    raise NonFiniteError(f"`{name}` is {values[name]} at step {step}")
            self.step, self.loss = step, values["loss"]
            if step % self._every == 0:
                self.write(step, values)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a line."""
        if self._active:
            with self._path.open("a") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a JSONL file; what a kill cut in half is left out."""
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def write_whole(path: Path, text: str) -> None:
    """Replaces a file; a kill leaves the old one or the new one, no half."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text)
    unfinished.replace(path)
