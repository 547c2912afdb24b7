"""The sampler that a config names."""

import logging

import numpy as np
from jaxtyping import Int

from jaxcl.config import ConfigError, SamplerConfig
from jaxcl.data._samplers._epochs import EpochSampler, Sampler
from jaxcl.data._samplers._group_samplers import (
    GroupBalancedSampler,
    HomogeneousSampler,
)
from jaxcl.data._samplers._groups import pair_ids
from jaxcl.data._samplers._importance import ImportanceSampler, importance_weights

_LOG = logging.getLogger(__name__)

# Which columns each sampler needs.
NEEDED_ROLES = {
    "uniform": (),
    "domain_balanced": ("domain",),
    "domain_homogeneous": ("domain",),
    "label_domain": ("label", "domain"),
    "importance": ("label", "bias"),
}


def make_sampler(
    config: SamplerConfig,
    *,
    size: int,
    batch_size: int,
    seed: int,
    label: Int[np.ndarray, "..."] | None = None,
    domain: Int[np.ndarray, "..."] | None = None,
    bias: Int[np.ndarray, "..."] | None = None,
) -> Sampler:
    """The sampler of a config.

    Args:
        config: Its name, and the cap of importance sampling.
        size: Number of training samples.
        batch_size: Samples a step, over all devices and hosts.
        seed: Of the order.
        label: Class of every sample; −1 = unknown, here and below.
        domain: Domain of every sample.
        bias: Bias attribute of every sample.

    Returns:
        The sampler. A `ConfigError` names a column that it needs and does not have.

    Example:
        >>> make_sampler(SamplerConfig(), size=9, batch_size=4, seed=0)
        EpochSampler(num_instances=9, batch_size=4, seed=0)
        >>> make_sampler(SamplerConfig("importance"), size=9, batch_size=4, seed=0)
        Traceback (most recent call last):
        ...
        jaxcl.config.ConfigError: `data.label` must name a column for
        data.sampler.name = 'importance', got none
    """
    given = {"label": label, "domain": domain, "bias": bias}
    needed = NEEDED_ROLES[config.name]
    columns = [_column(config, role, given[role], size) for role in needed]
    if config.name == "uniform":
        return EpochSampler(size, batch_size, seed)
    if config.name == "importance":
        weights = importance_weights(*columns, cap=config.cap)
        return ImportanceSampler(weights, batch_size, seed)
    groups = pair_ids(*columns) if len(columns) == 2 else columns[0]
    unknown = int((groups == -1).sum())
    if unknown:
        _LOG.warning(
            "%d of %d samples are never drawn: data.sampler.name = %r needs their %s, "
            "which is missing",
            *(unknown, size, config.name, " and ".join(needed)),
        )
    if config.name == "domain_homogeneous":
        return HomogeneousSampler(groups, batch_size, seed)
    return GroupBalancedSampler(groups, batch_size, seed)


def _column(
    config: SamplerConfig, role: str, values: np.ndarray | None, size: int
) -> np.ndarray:
    if values is None:
        raise ConfigError(
            f"`data.{role}` must name a column for "
            f"data.sampler.name = {config.name!r}, got none"
        )
    if values.shape != (size,):
        raise ConfigError(
            f"`{role}` must be one a sample, got shape {values.shape} "
            f"for {size} samples"
        )
    return values
