"""Shows the progress of a run, and how long it still takes."""

import math
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as RichProgress,
    TextColumn,
    TimeRemainingColumn,
)

from jaxcl.reports import literal

_SECONDS_BETWEEN_LINES = 5.0
# Enough for an estimate, whichever comes first.
_SECONDS_TO_JUDGE, _STEPS_TO_JUDGE = 3.0, 10

Item = TypeVar("Item")


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
        self._begun: tuple[float, int] | None = None
        self._estimated = False
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
            self.console.print(literal(text), soft_wrap=True)

    def show(self, step: int, loss: float, images_per_second: float | None) -> None:
        """Shows the result of a step; the same step is shown only once."""
        if step == self._shown:
            return
        self._shown, now = step, time.monotonic()
        left = self._seconds_left(now, step)
        if left is not None and not self._estimated:
            self._estimated = True
            self.say(f"{time_left(left)}; the evaluation comes after that")
        speed = "–" if images_per_second is None else f"{images_per_second:,.0f}"
        if self._bar is not None:
            self._bar.update(
                self._task, completed=step, loss=f"{loss:.4f}", speed=speed
            )
        elif now - self._spoken >= _SECONDS_BETWEEN_LINES or step == self._total:
            self._spoken = now
            more = "" if left is None else f"  {in_words(left)} left"
            line = f"step {step}/{self._total}  loss {loss:.4f}  {speed} images/s"
            self.say(line + more)

    def _seconds_left(self, now: float, step: int) -> float | None:
        """The time for the other steps, by the wall clock; None if not known yet."""
        if self._begun is None:
            # The first step compiles, and the clock starts after it.
            self._begun = now, step
        seconds, steps = now - self._begun[0], step - self._begun[1]
        if step >= self._total or not steps:
            return None
        if seconds < _SECONDS_TO_JUDGE and steps < _STEPS_TO_JUDGE:
            return None
        return seconds / steps * (self._total - step)

    def follow(self, items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
        """The items; says every few seconds how many are done, and the time left."""
        begun = spoken = time.monotonic()
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now - spoken >= _SECONDS_BETWEEN_LINES and done < total:
                spoken = now
                left = (now - begun) / done * (total - done)
                self.say(f"{what}: {done} of {total}, {in_words(left)} left")


def time_left(seconds: float) -> str:
    """How long something still takes, and until when.

    Example:
        >>> time_left(720.0)[:27]
        'about 12 minutes left, unti'
    """
    end = time.localtime(time.time() + seconds)
    return f"about {in_words(seconds)} left, until {time.strftime('%H:%M', end)}"


def in_words(seconds: float) -> str:
    """A time in the unit in which people would say it.

    Example:
        >>> in_words(8.2), in_words(95.0), in_words(720.0), in_words(9000.0)
        ('9 seconds', '1.6 minutes', '12 minutes', '2.5 hours')
    """
    for unit, size in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.{int(seconds < 10 * size)}f} {unit}"
    return f"{math.ceil(seconds)} second{'s' * (seconds > 1)}"
