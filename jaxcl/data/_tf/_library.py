"""TensorFlow itself, loaded when it is first needed and kept off the accelerators."""

import functools
import importlib
import importlib.util
from typing import Any

from jaxcl.data._errors import DataError


@functools.cache
def tensorflow() -> Any:
    """The module; a `DataError` says how to install it."""
    if importlib.util.find_spec("tensorflow") is None:
        raise DataError(
            "tf.data needs TensorFlow: pip install 'jaxcl[tf]', or leave "
            "`data.pipeline` and `augmentation.on` as they are by default"
        )
    hide_accelerators()
    return importlib.import_module("tensorflow")


def hide_accelerators() -> None:
    """Hides GPU and TPU from TensorFlow, if installed: it would take JAX's memory."""
    if importlib.util.find_spec("tensorflow") is None:
        return
    tf = importlib.import_module("tensorflow")
    for kind in ("GPU", "TPU"):
        tf.config.set_visible_devices([], kind)
