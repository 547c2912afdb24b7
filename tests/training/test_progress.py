import io

import pytest
from rich.console import Console

from jaxcl.training import Progress


def spoken(monkeypatch, quiet=False):
    """What is said in a run of four steps whose clock moves three seconds a step."""
    seconds = iter(range(0, 1000, 3))
    clock = "jaxcl.training._progress.time.monotonic"
    monkeypatch.setattr(clock, lambda: next(seconds))
    output = io.StringIO()
    with Progress(4, quiet=quiet, console=Console(file=output)) as progress:
        progress.say("hello [tf]")
        for step in (1, 2, 2, 3, 4):
            progress.show(step, 1.0 / step, 1000.0 * step)
    return output.getvalue().splitlines()


def test_off_a_terminal_a_line_comes_every_few_seconds(monkeypatch):
    assert spoken(monkeypatch) == [
        "hello [tf]",
        "step 2/4  loss 0.5000  2,000 images/s",
        "step 4/4  loss 0.2500  4,000 images/s",
    ]


def test_quiet_is_quiet(monkeypatch):
    assert spoken(monkeypatch, quiet=True) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_on_a_terminal_there_is_a_bar():
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=100)
    with Progress(4, console=console) as progress:
        progress.show(2, 0.5, 1234.0)
    shown = output.getvalue()
    for part in ("2/4", "loss 0.5000", "1,234 images/s", "left"):
        assert part in shown
