"""Rules for what of the networks is trained."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jaxcl.config._objective import OBJECTIVES

if TYPE_CHECKING:
    from jaxcl.config._training import TrainConfig

# The value of model.train that uses a field.
_USED_BY = {
    "last_k": "last_k",
    "lora_rank": "lora",
    "lora_alpha": "lora",
    "lora_layers": "lora",
}


def adaptation_rules(config: "TrainConfig") -> Iterator[tuple[str, str]]:
    """Names of fields, and the rules that their values break."""
    model, defaults, mode = config.model, type(config.model)(), config.model.train
    for field, user in _USED_BY.items():
        if mode != user and getattr(model, field) != getattr(defaults, field):
            rule = f"be left alone: model.train = {mode!r} does not use it"
            yield f"model.{field}", f"{rule}; {user!r} does"
    if mode == "lora" and not model.encoder.startswith("vit"):
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
