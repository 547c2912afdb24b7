import io
import time

import pytest
from rich.console import Console

from jaxcl.runtime import Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets; half past two in the afternoon at 0."""
    now = [0.0]
    place = "jaxcl.runtime._progress.time"
    monkeypatch.setattr(f"{place}.monotonic", lambda: now[0])
    monkeypatch.setattr(f"{place}.time", lambda: 14.5 * 3600 + now[0])
    monkeypatch.setattr(f"{place}.localtime", time.gmtime)
    return now


def spoken(clock, steps, seconds, total, **options):
    """What is said in a run whose steps end at these seconds."""
    output = io.StringIO()
    with Progress(total, console=Console(file=output), **options) as progress:
        for step, clock[0] in zip(steps, seconds, strict=True):
            progress.show(step, 1.0 / step, 1000.0 * step)
    return output.getvalue().splitlines()


def test_off_a_terminal_a_line_comes_every_few_seconds(clock):
    assert spoken(clock, [1, 2, 2, 3, 4], [4, 6, 6, 6, 6.5], 4) == [
        "step 2/4  loss 0.5000  2,000 images/s",
        "step 4/4  loss 0.2500  4,000 images/s",
    ]


def test_the_first_steps_say_how_long_the_others_take(clock):
    # The first step ends after a minute of compilation, the others take 3 s each.
    said = spoken(clock, [1, 2, 3, 4], [60, 63, 66, 69], 200)
    assert said == [
        "step 1/200  loss 1.0000  1,000 images/s",
        "about 9.9 minutes left, until 14:40; the evaluation comes after that",
        "step 3/200  loss 0.3333  3,000 images/s  9.8 minutes left",
    ]


def test_ten_fast_steps_are_enough_for_an_estimate(clock):
    said = spoken(clock, [1, 5, 11, 21], [1, 1.4, 2, 3], 3011)
    assert said == [
        "about 5.0 minutes left, until 14:35; the evaluation comes after that"
    ]


def test_a_resumed_run_counts_its_own_steps(clock):
    said = spoken(clock, [501, 521], [1, 5], 1001, step=500)
    assert said[0].startswith("about 1.6 minutes left, until 14:31")


def test_quiet_is_quiet(clock):
    assert spoken(clock, [1, 2, 20], [1, 9, 99], 40, quiet=True) == []


def test_items_that_are_followed_say_when_they_end(clock):
    output = io.StringIO()
    progress = Progress(1, console=Console(file=output))
    for i in progress.follow(range(10), 10, "embedding"):
        clock[0] = 3.0 * (i + 1)
    assert output.getvalue().splitlines() == [
        "embedding: 2 of 10, 24 seconds left",
        "embedding: 4 of 10, 18 seconds left",
        "embedding: 6 of 10, 12 seconds left",
        "embedding: 8 of 10, 6 seconds left",
    ]


def test_words_in_brackets_are_no_markup():
    output = io.StringIO()
    Progress(1, console=Console(file=output)).say("hello [tf]")
    assert output.getvalue() == "hello [tf]\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_on_a_terminal_there_is_a_bar():
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=100)
    with Progress(4, console=console) as progress:
        progress.show(2, 0.5, 1234.0)
    shown = output.getvalue()
    for part in ("2/4", "loss 0.5000", "1,234 images/s", "left"):
        assert part in shown
