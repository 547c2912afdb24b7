"""All use of TensorFlow: an optional second input path."""

from jaxcl.data._tf._library import (
    hide_accelerators as hide_accelerators,
    tensorflow as tensorflow,
)

__all__ = ["hide_accelerators", "tensorflow"]
