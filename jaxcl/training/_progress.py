"""Shows the progress of a run."""

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as RichProgress,
    TextColumn,
    TimeRemainingColumn,
)

_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Shows a bar on a terminal, a line every few seconds elsewhere, or nothing.

    Args:
        total: Number of steps of the run.
        step: The step from which it starts.
        quiet: Whether to print nothing.
        console: Where to print; standard error by default.
    """

    def __init__(
        self,
        total: int,
        *,
        step: int = 0,
        quiet: bool = False,
        console: Console | None = None,
    ):
        self.console = console or Console(stderr=True)
        self._total, self._quiet = total, quiet
        self._spoken, self._shown = time.monotonic(), step
        self._bar: RichProgress | None = None
        if not quiet and self.console.is_terminal:
            self._bar = RichProgress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("loss {task.fields[loss]}  {task.fields[speed]} images/s "),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=self.console,
            )
            self._task = self._bar.add_task(
                "", total=total, completed=step, loss="–", speed="–"
            )

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        if not self._quiet:
            self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def show(self, step: int, loss: float, images_per_second: float | None) -> None:
        """Shows the result of a step; the same step is shown only once."""
        if step == self._shown:
            return
        self._shown = step
        speed = "–" if images_per_second is None else f"{images_per_second:,.0f}"
        if self._bar is not None:
            self._bar.update(
                self._task, completed=step, loss=f"{loss:.4f}", speed=speed
            )
            return
        now = time.monotonic()
        if now - self._spoken >= _SECONDS_BETWEEN_LINES or step == self._total:
            self._spoken = now
            self.say(f"step {step}/{self._total}  loss {loss:.4f}  {speed} images/s")
