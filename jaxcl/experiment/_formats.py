"""Formats in which an encoder leaves its run: how each is written, and run again."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxcl.experiment._trained import TrainedEncoder
from jaxcl.models import load_pretrained, save_pretrained

Run = Callable[[np.ndarray], np.ndarray]
"""uint8 images `[b, h, w, c]` to float32 rows `[b, dim]`."""


class ExportError(RuntimeError):
    """Raised when an encoder cannot be written in a format, or runs otherwise there."""


class Format(NamedTuple):
    """A file format."""

    suffix: str
    bound: float
    """The largest difference from the run, as a share of the largest entry."""
    precision: str | None
    """That of the run's products in the comparison; None = as JAX is set."""
    write: Callable[[TrainedEncoder, Path], str]
    """Returns what else there is to say to a reader."""
    open: Callable[[TrainedEncoder, Path], Run]
    """Runs a file of this format by other code than that of the run."""
    library: str
    """What the Hugging Face hub calls the library that reads it."""
    code: str
    """How a reader loads and runs the file, with the names {file} and {shape}."""
    notes: str


def _write_safetensors(trained: TrainedEncoder, path: Path) -> str:
    """Writes the weights alone, under the names that other libraries know."""
    line = save_pretrained(trained.pretrained, path)
    return f"In one line: `{line.replace(str(path), path.name)}`"


def _open_safetensors(trained: TrainedEncoder, path: Path) -> Run:
    dtype = jnp.dtype(trained.config.model.dtype)
    encoder = load_pretrained(path).make_encoder(dtype=dtype)
    key = jax.random.key(0)
    params, model_state = encoder.init(key, jnp.zeros(()))

    @jax.jit
    def embed(images):
        scaled = images.astype(jnp.float32) / 255.0
        return encoder.apply(params, model_state, scaled, False, key)[0]

    return lambda images: np.asarray(embed(images), np.float32)


def _write_stablehlo(trained: TrainedEncoder, path: Path) -> str:
    """Writes a program with its weights, for any number of images."""
    import flatbuffers as flatbuffers  # JAX needs it and does not require it

    (batch,) = export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, *trained.image_shape), jnp.uint8)
    write = export.export(jax.jit(trained.apply), platforms=("cpu", "cuda", "tpu"))
    path.write_bytes(write(images).serialize())
    return ""


def _open_stablehlo(trained: TrainedEncoder, path: Path) -> Run:
    del trained
    call = export.deserialize(bytearray(path.read_bytes())).call
    return lambda images: np.asarray(call(images))


def _write_onnx(trained: TrainedEncoder, path: Path) -> str:
    import jax2onnx  # type: ignore[import-not-found]

    try:
        model = jax2onnx.to_onnx(
            trained.apply,
            [jax.ShapeDtypeStruct(("batch", *trained.image_shape), jnp.uint8)],
            model_name="encoder",
            input_names=["images"],
            output_names=["embeddings"],
        )
        path.write_bytes(model.SerializeToString())
    except OSError:
        raise
    except Exception as error:  # whatever the converter raises
        raise ExportError(f"jax2onnx cannot convert this encoder: {error}") from error
    return ""


def _open_onnx(trained: TrainedEncoder, path: Path) -> Run:
    del trained
    import onnxruntime  # type: ignore[import-not-found]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    try:
        session = onnxruntime.InferenceSession(str(path), options)
    except Exception as error:  # it has exceptions of its own
        raise ExportError(f"onnxruntime cannot load the file: {error}") from error

    def run(images: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(session.run(None, {"images": images})[0])
        except Exception as error:
            raise ExportError(f"onnxruntime cannot run the file: {error}") from error

    return run


_SAFETENSORS_CODE = """\
import jax
import jax.numpy as jnp
import numpy as np
from jaxcl.models import load_pretrained

images = np.zeros((2, {shape}), np.uint8)  # yours
encoder, key = load_pretrained("{file}").make_encoder(), jax.random.key(0)
params, model_state = encoder.init(key, jnp.zeros(()))
scaled = jnp.asarray(images, jnp.float32) / 255
embeddings, _ = encoder.apply(params, model_state, scaled, False, key)
"""

_STABLEHLO_CODE = """\
import numpy as np
from jax import export

images = np.zeros((2, {shape}), np.uint8)  # yours
with open("{file}", "rb") as file:
    encoder = export.deserialize(bytearray(file.read()))
embeddings = encoder.call(images)  # float32 [images, {dim}]
"""

_ONNX_CODE = """\
import numpy as np
import onnxruntime

images = np.zeros((2, {shape}), np.uint8)  # yours
session = onnxruntime.InferenceSession("{file}")
(embeddings,) = session.run(None, {{"images": images}})  # float32 [images, {dim}]
"""

FORMATS = {
    "safetensors": Format(
        ".safetensors",
        1e-5,
        "highest",
        _write_safetensors,
        _open_safetensors,
        "jaxcl",
        _SAFETENSORS_CODE,
        "These are weights alone, and no program. The file says what encoder they are\n"
        "of, and how its images are normalized.",
    ),
    "stablehlo": Format(
        ".stablehlo",
        1e-6,
        None,
        _write_stablehlo,
        _open_stablehlo,
        "jax",
        _STABLEHLO_CODE,
        "It needs the packages jax and flatbuffers, on a CPU, a CUDA GPU or a TPU.\n"
        "JAX promises to read such a file for six months after the version that\n"
        "wrote it, and to read files of a version up to three weeks newer than\n"
        "itself. Later versions may refuse it: keep the run, to write it again.",
    ),
    "onnx": Format(
        ".onnx",
        1e-4,
        "highest",
        _write_onnx,
        _open_onnx,
        "onnx",
        _ONNX_CODE,
        "It needs onnxruntime, or another reader of ONNX.",
    ),
}
