"""All that this library has to do with TensorFlow; the tf.data pipeline comes here."""

import importlib
import importlib.util


def hide_accelerators() -> None:
    """Keeps TensorFlow, where it is installed, away from GPU and TPU.

    It would take the memory that JAX needs.
    """
    if importlib.util.find_spec("tensorflow") is None:
        return
    tf = importlib.import_module("tensorflow")
    for kind in ("GPU", "TPU"):
        tf.config.set_visible_devices([], kind)
