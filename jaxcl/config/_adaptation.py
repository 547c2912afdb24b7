"""Rules for what a run starts from, and for what of the networks is trained."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jaxcl.config._objective import OBJECTIVES

if TYPE_CHECKING:
    from jaxcl.config._training import TrainConfig

# The name of a field, and the rule that its value breaks.
Broken = Iterator[tuple[str, str]]

# The value of model.train that uses a field.
_USED_BY = {
    "last_k": "last_k",
    "lora_rank": "lora",
    "lora_alpha": "lora",
    "lora_layers": "lora",
}


def start_rules(config: "TrainConfig") -> Broken:
    """Weights to start from, which bring architecture and normalization."""
    model = config.model
    if model.encoder == "pretrained" and not model.init:
        yield "model.init", "name a file of weights or a run for encoder = 'pretrained'"
    for field in ("init_mean", "init_std"):
        if getattr(model, field) and not model.init:
            yield f"model.{field}", "come with model.init"
    if not model.init:
        return
    if model.encoder != "pretrained":
        rule = "be 'pretrained' with model.init, which says what the encoder is"
        yield "model.encoder", rule
    if config.data.normalization != "none":
        rule = "be 'none' with model.init: the weights say how images are normalized"
        yield "data.normalization", rule
    for field in ("width", "stages", "stem", "patch_size", "norm"):
        if getattr(model, field) != getattr(type(model), field):
            yield f"model.{field}", "be left alone: model.init says what the encoder is"


def adaptation_rules(config: "TrainConfig") -> Broken:
    """Names of fields, and the rules that their values break."""
    model, defaults, mode = config.model, type(config.model)(), config.model.train
    for field, user in _USED_BY.items():
        if mode != user and getattr(model, field) != getattr(defaults, field):
            rule = f"be left alone: model.train = {mode!r} does not use it"
            yield f"model.{field}", f"{rule}; {user!r} does"
    if mode == "lora" and not model.encoder.startswith(("vit", "pretrained")):
        rule = f"be 'all', 'head' or 'last_k' with {model.encoder}, which is no ViT"
        yield "model.train", rule
    if mode == "head":
        reason = "with model.train = 'head', which never changes the encoder"
        if model.head_steps:
            yield "model.head_steps", f"be 0 {reason}"
        if model.average:
            yield "model.average", f"be 0 {reason}"
        if config.optimizer.layer_decay != 1:
            yield "optimizer.layer_decay", f"be 1 {reason}"
    if model.head_steps and model.head_steps >= config.num_steps:
        yield "model.head_steps", f"be less than num_steps = {config.num_steps}"
    if (mode == "head" or model.head_steps) and not _learns_without_encoder(config):
        rule = "be at least 1 where only what comes after the encoder is trained"
        yield "model.head_layers", rule


def _learns_without_encoder(config: "TrainConfig") -> bool:
    """Whether anything after the encoder has parameters."""
    objective, networks = config.objective, OBJECTIVES[config.objective.name].networks
    classified = objective.cross_entropy > 0 or "classifier" in networks
    return config.model.head_layers > 0 or classified or "predictor" in networks
