"""Stopping a run without losing it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SLURM can send SIGUSR1 some time before it kills; Windows has none.
_STOPPING = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1")
    if hasattr(signal, name)
]


class StopRequest:
    """Which signal asked the run to stop; None as long as none did."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


def leave_by(number: int) -> None:
    """Ends the program as a signal would have, after the work is saved; 0 = stay."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if number:
        raise SystemExit(128 + number)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turns SIGINT, SIGTERM and SIGUSR1 into a flag that the loop looks at.

    The handler only sets the flag. A second signal of the same kind acts at once, as
    if this were not here. Threads other than the main one cannot handle signals.
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
        # Who started us to ignore a signal means it; None is not Python's to change.
        if handler not in (signal.SIG_IGN, None):
            previous[number] = handler
            signal.signal(number, handle)
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
