"""Warns when training learns nothing, and suggests what to try."""

from collections import deque
from collections.abc import Callable, Mapping

_LINES = 10
_NEAR = 0.005
_FLAT_RANK = 1.1
_FLAT_VARIANCE = 1e-6


class CollapseWatch:
    """Checks the logged metrics, and reports each kind of collapse once.

    Args:
        uninformed: The loss when all similarities are equal, such as ln(2N − 1) for
            NT-Xent with N samples; None if unknown.
        say: Called with each note.
        after: The first step to check, usually the end of the warm-up.

    Example:
        >>> watch = CollapseWatch(2.0, lambda note: print(note[:35]), after=0)
        >>> same = {"loss": 2.001, "rank": 7.0, "negative_variance": 0.1}
        >>> for step in range(10):
        ...     watch(step, same)
        note: since step 0 the loss is 2.00
    """

    def __init__(
        self,
        uninformed: float | None,
        say: Callable[[str], None],
        *,
        after: int = 0,
    ):
        self._uninformed, self._say, self._after = uninformed, say, after
        self._lines: deque[tuple[int, Mapping[str, float]]] = deque(maxlen=_LINES)
        self._said: set[str] = set()

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Checks the metrics of one logged step."""
        if step < self._after:
            return
        self._lines.append((step, values))
        if len(self._lines) < _LINES:
            return
        since = self._lines[0][0]
        for kind, holds, text in (
            ("uninformed", self._is_uninformed, self._uninformed_note),
            ("collapsed", _is_flat, _collapsed_note),
        ):
            if kind not in self._said and all(holds(line) for _, line in self._lines):
                self._said.add(kind)
                self._say(text(since, values))

    def _is_uninformed(self, values: Mapping[str, float]) -> bool:
        if self._uninformed is None:
            return False
        loss = values.get("contrastive_loss", values["loss"])
        return abs(loss - self._uninformed) <= _NEAR * abs(self._uninformed)

    def _uninformed_note(self, since: int, values: Mapping[str, float]) -> str:
        loss = values.get("contrastive_loss", values["loss"])
        return (
            f"note: since step {since} the loss is {loss:.4g}, as for a model that "
            "cannot tell one image from another. The views may have nothing in common "
            "(weaken the augmentation), the temperature may be too high, or the "
            "learning rate too high or too low. Inspect the views with `jaxcl data "
            "show CONFIG`; try a lower objective.temperature, or a third of "
            "optimizer.learning_rate"
        )


def _is_flat(values: Mapping[str, float]) -> bool:
    rank = values.get("rank")
    variance = values.get("negative_variance")
    flat = rank is not None and rank < _FLAT_RANK
    return flat or (variance is not None and variance < _FLAT_VARIANCE)


def _collapsed_note(since: int, values: Mapping[str, float]) -> str:
    return (
        f"note: since step {since} all projections point in one direction (rank "
        f"{values.get('rank', 1.0):.2f}, variance of the negative similarities "
        f"{values.get('negative_variance', 0.0):.1g}): the encoder has collapsed. Try "
        "a lower optimizer.learning_rate, a longer optimizer.warmup_steps, BatchNorm "
        "in the head (model.head_norm), or an objective with negatives"
    )
