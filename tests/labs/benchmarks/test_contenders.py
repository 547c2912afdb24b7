import dataclasses
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.labs.benchmarks import LossesBenchmark, Measurement
from jaxcl.labs.benchmarks._losses import _contenders, _jobs
from jaxcl.labs.benchmarks._losses._calls import Prepared
from jaxcl.labs.benchmarks._losses._contenders import (
    CONTENDERS,
    check_contender,
    find_contenders,
)
from jaxcl.labs.benchmarks._losses._memory import free_memory, measure_growth
from jaxcl.labs.benchmarks._losses._peers import EmptyTorchvision, import_lightly
from jaxcl.labs.benchmarks._measurement import Excuse, attempt

PLENTY = 1e15
ROW = Measurement("losses", "", 64, {"loss": "nt_xent", "dtype": "float32"}, "wall")


def one(**fields):
    return CONTENDERS[0]._replace(**fields)


def excuse(*arguments):
    with pytest.raises(Excuse) as raised:
        check_contender(*arguments)
    return raised.value.status, str(raised.value)


def test_what_is_not_installed_says_how_to_get_it():
    found = excuse(one(package="a_package_of_nobody"), 64, PLENTY)
    assert found == ("not installed", "pip install a-package-of-nobody")


def test_caps_and_memory_keep_large_cases_out():
    check_contender(one(max_rows=512), 512, PLENTY)
    status, reason = excuse(one(max_rows=512), 1024, PLENTY)
    assert status == "skipped"
    assert "512" in reason
    hungry = one(bytes_per_pair=4.0)
    check_contender(hungry, 1024, 2**30)
    status, reason = excuse(hungry, 2**16, 2**30)
    assert (status, "16 GiB" in reason) == ("skipped", True)


def test_every_loss_has_ours_and_a_baseline_first():
    for loss in ("nt_xent", "info_nce", "supcon", "combined"):
        names = [entry.name for entry in find_contenders((loss,), peers=True)]
        assert names[:2] == ["jaxcl", "dense jnp"]
        assert len(find_contenders((loss,), peers=False)) == 2


def test_what_cannot_start_says_why():
    def fail():
        raise ValueError("it is not\nto be")

    found, row = attempt(ROW, fail)
    assert found is None
    assert (row.status, row.reason) == ("failed", "ValueError: it is not")
    assert attempt(ROW, lambda: 3) == (3, ROW)


def test_a_loss_is_timed_only_beside_a_dense_one_with_the_same_gradient(monkeypatch):
    def scaled(factor):
        return lambda u, v, *_, **fixed: factor * jnp.sum(u * v)

    monkeypatch.setattr(
        _contenders,
        "CONTENDERS",
        (
            one(function=scaled(1.01)),
            one(name="dense jnp", function=scaled(1.0)),
            one(name="peer", function=scaled(2.0)),
        ),
    )
    monkeypatch.setattr(_jobs, "matmul_peak", lambda dtype: 1e9)
    setting = {"loss": "nt_xent", "dim": 4, "dtype": "float32", "threads": None}
    blank = Measurement("losses", "all", 8, setting, "wall")
    options = LossesBenchmark(losses=("nt_xent",), rounds=3, seconds=1.0)
    found = list(_jobs.time_losses(blank, options, tell=lambda text: None))
    apart = {
        row.contender: row for row in found if row.quantity == "gradient difference"
    }
    assert apart["jaxcl"].value == pytest.approx(0.01, rel=1e-3)
    assert apart["jaxcl"].status == "failed"
    assert apart["jaxcl"].reason == "gradient differs from the dense one by 1.0e-02"
    assert apart["jaxcl"].required
    assert apart["peer"].status == "measured"
    walls = [row for row in found if row.quantity == "wall"]
    assert [len(row.samples) for row in walls] == [3, 3, 3]


def test_a_gradient_that_is_nan_is_not_the_dense_one():
    row = dataclasses.replace(ROW, contender="jaxcl")
    nan = (1.0, np.array([np.nan]))
    *_, last = _jobs.compare(row, nan, (1.0, np.array([1.0])))
    assert last.status == "failed"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_growth_of_memory_is_that_of_the_call():
    # A larger peak that is over, as compilation leaves one, must not hide the call.
    np.ones(2**25).sum()
    growth, seconds, _ = measure_growth(Prepared(lambda: np.ones(2**23).sum()))
    assert 60 < growth / 2**20 < 90
    assert seconds > 0
    assert measure_growth(Prepared(lambda: None))[0] < 2**24
    assert free_memory() > 0


def test_an_empty_torchvision_has_a_class_of_any_name(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [EmptyTorchvision(), *sys.meta_path])
    for name in ("torchvision", "torchvision.ops", "torchvision.ops.misc"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    from torchvision.ops.misc import MLP

    class Head(MLP):
        pass

    assert Head().__class__.__name__ == "Head"
    for name in ("torchvision", "torchvision.ops", "torchvision.ops.misc"):
        del sys.modules[name]


def test_lightly_is_found_with_or_without_its_torchvision():
    pytest.importorskip("torch")
    pytest.importorskip("pytorch_lightning")
    assert hasattr(import_lightly(), "NTXentLoss")
    assert not any(isinstance(finder, EmptyTorchvision) for finder in sys.meta_path)
