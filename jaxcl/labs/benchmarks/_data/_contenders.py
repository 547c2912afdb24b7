"""The table of input paths that are compared."""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxcl.labs.benchmarks._data import _peers, _pipeline, _views
from jaxcl.labs.benchmarks._data._options import PathName
from jaxcl.labs.benchmarks._data._streams import Stream
from jaxcl.labs.benchmarks._measurement import Excuse

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
    make: Callable[[Any], Stream]
    """From images in memory, or from the files of a data set."""
    ours: bool = True


# TensorFlow must not be loaded before torch, whose Triton then crashes: torchvision is
# measured in a process of its own, together with the baseline.
CONTENDERS: tuple[Contender, ...] = (
    Contender("views", "jax", BASELINES["views"], _views.jax_views),
    Contender("views", "tf_data", "jaxcl: tf.data", _views.tf_views),
    Contender(
        "views", "tf_data", "tf.data with tf.image", _peers.tf_image_views, ours=False
    ),
    Contender(
        "views", "torchvision", "torchvision", _peers.torchvision_views, ours=False
    ),
    Contender("pipeline", "jax", BASELINES["pipeline"], _pipeline.grain_views),
    Contender("pipeline", "jax", "grain, images only", _pipeline.grain_images),
    Contender(
        "pipeline", "jax", "images kept on the device + JAX views", _pipeline.kept_views
    ),
    Contender("pipeline", "tf_data", "tf.data, images only", _pipeline.tf_images),
    Contender("pipeline", "tf_data", "tf.data + JAX views", _pipeline.tf_device_views),
    Contender(
        "pipeline", "tf_data", "tf.data, views on the host", _pipeline.tf_host_views
    ),
    Contender(
        "pipeline",
        "torchvision",
        "torchvision, bytes in memory",
        _peers.torchvision_pipeline,
        ours=False,
    ),
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
