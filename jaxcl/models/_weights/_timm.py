"""Names of timm's vision transformers.

``VisionTransformer`` (timm/models/vision_transformer.py) names most of them; ``Eva``
(timm/models/eva.py) those of DINOv3.
"""

from jaxcl.models._weights._table import Row

BLOCK_ROWS = (
    Row("blocks.{i}.norm1.weight", "block{i}.norm1.scale"),
    Row("blocks.{i}.norm1.bias", "block{i}.norm1.bias"),
    Row("blocks.{i}.attn.qkv.weight", "block{i}.qkv.kernel", "linear"),
    Row("blocks.{i}.attn.proj.weight", "block{i}.out.kernel", "linear"),
    Row("blocks.{i}.attn.proj.bias", "block{i}.out.bias"),
    Row("blocks.{i}.norm2.weight", "block{i}.norm2.scale"),
    Row("blocks.{i}.norm2.bias", "block{i}.norm2.bias"),
    Row("blocks.{i}.mlp.fc1.weight", "block{i}.up.kernel", "linear"),
    Row("blocks.{i}.mlp.fc1.bias", "block{i}.up.bias"),
    Row("blocks.{i}.mlp.fc2.weight", "block{i}.down.kernel", "linear"),
    Row("blocks.{i}.mlp.fc2.bias", "block{i}.down.bias"),
)
PATCH_ROWS = (
    Row("patch_embed.proj.weight", "embed.kernel", "patches"),
    Row("patch_embed.proj.bias", "embed.bias", when="embed_bias"),
)
SCALE_ROWS = (
    Row("blocks.{i}.ls1.gamma", "block{i}.scale1", when="layer_scale"),
    Row("blocks.{i}.ls2.gamma", "block{i}.scale2", when="layer_scale"),
)
QKV_BIAS = Row("blocks.{i}.attn.qkv.bias", "block{i}.qkv.bias", when="qkv_bias")
NORM_ROWS = (
    Row("norm.weight", "norm.scale", when="norm"),
    Row("norm.bias", "norm.bias", when="norm"),
)
POOLED_NORM_ROWS = (
    Row("fc_norm.weight", "norm.scale", when="norm_after_pool"),
    Row("fc_norm.bias", "norm.bias", when="norm_after_pool"),
)
ROWS = (
    Row("cls_token", "token", when="class_token"),
    Row("reg_token", "registers", when="registers"),
    Row("pos_embed", "positions", "positions", when="learned"),
    *PATCH_ROWS,
    Row("norm_pre.weight", "norm_pre.scale", when="pre_norm"),
    Row("norm_pre.bias", "norm_pre.bias", when="pre_norm"),
    *BLOCK_ROWS,
    QKV_BIAS,
    *SCALE_ROWS,
    *NORM_ROWS,
    *POOLED_NORM_ROWS,
)
ROPE_ROWS = (
    Row("cls_token", "token", when="class_token"),
    Row("reg_token", "registers", when="registers"),
    *PATCH_ROWS,
    *BLOCK_ROWS,
    Row("blocks.{i}.attn.q_bias", "block{i}.query_bias", when="query_value_bias"),
    Row("blocks.{i}.attn.v_bias", "block{i}.value_bias", when="query_value_bias"),
    Row("blocks.{i}.gamma_1", "block{i}.scale1", when="layer_scale"),
    Row("blocks.{i}.gamma_2", "block{i}.scale2", when="layer_scale"),
    *NORM_ROWS,
    *POOLED_NORM_ROWS,
)
