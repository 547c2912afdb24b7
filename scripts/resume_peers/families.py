"""The families of faults: how each is brought, and what came of it in one line."""

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from resume_peers.runs import (
    PATIENCE,
    Ended,
    Lab,
    free_port,
    largest,
    small_disk,
    tell_each,
)


class Family(NamedTuple):
    """A family of faults, with the name that a page has for it."""

    title: str
    try_it: Callable[[Lab], str]


def kill(lab: Lab) -> str:
    lab.begin(fault="slow,kill@6")
    return lab.go_on(lab.run())


def kill_while_saving(lab: Lab) -> str:
    counted = lab.begin(fault="slow,operation@6").said.count("operation ")
    outcomes = []
    for part in range(5):
        lab.begin(fault=f"slow,operation{1 + part * (counted - 1) // 4}@6")
        outcomes.append(lab.go_on(lab.run()))
    return tell_each(outcomes)


def sigterm(lab: Lab) -> str:
    ended = lab.begin(fault="slow,sigterm@5")
    return f"exit {ended.status}; {lab.go_on(lab.run())}"


def first_and_then(lab: Lab, ended: Ended) -> str:
    """How a run met a fault, and how it went on when the fault was gone."""
    if ended.status == 0:
        steps = [path.name for path in lab.checkpoints()]
        return f"not noticed, {len(steps)} checkpoints"
    return f"{lab.go_on(ended)}; then {lab.go_on(lab.run())}"


def disk_full(lab: Lab) -> str:
    with small_disk(lab) as disk:
        if disk is None:
            return "not known: no disk can be mounted"
        ended = lab.begin(fault="slow,full@5")
        (disk / "filler").unlink()
        return first_and_then(lab, ended)


