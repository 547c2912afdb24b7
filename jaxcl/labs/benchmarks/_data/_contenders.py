"""The table of input paths that are compared."""

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from jaxcl.labs.benchmarks._data import _peers, _pipeline, _views
from jaxcl.labs.benchmarks._data._options import PathName
from jaxcl.labs.benchmarks._data._streams import Stream
from jaxcl.labs.benchmarks._measurement import Excuse

_KEPT, _BYTES = "images kept on the device + JAX views", "torchvision, bytes in memory"
# What the others of each part are compared with.
BASELINES = {"views": "jaxcl: JAX", "pipeline": "grain + JAX views"}
_PACKAGES = {"jax": "jax", "tf_data": "tensorflow", "torchvision": "torchvision"}
_INSTALL = {
    "tensorflow": "pip install 'jaxcl[tf]'",
    "torchvision": "pip install torchvision",
}


class Contender(NamedTuple):
    """One implementation of views, or of a whole path."""

    part: str
    path: PathName
    name: str
    make: Callable[..., Stream]
    """Takes `Pictures`, or `Files` in the part "pipeline"."""
    ours: bool = True


_images, _to_views = _pipeline.images_of, _pipeline.device_views
# TensorFlow must not be loaded before torch, whose Triton then crashes: torchvision is
# measured in a process of its own, together with the baseline.
CONTENDERS: tuple[Contender, ...] = (
    Contender("views", "jax", BASELINES["views"], _views.jax_views),
    Contender("views", "tf_data", "jaxcl: tf.data", _views.tf_views),
    Contender(
        "views", "tf_data", "tf.data with tf.image", _peers.tf_image_views, False
    ),
    Contender("views", "torchvision", "torchvision", _peers.torchvision_views, False),
    Contender("pipeline", "jax", BASELINES["pipeline"], partial(_to_views, "grain")),
    Contender("pipeline", "jax", "grain, images only", partial(_images, "grain")),
    Contender("pipeline", "jax", _KEPT, _pipeline.kept_views),
    Contender(
        "pipeline", "tf_data", "tf.data, images only", partial(_images, "tf_data")
    ),
    Contender(
        "pipeline", "tf_data", "tf.data + JAX views", partial(_to_views, "tf_data")
    ),
    Contender(
        "pipeline", "tf_data", "tf.data, views on the host", _pipeline.host_views
    ),
    Contender("pipeline", "torchvision", _BYTES, _peers.torchvision_pipeline, False),
)


def find_contenders(part: str, paths: tuple[str, ...]) -> list[Contender]:
    """The rows of the table for some paths; the baseline comes first in any case."""
    return [
        one
        for one in CONTENDERS
        if one.part == part and (one.path in paths or one.name == BASELINES[part])
    ]


def make_stream(contender: Contender, material: Any) -> Stream:
    """A contender's stream; raises `Excuse` where what it needs is not installed."""
    package = _PACKAGES[contender.path]
    if importlib.util.find_spec(package) is None:
        raise Excuse("not installed", _INSTALL[package])
    return contender.make(material)
