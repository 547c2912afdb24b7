"""The catalogue of losses says what the docstrings say, and what it shows works."""

import contextlib
import importlib
import inspect
import io
import json
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from long_tests import LONG
from losses.test_contract import FIRST, RECIPES

from jaxcl import losses
from jaxcl.kernels import Ring

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "losses.md").read_text()
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S))
# Arguments in front that are rows, or make them: all others are side data.
DATA = {"embeddings", "u", "v", "queries", "keys", "anchors", "positives", "negatives"}
DATA |= {"negatives_fn", "key", "logits", "anchor_losses", "loss_fn"}


@pytest.fixture
def catalogue(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("catalogue")


def test_the_page_is_what_the_docstrings_give(catalogue, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["catalogue.py", "--check"])
    outcome = catalogue.main()
    assert outcome == 0, f"run `python scripts/catalogue.py`\n{capsys.readouterr().out}"


def test_a_page_that_is_out_of_date_is_told_by_a_diff(
    catalogue, tmp_path, monkeypatch, capsys
):
    page = tmp_path / "losses.md"
    page.write_text(PAGE.replace("# The losses", "# Some losses"))
    monkeypatch.setattr(catalogue, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["catalogue.py", "--check"])
    assert catalogue.main() == 1
    assert "-# Some losses\n+# The losses\n" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["catalogue.py"])
    assert catalogue.main() == 0
    assert page.read_text() == PAGE


def test_every_public_loss_is_in_one_family_and_has_one_section(catalogue):
    catalogue.check_families(losses.__all__, catalogue.FAMILIES)
    assert sorted(SECTIONS) == sorted(losses.__all__)
    assert len(re.findall("^### ", PAGE, re.M)) == len(losses.__all__)
    for name in losses.__all__:
        assert PAGE.count(f"\n| [`{name}`](#{name}) | ") >= 1


@pytest.mark.parametrize(
    ("families", "message"),
    [
        ({"one": ("a",)}, "`b` must be in one family"),
        ({"one": ("a", "b"), "two": ("b",)}, "`b` must be in one family"),
        ({"one": ("a", "b", "c")}, "`c` of scripts/catalogue.py is not in"),
    ],
)
def test_a_loss_without_its_one_family_is_named(catalogue, families, message):
    with pytest.raises(SystemExit, match=message):
        catalogue.check_families(["a", "b"], families)


@pytest.mark.parametrize("name", losses.__all__)
def test_every_docstring_has_all_that_the_page_needs(catalogue, name):
    loss = catalogue.read_loss(getattr(losses, name))
    assert {"Returns", "References", "Example"} <= set(loss.sections)
    assert re.search(r"^ {4}\S", loss.body, re.M), "a formula, indented"
    assert loss.pairs.endswith(".") and loss.cost.endswith(".")
    own = [argument for argument in loss.parameters if argument in loss.arguments]
    assert list(loss.arguments) == own
    assert set(loss.shared) <= set(catalogue.read_shared_arguments())
    assert loss.signature.startswith(f"def {name}(")
    assert "```text\n" in SECTIONS[name]


@pytest.mark.parametrize("name", losses.__all__)
def test_the_overview_names_all_side_data(catalogue, name):
    parameters = inspect.signature(getattr(losses, name)).parameters.values()
    front = {p.name for p in parameters if p.kind is not p.KEYWORD_ONLY} - DATA
    assert front <= set(catalogue.METADATA), "add it to METADATA of the catalogue"
    row = re.search(rf"^\| \[`{name}`\].*$", PAGE, re.M)
    assert row and all(f"`{argument}`" in row.group() for argument in front)


def test_the_page_explains_shared_arguments_once(catalogue):
    for name, text in catalogue.read_shared_arguments().items():
        assert PAGE.count(f"- `{name}`: {text}\n") == 1


def test_a_docstring_without_pairs_and_cost_is_named(catalogue):
    def lonely_loss():
        """Says too little.

        Args:
            x: Nothing.
        """

    with pytest.raises(SystemExit, match="`lonely_loss` must end its text with"):
        catalogue.read_loss(lonely_loss)


# The doctests run all of them; here is tried how the page writes one down.
@pytest.mark.parametrize("name", ["nt_xent_loss", "supcon_loss"])
def test_an_example_of_the_page_runs_and_prints_what_it_says(name):
    *_, code = re.findall(r"```python\n(.*?)```", SECTIONS[name], re.S)
    assert "from jaxcl.losses import" in code
    said = re.findall(r"  # (.*)$", code, re.M)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, f"docs/losses.md, {name}", "exec"), {})
    assert said and printed.getvalue().splitlines() == said


def exchanged(recipe, axis_name):
    """The collectives of a loss whose eight rows are split over four devices."""
    views, side = recipe.inputs()
    data = tuple(jnp.asarray(view, jnp.float32) for view in views)
    split = PartitionSpec("batch")
    mapped = jax.shard_map(
        lambda data, side: recipe(data, side, axis_name=axis_name),
        mesh=Mesh(np.array(jax.devices()[:4]), ("batch",)),
        in_specs=split,
        out_specs=PartitionSpec(),
        check_vma=False,
    )
    # Lowered, since what is gathered and not used is gone only then.
    lowered = jax.jit(mapped).lower(data, tuple(map(jnp.asarray, side)))
    return set(re.findall(r"all_gather|collective_permute", lowered.as_text()))


# One loss of each kind of exchange.
KINDS = ["nt_xent_loss", "kernel_nce_loss", "coral_penalty", "queue_nce_loss"]


@pytest.mark.slow
@pytest.mark.parametrize("name", losses.__all__ if LONG else KINDS)
def test_the_page_says_what_devices_exchange(catalogue, name):
    recipe = RECIPES[FIRST[name]]
    kind = catalogue.EXCHANGE.get(name, "shared")
    by_name = {"all_gather"} if kind in ("shared", "gathered") else set()
    assert exchanged(recipe, "batch") == by_name
    if kind in ("shared", "gathered"):
        by_ring = {"collective_permute"} if kind == "shared" else by_name
        assert exchanged(recipe, Ring("batch")) == by_ring
    assert catalogue.EXCHANGES[kind] in SECTIONS[name]


def test_the_definitions_of_other_libraries_become_a_table(catalogue, tmp_path):
    row = {
        "ours": "nt_xent_loss",
        "library": "lightly",
        "version": "1.5.22",
        "their_call": "NTXentLoss(temperature=t)(out0, out1)",
        "our_call": "nt_xent_loss(u, v, temperature=t)",
        "difference": "none | on one device",
    }
    checked = {"status": "equal", "value_error": 2e-7, "gradient_error": 1e-6}
    absent = {"status": "not installed", "reason": "no lightly"}
    path = tmp_path / "migration.json"
    path.write_text(json.dumps({"migrations": [row | checked, row | absent]}))
    page = catalogue.render_page(catalogue.read_losses(), path)
    first, second = page.splitlines()[-2:]
    assert first == (
        "| [`nt_xent_loss`](#nt_xent_loss) | lightly 1.5.22 "
        "| `NTXentLoss(temperature=t)(out0, out1)` "
        "| `nt_xent_loss(u, v, temperature=t)` "
        "| none \\| on one device | equal to 1e-06 |"
    )
    assert second.endswith("| not installed: no lightly |")


def test_the_page_says_how_to_make_a_table_that_is_not_there(catalogue):
    path = ROOT / "docs" / "no_such.json"
    command = "`python scripts/compare_definitions.py --out docs/no_such.json`"
    assert command in catalogue.render_migrations(path)
