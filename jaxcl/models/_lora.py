"""Low-rank adaptation (LoRA) of the linear layers of an encoder."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PyTree

from jaxcl.models._checks import check_choice, check_count

LoraLayers = Literal["attention", "mlp", "all"]

# The linear layers of a block of a transformer.
_NAMES = {
    "attention": ("qkv", "out"),
    "mlp": ("up", "down"),
    "all": ("qkv", "out", "up", "down"),
}

# U(−1/√inputs, 1/√inputs), as in the released code of the paper and in PEFT.
_START = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


@dataclass(frozen=True)
class Lora:
    r"""Which linear layers get x·W + (alpha / rank) · x·A·B in place of x·W.

    A is `[inputs, rank]` and random, B is `[rank, outputs]` and starts at 0, so that
    the encoder starts as it was. In training, A and B are the only parameters of the
    encoder that move: weights, biases and norms are those of the start.

    Args:
        rank: Columns of A.
        alpha: Numerator of the factor alpha / rank.
        layers: "attention": queries, keys and values (one matrix) and the output of the
            attention; "mlp": both layers on each token; or "all".

    References:
        Hu et al., LoRA: low-rank adaptation of large language models, arXiv 2106.09685,
        section 4.1.
    """

    rank: int = 8
    alpha: float = 16.0
    layers: LoraLayers = "attention"

    def __post_init__(self) -> None:
        check_count("rank", self.rank, 1)
        check_choice("layers", self.layers, get_args(LoraLayers))


def add_lora(module: nnx.Module, lora: Lora, rngs: nnx.Rngs) -> nnx.Module:
    """Replaces linear layers in the blocks of a module, and returns the module.

    Raises:
        ValueError: The module has no such layers.
    """
    replaced = 0
    for _, part in list(nnx.iter_graph(module)):
        for name in _NAMES[lora.layers]:
            linear = getattr(part, name, None)
            if isinstance(linear, nnx.Linear):
                setattr(part, name, _LoraLinear(linear, lora, rngs))
                replaced += 1
    if not replaced:
        raise ValueError(
            "`module` must have linear layers of a transformer for LoRA "
            f"({', '.join(_NAMES[lora.layers])}), got {type(module).__name__}"
        )
    return module


def merge_lora(params: PyTree, alpha: float) -> PyTree:
    """The parameters of the encoder without LoRA that gives the same embeddings.

    W + (alpha / rank) · A·B replaces each W. Embeddings are equal up to rounding.

    Args:
        params: Parameters, nested dicts; without LoRA, they are returned as they are.
        alpha: That of the `Lora` with which they were trained.

    Example:
        >>> params = {"kernel": jnp.zeros((2, 1)), "lora_a": jnp.ones((2, 1))}
        >>> merge_lora({**params, "lora_b": jnp.ones((1, 1))}, alpha=3.0)
        {'kernel': Array([[3.],
               [3.]], dtype=float32)}
    """
    if not isinstance(params, dict):
        return params
    merged = {name: merge_lora(part, alpha) for name, part in params.items()}
    if not is_lora(merged):
        return merged
    down, up = merged.pop("lora_a"), merged.pop("lora_b")
    change = jnp.matmul(down, up, precision="highest") * (alpha / down.shape[1])
    return {**merged, "kernel": merged["kernel"] + change}


def with_base(params: PyTree, base: PyTree) -> PyTree:
    """Parameters with LoRA, whose others are those of `base`."""
    if not isinstance(base, dict):
        return base
    filled = {name: with_base(params[name], part) for name, part in base.items()}
    return {**params, **filled}


def is_lora(part: Any) -> bool:
    """Whether a dict of parameters is that of a layer with LoRA."""
    return {"lora_a", "lora_b"} <= part.keys()


class _LoraLinear(nnx.Linear):
    """A linear layer with A and B beside its own parameters."""

    def __init__(self, linear: nnx.Linear, lora: Lora, rngs: nnx.Rngs):
        inputs, outputs = linear.in_features, linear.out_features
        super().__init__(
            inputs,
            outputs,
            use_bias=linear.bias is not None,
            dtype=linear.dtype,
            precision=linear.precision,
            rngs=rngs,
        )
        self.kernel, self.bias = linear.kernel, linear.bias
        self.factor = lora.alpha / lora.rank
        self.lora_a = nnx.Param(_START(rngs.params(), (inputs, lora.rank)))
        self.lora_b = nnx.Param(jnp.zeros((lora.rank, outputs)))

    def __call__(
        self, inputs: Float[Array, "*batch inputs"]
    ) -> Float[Array, "*batch outputs"]:
        """Returns x·W + b + (alpha / rank) · x·A·B."""
        rows, down, up = self.promote_dtype(
            (inputs, self.lora_a[...], self.lora_b[...]), dtype=self.dtype
        )
        return super().__call__(inputs) + self.factor * (rows @ down @ up)
