"""A run whose encoder is taken elsewhere, for several files of tests."""

import pytest
from small_runs import TAKEN

import jaxcl


@pytest.fixture(scope="session")
def run(tmp_path_factory, data_dir):
    """Three steps, with channels that are normalized; do not change it."""
    workdir = tmp_path_factory.mktemp("taken") / "run"
    jaxcl.train(TAKEN, workdir, quiet=True)
    return workdir
