"""Writes the metrics of a run while it trains."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

_WATCHED = ("loss", "gradient_norm")


class NonFiniteError(ArithmeticError):
    """Raised when a value that must be finite is NaN or infinite.

    Attributes:
        step: The step in which it occurred; 0 if outside of a step.
        values: The metrics of that step.
        bad_leaves: Indices of the gradient leaves that are not finite.
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
    """Receives metrics."""

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        """Writes the metrics of a step; a failure to write must not stop the run."""
        ...

    def close(self) -> None:
        """Called after the last write."""
        ...


class MetricsLog:
    """Collects the metrics of all steps, and writes those of every few steps.

    Args:
        sinks: The sinks that receive them.
        step: The step at which the run resumes.
        every: Steps between two lines.
        in_flight: Steps that the host may be ahead of the devices.
        rate: The learning rate of a step, which is added to each line.
        on_line: Called with the metrics of every line.
        on_skipped: Called with the error of each skipped step, which left the
            parameters unchanged.

    Attributes:
        step: The last step whose result is known.
        loss: The loss of that step.
        skipped: Number of skipped steps so far.
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
        """Adds the metrics of a call; waits for the devices if too far ahead.

        Args:
            step: The last step of the call.
            metrics: The metrics of the call; with several steps, the first axis is the
                step.
            steps: The number of steps in the call.
        """
        self._pending.append((step, steps, metrics))
        if sum(steps for _, steps, _ in self._pending) >= self._in_flight:
            self.wait()

    def wait(self) -> None:
        """Waits for all steps so far; raises `NonFiniteError` for the first bad one."""
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
        """Writes metrics to every sink."""
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