def failing_calls(lab: Lab) -> str:
    found = []
    for call in ("fsync", "rename"):
        ended = lab.begin(fault=f"slow,{call}@5")
        found.append(f"{call}: {first_and_then(lab, ended)}")
    return "; ".join(found)


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 16
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def bit_flip(lab: Lab) -> str:
    outcomes = []
    for tenth in (3, 4, 5, 6, 7):
        lab.damaged()
        file = largest(lab.checkpoints()[0])
        flip(file, file.stat().st_size * tenth // 10)
        outcomes.append(lab.go_on(lab.run()))
    return tell_each(outcomes)


def truncated(lab: Lab) -> str:
    found = []
    for name, harm in (("half", cut), ("missing", Path.unlink)):
        lab.damaged()
        harm(largest(lab.checkpoints()[0]))
        found.append(f"{name}: {lab.go_on(lab.run())}")
    return "; ".join(found)


def all_damaged(lab: Lab) -> str:
    lab.damaged()
    for path in lab.checkpoints():
        cut(largest(path))
    first, second = lab.go_on(lab.run()), lab.go_on(lab.run())
    return first if second == first else f"{first}; started again: {second}"


def other_config(lab: Lab) -> str:
    lab.damaged()
    seed = lab.run("--seed", 1)
    lab.damaged()
    rate = lab.run("--rate", 0.001)
    if seed.status and rate.status:
        return f"both refused: {seed.error()}"
    found = []
    if seed.status == 0:
        order = "the old" if same(lab.straight, seed, "samples") else "a new"
        found.append(f"seed: taken, {order} order of samples")
    else:
        found.append(f"seed: {lab.go_on(seed)}")
    used = {rate for many in rate.steps("rate").values() for rate in many}
    word = "the old rate goes on" if 0.01 in used else "the new rate"
    found.append(
        f"rate: taken, {word}" if rate.status == 0 else f"rate: {lab.go_on(rate)}"
    )
    return "; ".join(found)


def other_model(lab: Lab) -> str:
    lab.damaged()
    ended = lab.run("--width", 128)
    text = lab.go_on(ended)
    return f"taken, **the old model {text}**" if ended.status == 0 else text


def same(straight: Ended, ended: Ended, key: str) -> bool:
    """Whether the steps of a resumed run have the values that they would have had."""
    expected, found = straight.steps(key), ended.steps(key)
    return bool(found) and all(
        sorted(map(str, expected[step])) == sorted(map(str, values))
        for step, values in found.items()
    )


def mid_epoch(lab: Lab) -> str:
    found = []
    variants = [()] if lab.peer != "lightning" else [(), ("--stateful",)]
    for options in variants:
        straight = lab.straight_with(*options)
        lab.begin(*options, fault="slow,kill@8")
        ended = lab.run(*options)
        words = []
        for key, name in (("samples", "order"), ("views", "augmentation")):
            if straight.steps(key):
                equal = same(straight, ended, key)
                words.append(f"{'the same' if equal else '**another**'} {name}")
        words.append(lab.go_on(ended, straight))
        name = "StatefulDataLoader: " if options else ""
        found.append(name + ", ".join(words))
    return "; ".join(found)


def other_devices(lab: Lab) -> str:
    straight = lab.straight
    lab.damaged()
    # Lightning has a process for each device, and starts it by itself.
    alone = lab.peer == "lightning"
    ended = lab.run("--processes", 2) if alone else lab.run(devices=2)
    if ended.status != 0:
        return lab.go_on(ended)
    at, wanted = ended.resumed, straight.steps("samples")
    samples = {
        step: sorted(index for one in many for index in one)
        for step, many in ended.steps("samples").items()
    }
    equal = all(found == sorted(wanted[step][0]) for step, found in samples.items())
    losses = {step: sum(m) / len(m) for step, m in ended.steps("loss").items()}
    worst = max(
        abs(loss / straight.steps("loss")[step][0] - 1) for step, loss in losses.items()
    )
    where = f"goes on from step {at['resumed']}" if at else "?"
    text = "the same samples" if equal else "**other samples**"
    return f"{where}, {text}, loss differs by {worst:.0e}".replace("0e+00", "0")


def nan(lab: Lab) -> str:
    ended = lab.begin(fault="slow,nan@5,kill@8")
    met = "trains on" if ended.status == -9 else lab.go_on(ended)
    again = lab.run()
    losses = [loss for many in again.steps("loss").values() for loss in many]
    if all(map(math.isfinite, losses)):
        return f"{met}; then {lab.go_on(again)}"
    assert again.resumed
    return f"{met}; then goes on from step {again.resumed['resumed']}, **with NaN**"


def dead_process(lab: Lab) -> str:
    lab.empty()
    (lab.scratch / "notes.jsonl").unlink(missing_ok=True)
    options = ("--processes", 2, "--port", free_port())
    ranks = [0] if lab.peer == "lightning" else [0, 1]
    fault = "slow,kill_1@5"
    started = [
        lab.start(*options, "--rank", rank, fault=fault, number=rank) for rank in ranks
    ]
    ended = [lab.wait(process, r) for r, process in zip(ranks, started, strict=True)]
    first = ended[0]
    died = max(n["time"] for n in first.notes if n["rank"] == 1) + 0.5
    if first.status is None:
        return f"the other waits, longer than {PATIENCE} s"
    seconds = math.ceil(first.at - died)
    return f"the other ends after {seconds} s ({first.status}): {first.error()}"


def two_runs(lab: Lab) -> str:
    lab.empty()
    (lab.scratch / "notes.jsonl").unlink(missing_ok=True)
    started = [lab.start(fault="slow", number=number) for number in (0, 1)]
    ended = [lab.wait(process, r) for r, process in enumerate(started)]
    refused = [one for one in ended if one.status]
    if not refused:
        return f"both train and save there, {len(lab.checkpoints())} checkpoints"
    return f"{len(refused)} of 2 stops ({refused[0].status}): {refused[0].error()}"


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


def hostile(lab: Lab) -> str:
    lab.damaged()
    marker = lab.scratch / "code-ran"
    marker.unlink(missing_ok=True)
    newest = lab.checkpoints()[0]
    files = [newest] if newest.is_file() else [p for p in newest.rglob("*")]
    for file in files:
        if file.is_file():
            file.write_bytes(pickle.dumps(Payload(marker)))
    text = lab.go_on(lab.run())
    ran = "**code ran**" if marker.exists() else "no code ran"
    lab.damaged()
    logs = [
        p for p in lab.directory.rglob("*") if p.suffix in (".jsonl", ".csv", ".log")
    ]
    for log in logs:
        log.write_bytes(b'\xff\x00{"step": \n[1]\n' + log.read_bytes())
    damaged = lab.go_on(lab.run()) if logs else "it has none"
    return f"{ran}, {text}; damaged logs: {damaged}"


FAMILIES = {
    "kill": Family("kill −9 between two steps", kill),
    "kill_while_saving": Family(
        "kill −9 while a checkpoint is written", kill_while_saving
    ),
    "sigterm": Family("SIGTERM (preemption)", sigterm),
    "disk_full": Family("disk full while saving", disk_full),
    "failing_calls": Family("fsync or rename fails", failing_calls),
    "bit_flip": Family("one flipped bit in the newest arrays", bit_flip),
    "truncated": Family("a file of the newest checkpoint cut or missing", truncated),
    "all_damaged": Family("all checkpoints damaged", all_damaged),
    "other_config": Family("resumed with another seed or learning rate", other_config),
    "other_model": Family("resumed with another model", other_model),
    "mid_epoch": Family("resumed within an epoch", mid_epoch),
    "other_devices": Family("resumed on two devices instead of one", other_devices),
    "nan": Family("the loss becomes NaN", nan),
    "dead_process": Family("one of two processes dies", dead_process),
    "two_runs": Family("two runs started in one directory", two_runs),
    "hostile": Family("a hostile checkpoint, damaged logs", hostile),
}
