"""What an encoder is, as plain data: a kind and its options."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flax import nnx
from jax.typing import DTypeLike

from jaxcl.kernels import AxisName
from jaxcl.models._checks import check_choice
from jaxcl.models._convnet import ConvNet
from jaxcl.models._encoder import Encoder, from_nnx
from jaxcl.models._lora import Lora, add_lora
from jaxcl.models._mlp import MLP
from jaxcl.models._resnet import ResNet
from jaxcl.models._simple_convnet import SimpleConvNet
from jaxcl.models._vit import ViT

_MODULES: dict[str, type[nnx.Module]] = {
    "convnet": ConvNet,
    "mlp": MLP,
    "resnet": ResNet,
    "simple_convnet": SimpleConvNet,
    "vit": ViT,
}
# What the images, the device and the run decide, and no option does.
_GIVEN = {"channels", "in_features", "image_shape", "axis_name", "dtype", "rngs"}

ImageShape = tuple[int, int, int]


@dataclass(frozen=True)
class Architecture:
    """An encoder as data: a checkpoint keeps it, and makes the encoder from it.

    Args:
        kind: "convnet", "mlp", "resnet", "simple_convnet" or "vit".
        options: Arguments of the module of that kind, other than the shape of its
            images, `axis_name`, `dtype` and `rngs`. Numbers, words and booleans.

    Raises:
        ValueError: No module is of this kind, or it has no such option.

    Example:
        >>> made = Architecture("resnet", {"depth": 18, "stem": "cifar"})
        >>> made == Architecture.from_dict(made.as_dict())
        True
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, _MODULES)
        for name in self.options:
            check_choice(
                f"option of {self.kind}", name, sorted(_arguments(self.kind) - _GIVEN)
            )

    def make_module(
        self,
        image_shape: ImageShape,
        *,
        axis_name: AxisName = None,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> nnx.Module:
        """The module for images of a shape, with new parameters."""
        height, width, channels = image_shape
        given = {
            "channels": channels,
            "in_features": height * width * channels,
            "image_shape": image_shape,
            "axis_name": axis_name,
            "dtype": dtype,
            "rngs": rngs,
        }
        shared = {name: given[name] for name in _arguments(self.kind) & _GIVEN}
        return _MODULES[self.kind](**shared, **self.options)

    def make_encoder(
        self,
        image_shape: ImageShape,
        *,
        axis_name: AxisName = None,
        dtype: DTypeLike | None = None,
        lora: Lora | None = None,
    ) -> Encoder:
        """The encoder for images of a shape; with `lora`, it has A and B as well."""

        def make(rngs: nnx.Rngs) -> nnx.Module:
            module = self.make_module(
                image_shape, axis_name=axis_name, dtype=dtype, rngs=rngs
            )
            return module if lora is None else add_lora(module, lora, rngs)

        return from_nnx(make)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"kind": self.kind, "options": dict(self.options)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Architecture":
        """Undoes `as_dict`; what a stranger has written is checked."""
        return cls(stored["kind"], stored["options"])


def _arguments(kind: str) -> set[str]:
    """The names of the arguments of the module of a kind."""
    return set(inspect.signature(_MODULES[kind].__init__).parameters) - {"self"}
