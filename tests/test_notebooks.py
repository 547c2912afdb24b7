"""The notebooks run, and are what their scripts say."""

import importlib.util
import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))


def load_maker():
    path = ROOT / "scripts" / "notebooks.py"
    spec = importlib.util.spec_from_file_location("notebooks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_is_made_from_its_script(script):
    made = load_maker().notebook_of(script.read_text())
    assert script.with_suffix(".ipynb").read_text() == made


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(script, monkeypatch, capsys):
    matplotlib.use("agg")
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    notebook = json.loads(script.with_suffix(".ipynb").read_text())
    code = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    # All of it, but for how long it trains.
    source = "\n".join(code)
    assert "STEPS = 2000" in source
    exec(source.replace("STEPS = 2000", "STEPS = 25"), {"__name__": "__main__"})
    assert "R²" in capsys.readouterr().out
