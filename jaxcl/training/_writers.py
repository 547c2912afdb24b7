"""Lines of metrics, written while a run goes."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

_LOG = logging.getLogger(__name__)
_WATCHED = ("loss", "gradient_norm")


class NonFiniteError(ArithmeticError):
    """A number that must be finite became NaN or infinite.

    Attributes:
        step: The step it happened in; 0 when it was no step.
        values: The metrics of that step.
        bad_leaves: Positions of the leaves of the gradient that are not finite.
    """

    def __init__(
        self,
        message: str,
        step: int = 0,
        values: Mapping[str, float] | None = None,
        bad_leaves: tuple[int, ...] = (),
    ):
        super().__init__(message)
        self.step, self.values, self.bad_leaves = step, dict(values or {}), bad_leaves


@runtime_checkable
class Sink(Protocol):
    """Where the numbers of a step go."""

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        """Takes the numbers of a step; a failure to keep them is not the run's."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class JsonLines:
    """One JSON object a line. Numbers that are not finite are null.

    The file depends on seed and config alone, not on the clock or on interruptions:
    lines behind the step a run continues from are removed when it is opened.

    Args:
        path: A JSONL file.
        step: The step the run continues from.
    """

    def __init__(self, path: Path, step: int = 0):
        self._path, self._failed = path, False
        if path.exists():
            kept = [line for line in read_lines(path) if line["step"] <= step]
            write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        """Appends a line; a disk that does not take it is named once."""
        finite = {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in values.items()
        }
        text = json.dumps({"step": step, **finite}) + "\n"
        try:
            # Somebody may have removed the directory of a run that goes on.
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(text)
        except OSError as error:
            if not self._failed:
                _LOG.warning("metrics are not written: %s", error)
            self._failed = True

    def close(self) -> None:
        """Nothing is open between two lines."""


class MetricsLog:
    """Collects the metrics of steps, waits for the devices, and hands some of them on.

    Args:
        sinks: Where they go.
        step: The step the run continues from.
        every: Steps between lines.
        in_flight: Steps the host may be ahead of the devices.
        rate: The learning rate by step, a line's own number.
        on_line: Called with the numbers of every line.
        on_skipped: Called with what would have ended the run, for each step that left
            the parameters as they were.

    Attributes:
        step: The last step whose result is known.
        loss: Its loss.
        skipped: Steps so far that left the parameters as they were.
    """

    def __init__(
        self,
        *sinks: Sink,
        step: int = 0,
        every: int = 1,
        in_flight: int = 1,
        rate: Callable[[int], float] | None = None,
        on_line: Callable[[int, Mapping[str, float]], None] | None = None,
        on_skipped: Callable[[NonFiniteError], None] | None = None,
    ):
        self._sinks, self._every, self._in_flight = sinks, every, in_flight
        self._rate, self._on_line, self._on_skipped = rate, on_line, on_skipped
        self._pending: list[tuple[int, int, Mapping[str, jax.Array]]] = []
        self.step, self.loss, self.skipped = step, math.nan, 0

    def add(self, step: int, metrics: Mapping[str, jax.Array], steps: int = 1) -> None:
        """Takes the metrics of a call; waits for the devices when too far ahead.

        Args:
            step: The last step of the call.
            metrics: Of it; with several steps, the step is their first axis.
            steps: How many steps the call took.
        """
        self._pending.append((step, steps, metrics))
        if sum(steps for _, steps, _ in self._pending) >= self._in_flight:
            self.wait()

    def wait(self) -> None:
        """Waits for every step so far; a `NonFiniteError` names the first bad one."""
        pending, self._pending = self._pending, []
        for last, steps, metrics in pending:
            values = {name: np.asarray(value) for name, value in metrics.items()}
            for i in range(steps):
                one = values if steps == 1 else {n: v[i] for n, v in values.items()}
                self._take(last - steps + 1 + i, one)

    def _take(self, step: int, values: Mapping[str, Any]) -> None:
        numbers = {n: float(v) for n, v in values.items() if np.ndim(v) == 0}
        fault = _find_fault(step, numbers, values.get("finite_leaves"))
        if fault is not None:
            if not numbers.get("skipped"):
                raise fault
            self.skipped += 1
            if self._on_skipped is not None:
                self._on_skipped(fault)
        self.step, self.loss = step, numbers["loss"]
        if step % self._every == 0:
            if self._rate is not None:
                numbers["learning_rate"] = self._rate(step - 1)
            self.write(step, numbers)
            if self._on_line is not None:
                self._on_line(step, numbers)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Hands numbers to every sink."""
        for sink in self._sinks:
            sink.write(step, values)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: object) -> None:
        for sink in self._sinks:
            sink.close()


def _find_fault(
    step: int, numbers: Mapping[str, float], finite_leaves: np.ndarray | None
) -> NonFiniteError | None:
    for name in _WATCHED:
        if not math.isfinite(numbers[name]):
            finite = np.ones(0) if finite_leaves is None else finite_leaves
            bad = tuple(np.flatnonzero(~finite.astype(bool)).tolist())
            text = f"`{name}` is {numbers[name]} at step {step}"
            return NonFiniteError(text, step, numbers, bad)
    return None


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Adds a JSON object to a file of lines."""
    with path.open("a") as file:
        file.write(json.dumps(values) + "\n")


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
