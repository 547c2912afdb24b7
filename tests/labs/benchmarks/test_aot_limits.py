import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

from jaxcl.labs.benchmarks import find_changes, measure_limits, read_limits
from jaxcl.labs.benchmarks._aot._limits import LIMITED

PATH = Path(__file__).parents[3] / "docs" / "benchmarks" / "aot" / "limits.toml"
NEEDS = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="libtpu is not installed: pip install 'jaxcl[aot]'",
)
BEFORE = {"a": dict.fromkeys(LIMITED, 8.0)}


@NEEDS
def test_no_program_on_record_needs_more_than_it_did():
    worse = find_changes(read_limits(PATH), measure_limits(), worse=True)
    versions = {name: importlib.metadata.version(name) for name in ("jax", "libtpu")}
    assert not worse, f"{worse}, with {versions}; see {PATH.name}"


@pytest.mark.parametrize("quantity", LIMITED)
def test_more_is_worse_and_a_smaller_tile_too(quantity):
    more = {"a": {**BEFORE["a"], quantity: 9.0}}
    line = [f"a: {quantity} 8 -> 9"]
    assert find_changes(BEFORE, BEFORE) == []
    assert find_changes(BEFORE, more) == line
    assert find_changes(BEFORE, more, worse=True) == (
        line if quantity != "tile" else []
    )
    back = find_changes(more, BEFORE, worse=True)
    assert bool(back) == (quantity == "tile")


def test_a_program_that_is_new_or_gone_is_worse():
    assert find_changes({}, BEFORE, worse=True) == ["a: not on record"]
    assert find_changes(BEFORE, {}, worse=True) == ["a: not compiled"]
