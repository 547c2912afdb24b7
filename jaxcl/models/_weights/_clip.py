"""Names of the image tower of open_clip's ``VisionTransformer``."""

from jaxcl.models._weights._table import Row

_BLOCK = "visual.transformer.resblocks.{i}"
ROWS = (
    Row("visual.class_embedding", "token", "token", when="class_token"),
    Row("visual.positional_embedding", "positions", "table", when="learned"),
    Row("visual.conv1.weight", "embed.kernel", "patches"),
    Row("visual.conv1.bias", "embed.bias", when="embed_bias"),
    Row("visual.ln_pre.weight", "norm_pre.scale", when="pre_norm"),
    Row("visual.ln_pre.bias", "norm_pre.bias", when="pre_norm"),
    Row(f"{_BLOCK}.ln_1.weight", "block{i}.norm1.scale"),
    Row(f"{_BLOCK}.ln_1.bias", "block{i}.norm1.bias"),
    Row(f"{_BLOCK}.attn.in_proj_weight", "block{i}.qkv.kernel", "linear"),
    Row(f"{_BLOCK}.attn.in_proj_bias", "block{i}.qkv.bias", when="qkv_bias"),
    Row(f"{_BLOCK}.attn.out_proj.weight", "block{i}.out.kernel", "linear"),
    Row(f"{_BLOCK}.attn.out_proj.bias", "block{i}.out.bias"),
    Row(f"{_BLOCK}.ls_1.gamma", "block{i}.scale1", when="layer_scale"),
    Row(f"{_BLOCK}.ln_2.weight", "block{i}.norm2.scale"),
    Row(f"{_BLOCK}.ln_2.bias", "block{i}.norm2.bias"),
    Row(f"{_BLOCK}.mlp.c_fc.weight", "block{i}.up.kernel", "linear"),
    Row(f"{_BLOCK}.mlp.c_fc.bias", "block{i}.up.bias"),
    Row(f"{_BLOCK}.mlp.c_proj.weight", "block{i}.down.kernel", "linear"),
    Row(f"{_BLOCK}.mlp.c_proj.bias", "block{i}.down.bias"),
    Row(f"{_BLOCK}.ls_2.gamma", "block{i}.scale2", when="layer_scale"),
    Row("visual.ln_post.weight", "norm.scale", when="norm"),
    Row("visual.ln_post.bias", "norm.bias", when="norm"),
    Row("visual.proj", "project.kernel", when="out"),
)
