import pytest

from jaxcl.labs.benchmarks._children import run_child

SERVER = """
import os, sys
from jaxcl.labs.benchmarks._children import serve

def work(*, tell, number):
    print("a library that chatters")
    os.write(1, b"and one that does so below Python")
    tell("doubling")
    yield {"event": "result", "record": 2 * number}

def cores(*, tell):
    yield {"event": "result", "record": len(os.sched_getaffinity(0))}

def crash(*, tell):
    yield {"event": "result", "record": 1}
    tell("the second one")
    raise MemoryError("nothing left")

def vanish(*, tell):
    tell("a large one")
    os.kill(os.getpid(), 9)
    yield {}

serve({f.__name__: f for f in (work, cores, crash, vanish)})
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    (tmp_path / "server_of_a_test.py").write_text(SERVER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "server_of_a_test"


def test_events_come_back_and_chatter_does_not(server):
    heard = []
    events = run_child("work", {"number": 21}, tell=heard.append, module=server)
    assert events == [{"event": "result", "record": 42}]
    assert heard == ["doubling"]


def test_a_child_keeps_to_its_cores(server):
    (event,) = run_child("cores", {}, threads=1, module=server)
    assert event["record"] == 1


def test_a_crash_keeps_what_was_found_before_it(server):
    first, died = run_child("crash", {}, module=server)
    assert first["record"] == 1
    assert died["event"] == "died"
    assert died["reason"] == "MemoryError: nothing left"
    assert died["during"] == "the second one"


def test_a_killed_child_is_out_of_memory(server):
    (died,) = run_child("vanish", {}, module=server)
    assert "out of memory" in died["reason"]
    assert died["during"] == "a large one"
