"""Importing the losses loads JAX and nothing heavy."""

import subprocess
import sys

HEAVY = ("flax", "optax", "orbax", "grain", "tensorflow", "tensorflow_datasets")


def loaded_by(statement):
    program = f"import sys\n{statement}\nprint(*sorted(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in ran.stdout.split()}


def test_the_losses_load_no_framework():
    rooms = "import jaxcl.losses, jaxcl.pairs, jaxcl.metrics, jaxcl.kernels"
    assert not loaded_by(rooms) & set(HEAVY)


def test_the_package_itself_loads_nothing():
    assert "jax" not in loaded_by("import jaxcl")


def test_training_loads_no_tensorflow():
    assert "tensorflow" not in loaded_by("import jaxcl.experiment, jaxcl.cli")
