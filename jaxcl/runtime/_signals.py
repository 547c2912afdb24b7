"""Stops a run on a signal without losing its state."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SLURM can send SIGUSR1 shortly before it kills a job; Windows has no SIGUSR1.
_STOPPING = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1")
    if hasattr(signal, name)
]


class StopRequest:
    """The signal that asked the run to stop; None if there was none."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


def leave_by(number: int) -> None:
    """Exits as the given signal would have exited the program; 0 does nothing."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if number:
        raise SystemExit(128 + number)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turns SIGINT, SIGTERM and SIGUSR1 into a flag that the training loop checks.

    The handler only sets the flag. A second signal of the same kind has its usual
    effect. Outside the main thread, Python cannot handle signals, and the flag is never
    set.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {}

    def handle(number: int, _: FrameType | None) -> None:
        request.signal = signal.Signals(number)
        signal.signal(number, previous[number])

    for number in _STOPPING:
        handler = signal.getsignal(number)
        # Ignored signals stay ignored; Python could not restore a handler of None.
        if handler not in (signal.SIG_IGN, None):
            previous[number] = handler
            signal.signal(number, handle)
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
