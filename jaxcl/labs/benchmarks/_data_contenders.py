"""The table of input paths that are compared."""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxcl.labs.benchmarks import _data_peers, _data_pipeline, _data_views
from jaxcl.labs.benchmarks._data_options import PathName
from jaxcl.labs.benchmarks._data_pipeline import Files
from jaxcl.labs.benchmarks._data_records import BASELINES, Part
from jaxcl.labs.benchmarks._data_timing import Stream

_INSTALL = {
    "tensorflow": "pip install 'jaxcl[tf]'",
    "torchvision": "pip install torchvision",
}


class Contender(NamedTuple):
    """One implementation of views, or of a whole path."""

    part: Part
    path: PathName
    name: str
    make: Callable[[Any], Stream]
    """From images in memory, or from the files of a data set."""
    package: str = "jax"
    ours: bool = True


def _torchvision_pipeline(files: Files) -> Stream:
    from jaxcl.labs.benchmarks._data_operations import read_encoded

    return _data_peers.torchvision_pipeline(
        read_encoded(files, 0), files.size, files.batch_size
    )


# TensorFlow must not be loaded before torch, whose Triton then crashes: torchvision is
# measured in a process of its own, together with the baseline.
CONTENDERS: tuple[Contender, ...] = (
    Contender("views", "jax", BASELINES["views"], _data_views.jax_views),
    Contender("views", "tf_data", "jaxcl: tf.data", _data_views.tf_views, "tensorflow"),
    Contender(
        "views",
        "tf_data",
        "tf.data with tf.image",
        _data_peers.tf_image_views,
        "tensorflow",
        ours=False,
    ),
    Contender(
        "views",
        "torchvision",
        "torchvision",
        _data_peers.torchvision_views,
        "torchvision",
        ours=False,
    ),
    Contender("pipeline", "jax", BASELINES["pipeline"], _data_pipeline.grain_views),
    Contender("pipeline", "jax", "grain, images only", _data_pipeline.grain_images),
    Contender(
        "pipeline",
        "jax",
        "images kept on the device + JAX views",
        _data_pipeline.kept_views,
    ),
    Contender(
        "pipeline",
        "tf_data",
        "tf.data, images only",
        _data_pipeline.tf_images,
        "tensorflow",
    ),
    Contender(
        "pipeline",
        "tf_data",
        "tf.data + JAX views",
        _data_pipeline.tf_device_views,
        "tensorflow",
    ),
    Contender(
        "pipeline",
        "tf_data",
        "tf.data, views on the host",
        _data_pipeline.tf_host_views,
        "tensorflow",
    ),
    Contender(
        "pipeline",
        "torchvision",
        "torchvision, bytes in memory",
        _torchvision_pipeline,
        "torchvision",
        ours=False,
    ),
)


def find_contenders(part: Part, paths: tuple[str, ...]) -> list[Contender]:
    """The rows of the table for some paths; the baseline comes first in any case."""
    return [
        one
        for one in CONTENDERS
        if one.part == part and (one.path in paths or one.name == BASELINES[part])
    ]


def why_not(contender: Contender) -> str | None:
    """How to install what a contender needs; None when it is there."""
    if importlib.util.find_spec(contender.package) is not None:
        return None
    return _INSTALL[contender.package]
