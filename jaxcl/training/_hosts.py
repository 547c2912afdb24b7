"""Several processes of one run: how they end when one of them dies.

JAX notices a death by itself, after 100 s, and calls abort(); an exception in one
process it does not notice at all. Here every process has a file in the work directory,
which all hosts share, writes a number to it every few seconds, and reads the others'.
Files need no port and outlive process 0, which JAX's key-value store does not. What
counts is that a number changes: clocks of two hosts are never compared.
"""

import atexit
import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jax

# EX_TEMPFAIL of sysexits.h: the same command may well succeed.
HOST_LOST = 75
# Where an error will not go away by itself.
_FAILED = 1
# How a process has ended, and with which status its end ends the others.
_ENDED = {
    "done": None,
    "failed": _FAILED,  # by an exception
    "followed": _FAILED,  # one that failed
    "aborted": HOST_LOST,  # by C++
    "left": HOST_LOST,  # because another one does not answer
}


@contextmanager
def watch_hosts(directory: str | Path, timeout: float | int) -> Iterator[None]:
    """Ends this process when another one of the run has died, instead of waiting.

    After `timeout` seconds without a sign of life of another process, one line on
    standard error names it, and this process leaves with status `HOST_LOST`, wherever
    its main thread is; soon after an exception of another, with 1, as that one does.
    An exception of this process is told to the others, and is raised when it is known
    that all of them live: else theirs was the death, and this one its consequence.
    Nothing with one process.

    Args:
        directory: The work directory, the same one on all hosts.
        timeout: Seconds; more than storage or a library may block a whole process.
    """
    if jax.process_count() == 1:
        yield
        return
    watch = _Watch(Path(directory) / ".hosts", timeout)
    with watch.running(), _before_abort(watch.abort):
        try:
            yield
        except Exception as error:
            watch.fail("failed", f"{type(error).__name__}: {error}")
            raise
        except BaseException as error:  # stopped on request, and all of them were
            watch.say("stopped", type(error).__name__)
            raise
        watch.say("done")


class _Peer:
    """What is known of another process.

    Attributes:
        state: alive, failing (something came up, and its cause is being looked for),
            stopped on request, or how it ended.
        text: Why.
        beats: How often its file changed.
        silence: Seconds since it last did.
    """

    def __init__(self, path: Path):
        self._path, self._content = path, _read(path)
        self.state, self.text, self.beats, self.silence = "alive", "", 0, 0.0

    def look(self, elapsed: float) -> None:
        """Reads its file; what an earlier run left there is no sign of life."""
        content = _read(self._path)
        if content in (self._content, ""):
            self.silence += elapsed
            return
        with suppress(ValueError, LookupError, TypeError):  # half a line
            said = json.loads(content)
            self.state, self.text = said["state"], said["text"]
            self._content, self.silence = content, 0.0
            self.beats += 1


