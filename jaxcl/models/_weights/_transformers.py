"""Names of ``Dinov2Model`` and ``DINOv3ViTModel`` of the package transformers."""

from jaxcl.models._weights._table import Row


def _block_rows(layer: str, up: str, down: str) -> tuple[Row, ...]:
    """What both name alike, but for the layer and its two linear maps."""
    stacked = tuple(f"{layer}.attention.{part}_proj.weight" for part in "qkv")
    return (
        Row(f"{layer}.norm1.weight", "block{i}.norm1.scale"),
        Row(f"{layer}.norm1.bias", "block{i}.norm1.bias"),
        Row(stacked, "block{i}.qkv.kernel", "linear"),
        Row(f"{layer}.attention.o_proj.weight", "block{i}.out.kernel", "linear"),
        Row(f"{layer}.attention.o_proj.bias", "block{i}.out.bias"),
        Row(f"{layer}.layer_scale1.lambda1", "block{i}.scale1", when="layer_scale"),
        Row(f"{layer}.norm2.weight", "block{i}.norm2.scale"),
        Row(f"{layer}.norm2.bias", "block{i}.norm2.bias"),
        Row(f"{layer}.mlp.{up}.weight", "block{i}.up.kernel", "linear"),
        Row(f"{layer}.mlp.{up}.bias", "block{i}.up.bias"),
        Row(f"{layer}.mlp.{down}.weight", "block{i}.down.kernel", "linear"),
        Row(f"{layer}.mlp.{down}.bias", "block{i}.down.bias"),
        Row(f"{layer}.layer_scale2.lambda1", "block{i}.scale2", when="layer_scale"),
    )


_V2 = "encoder.layer.{i}"
_V3 = "layer.{i}"
_TOKEN_ROWS = (
    Row("embeddings.cls_token", "token", when="class_token"),
    Row("embeddings.register_tokens", "registers", when="registers"),
)
V2_ROWS = (
    *_TOKEN_ROWS,
    Row("embeddings.position_embeddings", "positions", "positions", when="learned"),
    Row("embeddings.patch_embeddings.projection.weight", "embed.kernel", "patches"),
    Row("embeddings.patch_embeddings.projection.bias", "embed.bias", when="embed_bias"),
    *_block_rows(_V2, "fc1", "fc2"),
    Row(
        tuple(f"{_V2}.attention.{part}_proj.bias" for part in "qkv"),
        "block{i}.qkv.bias",
        when="qkv_bias",
    ),
    Row("layernorm.weight", "norm.scale", when="norm"),
    Row("layernorm.bias", "norm.bias", when="norm"),
)
V3_ROWS = (
    *_TOKEN_ROWS,
    Row("embeddings.patch_embeddings.weight", "embed.kernel", "patches"),
    Row("embeddings.patch_embeddings.bias", "embed.bias", when="embed_bias"),
    *_block_rows(_V3, "up_proj", "down_proj"),
    Row(f"{_V3}.attention.q_proj.bias", "block{i}.query_bias", when="query_value_bias"),
    Row(f"{_V3}.attention.v_proj.bias", "block{i}.value_bias", when="query_value_bias"),
    Row("norm.weight", "norm.scale", when="norm"),
    Row("norm.bias", "norm.bias", when="norm"),
)
