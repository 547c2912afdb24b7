"""Importing the losses loads JAX and nothing heavy."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

HEAVY = {"flax", "optax", "orbax", "grain", "tensorflow", "tensorflow_datasets"}
IMPORTS = (
    "import jaxcl",
    "import jaxcl.losses, jaxcl.pairs, jaxcl.metrics, jaxcl.testing",
    "import jaxcl.experiment, jaxcl.cli",
)


@pytest.fixture(scope="module")
def loaded():
    """The packages that a fresh process has loaded after each of the imports."""
    report = "print(*sorted(sys.modules))"
    program = "\n".join(["import sys", *(f"{line}; {report}" for line in IMPORTS)])
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    lines = ran.stdout.splitlines()
    return [{name.split(".")[0] for name in line.split()} for line in lines]


def test_the_package_itself_loads_nothing(loaded):
    assert "jax" not in loaded[0]


def test_the_losses_load_no_framework(loaded):
    assert "jax" in loaded[1]
    assert not loaded[1] & HEAVY


def test_training_loads_no_tensorflow(loaded):
    assert "optax" in loaded[2]
    assert "tensorflow" not in loaded[2]