class _Watch:
    """A thread that shows that this process lives, and looks whether others do."""

    def __init__(self, directory: Path, timeout: float):
        self._me, self._count = jax.process_index(), jax.process_count()
        self._timeout, self._interval = timeout, min(max(timeout / 20, 0.1), 5.0)
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{self._me}.json"
        self._peers = {
            number: _Peer(directory / f"{number}.json")
            for number in range(self._count)
            if number != self._me
        }
        self._lock, self._beats = threading.Lock(), 0
        self._state, self._text = "alive", ""
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watches until the block ends."""
        thread = threading.Thread(target=self._run, name="watch_hosts", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def say(self, state: str, text: str = "") -> None:
        """Tells the others how it stands here."""
        with self._lock, suppress(OSError):
            if self._state not in ("followed", "left"):  # the last words
                self._state, self._text = state, text
            self._write()

    def fail(self, state: str, text: str) -> None:
        """Tells the others of an error, once it is known that none of them is dead."""
        text = text.strip().split("\n")[0][:300]
        self.say("failing", text)
        before = {number: peer.beats for number, peer in self._peers.items()}
        # The thread ends this process when one of them has died.
        deadline = time.monotonic() + 2 * self._timeout
        while time.monotonic() < deadline and not all(
            # The first beat may have been under way when the error came.
            peer.state in ("failing", "failed", "done")
            or (peer.state == "alive" and peer.beats >= before[number] + 2)
            for number, peer in self._peers.items()
        ):
            time.sleep(0.05)
        if self._state != "failing":
            threading.Event().wait()  # for ever: the thread knows why, and leaves
        self.say(state, text)
        # JAX's own exit would wait for the others for minutes.
        atexit.register(self._exit, _FAILED)

    def abort(self) -> None:
        """Looks for the cause before C++ ends this process: process 0 may be dead."""
        self.fail("aborted", "SIGABRT")
        self._let_others_end()

    def _write(self) -> None:
        said = {"beat": self._beats, "state": self._state, "text": self._text}
        # Overwritten in place: NFS shows a renamed file to other hosts late.
        self._path.write_text(json.dumps(said))

    def _run(self) -> None:
        before = time.monotonic()
        while not self._over.wait(self._interval):
            with self._lock, suppress(OSError):  # full or away: so it is for them
                self._beats += 1
                self._write()
            now = time.monotonic()
            # While this process stood still itself, it cannot say who was silent.
            elapsed = min(now - before, 2 * self._interval)
            before = now
            for peer in self._peers.values():
                peer.look(elapsed)
            if loss := self._find_loss():
                self._leave(*loss)

    def _find_loss(self) -> tuple[str, int] | None:
        """Why this process cannot go on, and the status to leave with."""
        if self._state in _ENDED:
            return None  # the others leave because of this one
        for number, peer in self._peers.items():
            who = f"process {number} of {self._count}"
            if status := _ENDED.get(peer.state):
                if peer.state in ("left", "followed"):
                    return peer.text, status
                if peer.state == "aborted" or self._state == "alive":
                    return f"{who} {peer.state}: {peer.text}", status
                # Else this process has an exception of its own to raise.
            elif peer.state != "done" and peer.silence >= self._timeout:
                return f"{who} {self._describe_silence(peer)}", HOST_LOST
        return None

    def _describe_silence(self, peer: _Peer) -> str:
        if peer.state == "stopped":
            return f"was stopped ({peer.text})"
        if peer.beats:
            return f"does not answer since {peer.silence:.0f} s"
        return (
            f"did not begin within {peer.silence:.0f} s, or "
            f"{str(self._path.parent)!r} is not a directory that it shares"
        )

    def _leave(self, reason: str, status: int) -> None:
        self.say("left" if status == HOST_LOST else "followed", reason)
        line = f"error: {reason}; leaving. The last checkpoint is kept"
        if status == HOST_LOST:
            line += "; start all processes again to continue"
        os.write(2, f"{line}\n".encode())
        self._exit(status)

    def _exit(self, status: int) -> None:
        self._let_others_end()
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)

    def _let_others_end(self) -> None:
        """Returns as soon as the others know why this one ends; in process 0 last."""
        # They lose JAX's service with process 0, and connections with any.
        deadline = time.monotonic() + 3 * self._interval + 1
        while time.monotonic() < deadline and any(
            peer.state not in _ENDED and peer.silence < 3 * self._interval + 1
            for peer in self._peers.values()
        ):
            time.sleep(0.1)
            for peer in self._peers.values():
                peer.look(0.1)
        if self._me == 0:
            time.sleep(1)  # they say why before they are gone


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@contextmanager
def _before_abort(action: Callable[[], None]) -> Iterator[None]:
    """Calls `action` when C++ calls abort(), as JAX does at the death of process 0.

    Python's own handlers run after the call that was interrupted, and abort() never
    returns. (jax 0.7.2 leaves by _exit(1), which nothing can hold.)
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal.restype = ctypes.c_void_p

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def handle(number: int) -> None:
        action()
        # Who sent the signal does not raise it a second time, as abort() does.
        libc.signal(number, None)
        signal.raise_signal(number)

    previous = libc.signal(signal.SIGABRT, ctypes.cast(handle, ctypes.c_void_p))
    try:
        yield
    finally:
        libc.signal(signal.SIGABRT, previous)
