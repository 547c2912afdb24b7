import sys

import numpy as np
import pytest

from jaxcl.labs.benchmarks._calls import Prepared
from jaxcl.labs.benchmarks._contenders import CONTENDERS, find_contenders, why_not
from jaxcl.labs.benchmarks._memory import free_memory, measure_growth
from jaxcl.labs.benchmarks._peers import import_lightly

PLENTY = 1e15


def one(**fields):
    return CONTENDERS[0]._replace(**fields)


def test_what_is_not_installed_says_how_to_get_it():
    missing = one(package="a_package_of_nobody")
    assert why_not(missing, 64, PLENTY) == (
        "not installed",
        "pip install a-package-of-nobody",
    )


def test_caps_and_memory_keep_large_cases_out():
    assert why_not(one(max_rows=512), 512, PLENTY) is None
    status, reason = why_not(one(max_rows=512), 1024, PLENTY)
    assert status == "skipped"
    assert "512" in reason
    hungry = one(bytes_per_pair=4.0)
    assert why_not(hungry, 1024, 2**30) is None
    status, reason = why_not(hungry, 2**16, 2**30)
    assert (status, "16 GiB" in reason) == ("skipped", True)


def test_every_loss_has_ours_and_a_baseline_first():
    for loss in ("nt_xent", "info_nce", "supcon", "combined"):
        names = [entry.name for entry in find_contenders((loss,), peers=True)]
        assert names[:2] == ["jaxcl", "dense jnp"]
        assert len(find_contenders((loss,), peers=False)) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_growth_of_memory_is_that_of_the_call():
    # A larger peak that is over, as compilation leaves one, must not hide the call.
    np.ones(2**25).sum()
    found = measure_growth(Prepared(lambda: np.ones(2**23).sum()))
    assert 60 < found["growth"] / 2**20 < 90
    assert found["seconds"] > 0
    assert measure_growth(Prepared(lambda: None))["growth"] < 2**24
    assert free_memory() > 0


def test_lightly_is_found_with_or_without_its_torchvision():
    pytest.importorskip("torch")
    pytest.importorskip("pytorch_lightning")
    assert hasattr(import_lightly(), "NTXentLoss")
    assert not any(
        type(finder).__module__ == "jaxcl.labs.benchmarks._peers"
        for finder in sys.meta_path
    )
