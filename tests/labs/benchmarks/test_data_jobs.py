import pytest

from jaxcl.labs.benchmarks._data_contenders import CONTENDERS, find_contenders
from jaxcl.labs.benchmarks._data_jobs import compare, prepare, summarize
from jaxcl.labs.benchmarks._data_records import BASELINES, Speed
from jaxcl.labs.benchmarks._data_timing import Stream
from jaxcl.labs.benchmarks._timing import Samples

BLANK = Speed("views", "memory", "", 8, 2, 4)


def test_medians_and_ratios_are_of_the_same_rounds():
    found = summarize(
        Samples((2e-6, 4e-6, 9e-6), (1e-6, 1e-6, 1e-6)),
        Samples((1e-6, 4e-6, 3e-6), (2e-6, 2e-6, 2e-6)),
    )
    assert found["images_per_second"] == pytest.approx(250_000)
    assert found["cpu_us"] == pytest.approx(1.0)
    assert found["wall_ratio"] == pytest.approx(2.0)  # of 2, 1 and 3
    assert found["cpu_ratio"] == pytest.approx(0.5)


def test_a_path_is_compared_with_the_sum_of_its_operations():
    stall = compare(
        "a path",
        BLANK,
        Samples((6e-6, 6e-6, 6e-6), (9e-6, 9e-6, 9e-6)),
        {
            "read": Samples((1e-6, 1e-6, 3e-6), (1e-6, 1e-6, 1e-6)),
            "views": Samples((3e-6, 4e-6, 3e-6), (2e-6, 2e-6, 2e-6)),
        },
    )
    assert stall.operations_us == pytest.approx({"read": 1.0, "views": 3.0})
    assert stall.wall_ratio == pytest.approx(1.2)  # of 6/4, 6/5 and 6/6
    assert stall.cpu_ratio == pytest.approx(3.0)
    assert stall.busy == pytest.approx(9 / 6 / 2)


def test_what_cannot_start_is_excused_and_the_others_go_on(monkeypatch):
    def fail(material):
        raise ValueError("it is not\nto be")

    def stream(material):
        return Stream(lambda: iter([material]), images=1)

    table = []
    for one in CONTENDERS:
        if one.part == "views":
            make = fail if one.name == "torchvision" else stream
            package = "no_such_package" if one.path == "tf_data" else "jax"
            table.append(one._replace(make=make, package=package))
    monkeypatch.setattr("jaxcl.labs.benchmarks._data_contenders.CONTENDERS", table)
    monkeypatch.setitem(
        __import__("jaxcl.labs.benchmarks._data_contenders", fromlist=["_"])._INSTALL,
        "no_such_package",
        "pip install it",
    )
    paths = ("jax", "tf_data", "torchvision")
    streams, speeds = prepare("views", paths, 0, BLANK, lambda text: None)
    assert list(streams) == [BASELINES["views"]]
    found = {name: (one.status, one.reason) for name, one in speeds.items()}
    assert found == {
        "jaxcl: JAX": ("measured", ""),
        "jaxcl: tf.data": ("not installed", "pip install it"),
        "tf.data with tf.image": ("not installed", "pip install it"),
        "torchvision": ("failed", "ValueError: it is not"),
    }


def test_the_baseline_runs_beside_others_and_is_not_reported_twice(monkeypatch):
    monkeypatch.setattr(
        "jaxcl.labs.benchmarks._data_contenders.CONTENDERS",
        [
            one._replace(make=lambda _: Stream(lambda: iter([0]), 1), package="jax")
            for one in CONTENDERS
        ],
    )
    streams, speeds = prepare("views", ("torchvision",), 0, BLANK, lambda text: None)
    assert set(streams) == {BASELINES["views"], "torchvision"}
    assert set(speeds) == {"torchvision"}
    assert not speeds["torchvision"].ours


def test_a_baseline_that_nothing_is_compared_with_is_not_run(monkeypatch):
    monkeypatch.setattr(
        "jaxcl.labs.benchmarks._data_jobs.why_not",
        lambda one: None if one.path == "jax" else "pip install it",
    )
    monkeypatch.setattr(
        "jaxcl.labs.benchmarks._data_contenders.CONTENDERS",
        [
            one._replace(make=lambda _: Stream(lambda: iter([0]), 1))
            for one in CONTENDERS
        ],
    )
    streams, speeds = prepare("views", ("torchvision",), 0, BLANK, lambda text: None)
    assert streams == {}
    assert speeds["torchvision"].status == "not installed"


@pytest.mark.parametrize("part", ["views", "pipeline"])
def test_the_baseline_comes_first_in_its_table(part):
    for paths in (("jax",), ("tf_data",), ("torchvision",)):
        assert find_contenders(part, paths)[0].name == BASELINES[part]
