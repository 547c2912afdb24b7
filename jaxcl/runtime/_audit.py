"""Finds silent corruption of data: takes a step again on other devices, and compares.

Every device holds a copy of the state, and all copies must have the same bits: those of
the step, and those of its replay. So a fault is found in the step itself, and also in
any earlier update that left one copy unlike the others.
"""

from collections import defaultdict
from typing import Any

import jax

from jaxcl.runtime._clock import Clock
from jaxcl.runtime._copies import SAME, Comparison, Copies
from jaxcl.training._devices import Devices, Parallel

# As many arrays are named in the message; the report has all.
_NAMED = 3


class AuditError(RuntimeError):
    """Raised when a step and its replay differ.

    Attributes:
        step: The step that was replayed.
        report: What differs, as JSON.
    """

    def __init__(self, message: str, step: int, report: dict[str, Any]):
        super().__init__(message)
        self.step, self.report = step, report


class Audit:
    """Takes the steps of a run, and replays some of them.

    Every process of a run must take every step; all of them raise the same error.

    Args:
        parallel: The mapped step.
        devices: The devices over which it is mapped.
        clock: Receives the time of replays and comparisons as "audit".
        every: Steps between two replays; 0 = never.
        tolerance: Largest difference to accept, relative to the largest magnitude of
            each array; 0 = the bits must be the same.
    """

    def __init__(
        self,
        parallel: Parallel,
        devices: Devices,
        clock: Clock,
        *,
        every: int,
        tolerance: float = 0.0,
    ):
        self._parallel, self._clock = parallel, clock
        self._every, self._tolerance = every, tolerance
        self._copies, self._passed = Copies(devices), 0

    def step(self, step: int, state: Any, batch: Any) -> tuple[Any, Any]:
        """State and metrics of the call that ends at a step; the state is donated.

        Raises:
            AuditError: The step was replayed, and the results differ.
        """
        parallel = self._parallel
        if not self._every or step % self._every:
            return parallel.step(state, parallel.place_batch(batch))
        jax.block_until_ready(state)
        with self._clock("audit"):
            # First, because the step takes the memory of the state.
            replayed = jax.block_until_ready(parallel.replay(state, batch))
        taken = parallel.step(state, parallel.place_batch(batch))
        jax.block_until_ready(taken)
        with self._clock("audit"):
            found = self._copies.compare(_named(*taken), _named(*replayed))
            if found is not None:
                self._judge(step, found)
        self._passed = step
        return taken

    def _judge(self, step: int, found: Comparison) -> None:
        """Raises an `AuditError` if a difference is larger than the tolerance."""
        largest = zip(found.names, found.differences.max(axis=0).tolist(), strict=True)
        limit = self._tolerance or SAME
        wrong = sorted(
            ((name, value) for name, value in largest if value > limit),
            key=lambda named: -named[1],
        )
        if not wrong:
            return
        copies = defaultdict(list)
        for name, digest in zip(
            self._copies.names(("step", "replay")), found.digests, strict=True
        ):
            copies[digest].append(name)
        other = found.digests[int(found.differences.max(axis=1).argmax())]
        digests = [f"{x} ({', '.join(copies[x])})" for x in (found.digests[0], other)]
        arrays = [f"`{name}` by {value:.2g}" for name, value in wrong[:_NAMED]]
        passed = f"step {self._passed} passed" if self._passed else "none passed before"
        raise AuditError(
            f"step {step} and its replay must give the same result, got SHA-256 "
            f"{' and '.join(digests)}; arrays that differ: {len(wrong)} of "
            f"{len(found.names)}, {', '.join(arrays)} of its largest magnitude; of "
            f"the audits of this session {passed}",
            step,
            {
                "copies": dict(copies),
                "differences": {name: f"{value:.6g}" for name, value in wrong},
                "tolerance": self._tolerance,
                "passed": self._passed,
            },
        )


def _named(state: Any, metrics: Any) -> dict[str, Any]:
    return {"state": state, "metrics": metrics}
