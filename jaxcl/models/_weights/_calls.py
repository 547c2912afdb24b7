"""The line of Python that makes an encoder elsewhere, with weights that jaxcl wrote."""

from collections.abc import Mapping
from typing import Any

from jaxcl.models._architecture import Architecture, ImageShape
from jaxcl.models._vit import SIZES

_TIMM_SIZES = {"ti": "tiny", "s": "small", "b": "base", "l": "large"}
# What timm's networks of these names are made with, where ours may differ.
_VIT = {
    "img_size": (224, 224),
    "in_chans": 3,
    "mlp_ratio": 4.0,
    "global_pool": "token",
    "class_token": True,
    "init_values": None,
    "qkv_bias": True,
}
_ONLY_VIT = {
    "reg_tokens": 0,
    "no_embed_class": False,
    "pre_norm": False,
    "fc_norm": False,
    "act_layer": "gelu",
}
_ROPE = {
    **_VIT,
    "patch_size": 16,
    "global_pool": "avg",
    "init_values": 1e-5,
    "qkv_bias": False,
    "num_reg_tokens": 4,
    "use_fc_norm": False,
}


def why_not(
    architecture: Architecture, image_shape: ImageShape, names: str
) -> str | None:
    """Why the library has no such encoder; None = it has."""
    options = architecture.options
    if architecture.kind == "resnet":
        return _why_no_resnet(options, image_shape, names)
    if architecture.kind != "vit" or names != "timm":
        return f"{names} has no {architecture.kind}"
    if options.get("out_dim") is not None:
        return "timm's ViTs do not project embeddings"
    if options.get("embed_bias", True) == options.get("pre_norm", False):
        return "timm's ViTs have either `pre_norm` or `embed_bias`"
    return _why_no_vit(options)


def _why_no_vit(options: Mapping[str, Any]) -> str | None:
    rope = options.get("positions") == "rope"
    epsilon, bias = options.get("norm_epsilon", 1e-6), options.get("qkv_bias", "all")
    activation = options.get("activation", "gelu")
    if epsilon not in ((1e-5,) if rope else (1e-5, 1e-6)):
        return f"timm's ViTs have another `norm_epsilon` than {epsilon}"
    if bias == ("all" if rope else "query_value"):
        return f"timm's ViTs of such `positions` have no `qkv_bias` of {bias!r}"
    plain = activation == "gelu" and not options.get("pre_norm", False)
    if rope and not (plain and options.get("layer_scale") is not None):
        return "timm's ViTs with RoPE have GELU, `layer_scale` and no `pre_norm`"
    return None


def _why_no_resnet(
    options: Mapping[str, Any], image_shape: ImageShape, names: str
) -> str | None:
    if options["stem"] != "imagenet":
        return f"{names}'s ResNets have the stem 'imagenet'"
    if options.get("norm", "batch") != "batch" or options.get("width", 64) != 64:
        return f"{names}'s ResNets have BatchNorm and 64 channels in the stem"
    if names == "torchvision" and image_shape[-1] != 3:
        return "torchvision's ResNets take 3 channels"
    return None


def loading_line(
    architecture: Architecture, image_shape: ImageShape, names: str, path: str
) -> str:
    """A line of Python that loads the file."""
    options = architecture.options
    if names == "jaxcl":
        return f"pretrained = jaxcl.models.load_pretrained({path!r})"
    if names == "torchvision":
        return (
            f"model = torchvision.models.resnet{options['depth']}(); "
            "model.fc = torch.nn.Identity(); "
            f"model.load_state_dict(safetensors.torch.load_file({path!r}))"
        )
    if architecture.kind == "resnet":
        name, usual = f"resnet{options['depth']}", {"in_chans": 3}
        given: dict[str, Any] = {"in_chans": image_shape[-1]}
    else:
        name, usual, given = _timm_vit(options, image_shape)
    differing = {k: v for k, v in given.items() if k not in usual or usual[k] != v}
    words = "".join(f", {key}={value!r}" for key, value in differing.items())
    return (
        f'model = timm.create_model("{name}", num_classes=0{words}, '
        f"checkpoint_path={path!r}).eval()"
    )


def _timm_vit(
    options: Mapping[str, Any], image_shape: ImageShape
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The name of a network of timm, its arguments, and those that ours needs."""
    size = options.get("size")
    dim, depth, heads = (
        options.get(name) or usual
        for name, usual in zip(
            ("dim", "depth", "heads"), SIZES.get(size or "", (0, 0, 0)), strict=True
        )
    )
    pool = options.get("pool", "class")
    with_class = options.get("class_token")
    registers = options.get("registers", 0)
    late = options.get("norm_after_pool", False)
    given = {
        "img_size": tuple(image_shape[:2]),
        "in_chans": image_shape[-1],
        "patch_size": options["patch_size"],
        "embed_dim": dim,
        "depth": depth,
        "num_heads": heads,
        "mlp_ratio": (options.get("mlp_dim") or 4 * dim) / dim,
        "global_pool": "token" if pool == "class" else "avg",
        "class_token": pool == "class" if with_class is None else with_class,
        "init_values": options.get("layer_scale"),
        "qkv_bias": options.get("qkv_bias", "all") != "none",
    }
    if options.get("positions") == "rope":
        given |= {"num_reg_tokens": registers, "use_fc_norm": late}
        usual = {**_ROPE, "embed_dim": 384, "depth": 12, "num_heads": 6}
        return "vit_small_patch16_dinov3", usual, given
    given |= {
        "reg_tokens": registers,
        "no_embed_class": registers > 0,
        "pre_norm": options.get("pre_norm", False),
        "fc_norm": late,
        "act_layer": options.get("activation", "gelu"),
    }
    usual = {**_VIT, **_ONLY_VIT}
    if pool == "mean":
        del usual["fc_norm"]  # timm's default follows from the pooling
    if options.get("norm_epsilon", 1e-6) == 1e-5:
        wide = {"patch_size": 32, "embed_dim": 768, "depth": 12, "num_heads": 12}
        return "vit_base_patch32_clip_224", {**usual, **wide, "pre_norm": True}, given
    named = size if size in _TIMM_SIZES else "s"
    dims = dict(zip(("embed_dim", "depth", "num_heads"), SIZES[named], strict=True))
    name = f"vit_{_TIMM_SIZES[named]}_patch16_224"
    return name, {**usual, **dims, "patch_size": 16}, given
