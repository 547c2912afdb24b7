"""Names of the files of DINOv2 and DINOv3, as their own code writes them.

dinov2/models/vision_transformer.py and dinov3/models/vision_transformer.py of
github.com/facebookresearch. Both name most arrays as timm does.
"""

from jaxcl.models._weights._table import Row
from jaxcl.models._weights._timm import (
    BLOCK_ROWS,
    NORM_ROWS,
    PATCH_ROWS,
    QKV_BIAS,
    SCALE_ROWS,
)

V2_ROWS = (
    Row("cls_token", "token", when="class_token"),
    Row("register_tokens", "registers", when="registers"),
    Row("pos_embed", "positions", "positions", when="learned"),
    *PATCH_ROWS,
    *BLOCK_ROWS,
    QKV_BIAS,
    *SCALE_ROWS,
    *NORM_ROWS,
)
_QKV_BIAS = "blocks.{i}.attn.qkv.bias"
V3_ROWS = (
    Row("cls_token", "token", when="class_token"),
    Row("storage_tokens", "registers", when="registers"),
    *PATCH_ROWS,
    *BLOCK_ROWS,
    # The keys have none: `bias_mask` removes it from theirs.
    Row(_QKV_BIAS, "block{i}.query_bias", "query", when="query_value_bias"),
    Row(_QKV_BIAS, "block{i}.value_bias", "value", when="query_value_bias"),
    *SCALE_ROWS,
    *NORM_ROWS,
)
