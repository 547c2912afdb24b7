"""Checks that the losses import where nothing but their four packages is.

It also prints how long that takes.

Run it in an environment made by `pip install jaxcl`, without extras.
"""

import subprocess
import sys

FORBIDDEN = ("flax", "optax", "orbax", "tensorflow", "tensorflow_datasets", "sklearn")


def import_seconds(statement: str) -> float:
    """The shortest of five imports, each in a process of its own."""
    program = (
        "import jax, time\n"
        "start = time.perf_counter()\n"
        f"{statement}\n"
        "print(time.perf_counter() - start)\n"
    )
    runs = [subprocess.check_output([sys.executable, "-c", program]) for _ in range(5)]
    return min(map(float, runs))


def main() -> None:
    import jax.numpy as jnp

    import jaxcl
    from jaxcl.losses import nt_xent_loss

    loaded = [name for name in FORBIDDEN if name in sys.modules]
    assert not loaded, f"importing the losses loaded {loaded}"
    loss = float(nt_xent_loss(jnp.eye(2), jnp.eye(2), temperature=1.0))
    assert abs(loss - 0.5514) < 1e-4, loss
    print(f"jaxcl {jaxcl.__version__}: nt_xent_loss works without extras")
    for statement in ("import jaxcl", "import jaxcl.losses"):
        seconds = import_seconds(statement)
        print(f"{statement}: {seconds * 1000:.0f} ms beyond `import jax`")


if __name__ == "__main__":
    main()
