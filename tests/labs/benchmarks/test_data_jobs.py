import dataclasses
import itertools

import pytest

from jaxcl.labs.benchmarks import Measurement
from jaxcl.labs.benchmarks._data import _jobs
from jaxcl.labs.benchmarks._data._jobs import (
    BASELINES,
    CONTENDERS,
    _summarize,
    compare,
    find_contenders,
    prepare,
)
from jaxcl.labs.benchmarks._data._streams import Stream
from jaxcl.labs.benchmarks._timing import Samples

SETTING = {"source": "memory", "threads": 2, "batch_size": 4}
BLANK = Measurement("views", "", 8, SETTING, "wall")


@pytest.fixture
def paths(monkeypatch):
    """Every contender a stream of its material, on a machine without tf.data."""

    def stream(material):
        return Stream(lambda: itertools.repeat(material), images=1)

    table = [one._replace(make=stream) for one in CONTENDERS]
    monkeypatch.setattr(_jobs, "CONTENDERS", table)
    monkeypatch.setitem(_jobs._PACKAGES, "tf_data", "no_such_package")
    monkeypatch.setitem(_jobs._PACKAGES, "torchvision", "jax")
    monkeypatch.setitem(_jobs._INSTALL, "no_such_package", "pip install it")
    return table


def test_medians_and_ratios_are_of_the_same_rounds():
    samples = {
        "torchvision": Samples((2e-6, 4e-6, 9e-6), (1e-6, 1e-6, 1e-6)),
        BASELINES["views"]: Samples((1e-6, 4e-6, 3e-6), (2e-6, 2e-6, 2e-6)),
    }
    row = dataclasses.replace(BLANK, contender="torchvision")
    found = {
        one.quantity: one.value for one in _summarize({row.contender: row}, samples)
    }
    assert found["images per second"] == pytest.approx(250_000)
    assert found["cpu"] == pytest.approx(1.0)
    assert found["wall ratio"] == pytest.approx(2.0)  # of 2, 1 and 3
    assert found["cpu ratio"] == pytest.approx(0.5)


def test_a_path_is_compared_with_the_sum_of_its_operations():
    rows = compare(
        dataclasses.replace(BLANK, what="operations", contender="a path"),
        Samples((6e-6, 6e-6, 6e-6), (9e-6, 9e-6, 9e-6)),
        {
            "read": Samples((1e-6, 1e-6, 3e-6), (1e-6, 1e-6, 1e-6)),
            "views": Samples((3e-6, 4e-6, 3e-6), (2e-6, 2e-6, 2e-6)),
        },
    )
    found = {row.quantity: row.value for row in rows}
    assert (found["read"], found["views"]) == pytest.approx((1.0, 3.0))
    assert found["together"] == pytest.approx(4.0)
    assert found["wall ratio"] == pytest.approx(1.2)  # of 6/4, 6/5 and 6/6
    assert found["cpu ratio"] == pytest.approx(3.0)
    assert found["busy"] == pytest.approx(9 / 6 / 2)


def test_what_cannot_start_is_excused_and_the_others_go_on(paths):
    def fail(material):
        raise ValueError("it is not\nto be")

    i = [one.name for one in paths].index("torchvision")
    paths[i] = paths[i]._replace(make=fail)
    asked = ("jax", "tf_data", "torchvision")
    streams, rows = prepare(BLANK, asked, 0, lambda text: None)
    assert list(streams) == [BASELINES["views"]]
    found = {name: (one.status, one.reason) for name, one in rows.items()}
    assert found == {
        "jaxcl: JAX": ("measured", ""),
        "jaxcl: tf.data": ("not installed", "pip install it"),
        "tf.data with tf.image": ("not installed", "pip install it"),
        "torchvision": ("failed", "ValueError: it is not"),
    }


def test_the_baseline_runs_beside_others_and_is_not_reported_twice(paths):
    streams, rows = prepare(BLANK, ("torchvision",), 0, lambda text: None)
    assert set(streams) == {BASELINES["views"], "torchvision"}
    assert set(rows) == {"torchvision"}
    assert not rows["torchvision"].required


def test_a_baseline_that_nothing_is_compared_with_is_not_run(paths):
    streams, rows = prepare(BLANK, ("tf_data",), 0, lambda text: None)
    assert streams == {}
    assert rows["jaxcl: tf.data"].status == "not installed"


@pytest.mark.parametrize("part", ["views", "pipeline"])
def test_the_baseline_comes_first_in_its_table(part):
    for paths in (("jax",), ("tf_data",), ("torchvision",)):
        assert find_contenders(part, paths)[0].name == BASELINES[part]
