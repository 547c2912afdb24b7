"""Starts the training programs of the peers, and says in few words how they go on."""

import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).parent
PATIENCE = 240
# Where the programs keep their checkpoints, and which of them they resume from.
_CHECKPOINTS = {
    "lightning": ("checkpoints", r"last\.ckpt|.*step=(\d+)\.ckpt"),
    "orbax": ("checkpoints", r"(\d+)"),
    "levanter": ("checkpoints/run", r"step-(\d+)"),
    "jaxcl": ("checkpoints", r"(\d+)"),
}


@dataclasses.dataclass
class Ended:
    """How a training program ended.

    Attributes:
        status: Its exit status; None if it had to be ended.
        said: The standard error.
        notes: Its notes, in the order in which they were made.
        at: The time at which it was seen to have ended.
    """

    status: int | None
    said: str
    notes: list[dict[str, Any]]
    at: float

    @property
    def resumed(self) -> dict[str, Any] | None:
        """The note on where it went on."""
        return next((note for note in self.notes if "resumed" in note), None)

    def steps(self, key: str) -> dict[int, list[Any]]:
        """A value of each step, of all processes."""
        found: dict[int, list[Any]] = {}
        for note in self.notes:
            step = note.get("step", note.get("reached", 0))
            if step and key in note:
                found.setdefault(step, []).append(note[key])
        return found

    def states(self) -> dict[int, str]:
        """The digest of the state after the steps that were noted."""
        return {n["reached"]: n["state"] for n in self.notes if "reached" in n}

    def error(self) -> str:
        """The line of standard error that says what was wrong."""
        found = re.findall(
            r"^(?:\[rank\d\]: )?((?:[\w.]*(?:Error|Exception|Timeout)\b|error: ).*)",
            self.said,
            re.MULTILINE,
        )
        # What Orbax says while the interpreter already leaves explains nothing.
        found = [line for line in found if "sys.meta_path" not in line] or [""]
        line = re.sub(r"(?<!\w)'?/[\w./=@+-]*/([\w.=+-]*)'?", r"\1", found[-1])
        line = re.sub(r"\b[0-9a-f]{16,}\b", "…", line)
        line = line.removeprefix("error: ").strip()
        return line if len(line) <= 60 else line[:57].rsplit(" ", 1)[0] + " …"


class Lab:
    """A place in which one peer is trained, harmed and resumed.

    Args:
        peer: The name of the peer.
        python: An interpreter that can import it.
        scratch: A directory; a run that nothing happens to is kept there.
    """

    def __init__(self, peer: str, python: str, scratch: Path):
        self.peer, self.python = peer, python
        self.scratch = scratch / peer
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.directory = self.scratch / "run"

    def missing(self) -> str:
        """Why the peer cannot be run; empty if it can."""
        module = "orbax.checkpoint" if self.peer == "orbax" else self.peer
        ran = subprocess.run(
            [self.python, "-c", f"import {module}"], capture_output=True, text=True
        )
        return "" if ran.returncode == 0 else f"{self.peer} cannot be imported"

    def start(self, *options: Any, fault: str = "", devices: int = 1, number: int = 0):
        """Starts a program in the directory of the run, the n-th at the same time."""
        program = PROGRAMS / f"{self.peer}_program.py"
        notes = self.scratch / "notes.jsonl"
        if "--port" not in options:
            options = (*options, "--port", free_port())
        command = [self.python, program, self.directory, "--notes", notes]
        command += ["--fault", fault, *options]
        environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(self.scratch / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        }
        with (self.scratch / f"errors-{number}.txt").open("w") as errors:
            return subprocess.Popen(
                [str(word) for word in command],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )

    def wait(self, process: subprocess.Popen, number: int = 0) -> Ended:
        """Waits for a program, not longer than `PATIENCE` seconds."""
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = None
        at = time.time()
        if status != 0:
            # Its own children, such as the other processes of Lightning.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said = (self.scratch / f"errors-{number}.txt").read_text(errors="replace")
        notes = self.scratch / "notes.jsonl"
        lines = notes.read_text().splitlines() if notes.exists() else []
        return Ended(status, said, [json.loads(line) for line in lines], at)

    def run(self, *options: Any, fault: str = "", devices: int = 1) -> Ended:
        """Runs one program in the directory as it is."""
        (self.scratch / "notes.jsonl").unlink(missing_ok=True)
        return self.wait(self.start(*options, fault=fault, devices=devices))

    def empty(self) -> None:
        """Removes the run."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def begin(self, *options: Any, fault: str) -> Ended:
        """Runs one program in an empty directory."""
        self.empty()
        return self.run(*options, fault=fault)

    @cached_property
    def straight(self) -> Ended:
        """A run to which nothing happens."""
        return self.straight_with()

    def straight_with(self, *options: Any) -> Ended:
        """The same with other options."""
        kept = self.scratch / f"straight{'-'.join(map(str, options))}.json"
        if kept.exists():
            return Ended(**json.loads(kept.read_text()))
        ended = self.begin(*options, fault="slow")
        if ended.status != 0:
            raise SystemExit(f"{self.peer} does not train at all:\n{ended.said}")
        kept.write_text(json.dumps(dataclasses.asdict(ended)))
        return ended

    def damaged(self) -> None:
        """Brings a run that was killed in its eighth step back into the directory."""
        kept = self.scratch / "kept"
        if not kept.exists():
            self.begin(fault="slow,kill@8")
            shutil.copytree(self.directory, kept, symlinks=True)
        self.empty()
        shutil.copytree(kept, self.directory, symlinks=True)

    def checkpoints(self) -> list[Path]:
        """All checkpoints, the one to resume from first."""
        folder, pattern = _CHECKPOINTS[self.peer]
        found = {}
        for path in (self.directory / folder).iterdir():
            if match := re.fullmatch(pattern, path.name):
                found[path] = int((match.groups() or ("",))[0] or 10**9)
        return sorted(found, key=lambda path: found[path], reverse=True)

    def go_on(self, ended: Ended, straight: Ended | None = None) -> str:
        """How a program went on that was started again."""
        if ended.status is None:
            return f"hangs for {PATIENCE} s"
        if ended.status != 0:
            return f"stops ({ended.status}): {ended.error() or 'nothing said'}"
        states = (straight or self.straight).states()
        if ended.resumed is None:
            return "has nothing left to do"
        at = ended.resumed["resumed"]
        where = f"goes on from step {at}" if at else "starts over"
        if at in states and ended.resumed["state"] != states[at]:
            return f"{where}, **from changed values**"
        last = max(states)
        same = at == last or ended.states().get(last) == states[last]
        return f"{where}, " + ("same bits" if same else "then other bits")


def largest(path: Path) -> Path:
    """The largest file of the arrays of a checkpoint: it, or one in a folder `d`."""
    files = [path] if path.is_file() else [*path.rglob("d/*")]
    return max(files, key=lambda file: file.stat().st_size)


def tell_each(outcomes: list[str]) -> str:
    """Several outcomes of the same fault in one line."""
    counted = Counter(outcomes)
    if len(counted) == 1:
        return f"{outcomes[0]} ({len(outcomes)} of {len(outcomes)})"
    return "; ".join(
        f"{count} of {len(outcomes)}: {text}" for text, count in counted.most_common()
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def small_disk(lab: Lab) -> Iterator[Path | None]:
    """A disk of 8 MiB for the run; None if nothing can be mounted here."""
    disk, kept = lab.scratch / "disk", lab.directory
    disk.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    lab.directory = disk / "run"
    try:
        yield disk
    finally:
        lab.directory = kept
        subprocess.run(["umount", "-l", str(disk)], check=True)
