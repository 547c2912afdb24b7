"""Measures the frozen embeddings of a run, as named numbers."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.config import AnalysisConfig, ConfigError, TrainConfig
from jaxcl.data import RunData, Split
from jaxcl.evaluation import (
    between_domain_share,
    check_disjoint,
    embed,
    low_shot_domain_probe,
    neighbor_domain_share,
    similarities_by_domain,
)
from jaxcl.experiment import WholeRun
from jaxcl.labs.studies._heads import (
    Labeled,
    Value,
    balanced_heads,
    neighbors,
    own_heads,
    shifted_heads,
    source_heads,
)
from jaxcl.metrics import effective_rank
from jaxcl.training import TrainState, state_digest

_EMBEDDED_AT_ONCE = 500


class Measured(NamedTuple):
    """All measurements of a run."""

    values: list[Value]
    histograms: dict[str, Any]
    """Cosines of projections: pairs from the same domain, and from different ones."""


class IntegrityError(ValueError):
    """A measurement that cannot be trusted."""


def measure(
    run: WholeRun,
    state: TrainState,
    data: RunData,
    config: TrainConfig,
    analysis: AnalysisConfig,
) -> Measured:
    """Embeds the splits with the frozen encoder, and fits heads on the embeddings.

    The run's seed alone decides which samples heads are fitted on, so these are the
    same for all arms.
    """
    frozen = state_digest(state)
    splits = {
        name: data.tests[split]
        for name, split in zip(("id", "ood"), config.data.test_splits, strict=True)
    }

    def embed_tests(encode: Any) -> dict[str, Labeled]:
        return {
            name: _embed(encode, state, data, split, analysis.max_test)
            for name, split in splits.items()
        }

    train = _embed(run.encode, state, data, data.train, analysis.max_train)
    tests = embed_tests(run.encode)
    for name, split in splits.items():
        if split.origin == data.train.origin:
            check_disjoint(train.instance, tests[name].instance, f"the {name} split")
    projected = _embed(run.project, state, data, splits["id"], analysis.max_test)
    logits = None if run.classify is None else embed_tests(run.classify)
    histograms = _similarities(projected)
    values = [
        *source_heads(train, tests, analysis, config.seed),
        *own_heads(train, tests, logits, analysis),
        *balanced_heads(train, tests, config.seed),
        *shifted_heads(tests["ood"], analysis, config.seed),
        *neighbors(train, tests, analysis),
        *_domain_left(tests["id"], config.seed),
        *_spread(projected, histograms),
    ]
    if state_digest(state) != frozen:
        raise IntegrityError("the encoder changed while it was measured")
    return Measured(values, histograms)


def check_inference(run: WholeRun, state: TrainState, images: np.ndarray) -> None:
    """Raises an `IntegrityError` if an embedding depends on other images."""
    pixels = jnp.asarray(images[:8], jnp.float32) / 255.0
    together = np.asarray(run.encode(state, pixels))
    alone = np.asarray(run.encode(state, jnp.repeat(pixels[:1], len(pixels), axis=0)))
    if not np.allclose(together[0], alone[0], rtol=1e-3, atol=1e-4):
        raise IntegrityError(
            "an embedding depends on the images beside it: the encoder's BatchNorm is "
            "not in inference mode"
        )


def _embed(
    encode: Any, state: TrainState, data: RunData, split: Split, most: int
) -> Labeled:
    """Embeds the samples whose label is known."""
    batches = data.evaluation_batches(split, _EMBEDDED_AT_ONCE, most)
    found = embed(lambda images: encode(state, images), batches)
    if found.label is None:
        raise ConfigError("`data.label` must name a column in a study, got none")
    known = found.label >= 0
    columns = (getattr(found, name) for name in Labeled._fields)
    return Labeled(*jax.tree.map(lambda column: column[known], tuple(columns)))


def _domain_left(test: Labeled, seed: int) -> Iterator[Value]:
    """How well the domain can be read from embeddings without shift."""
    if test.domain is None or len(np.unique(test.domain[test.domain >= 0])) < 2:
        return
    rows, domains = test.embeddings, test.domain
    share = between_domain_share(rows, domains)
    yield Value("between_domain_share", "id", 0, share)
    share = neighbor_domain_share(rows, domains, test.instance)
    yield Value("neighbor_domain_share", "id", 0, share)
    probe = low_shot_domain_probe(rows, domains, seed=seed)
    if probe is not None:
        yield Value("low_shot_domain_probe", "id", 10, probe["accuracy"])


def _spread(projected: Labeled, histograms: dict[str, Any]) -> Iterator[Value]:
    """Rank of the projections, and variances of their cosines."""
    rank = float(effective_rank(jnp.asarray(projected.embeddings)))
    yield Value("effective_rank", "id", 0, rank)
    for pairs, found in histograms.items():
        if pairs != "edges":
            yield Value(f"variance_{pairs}", "id", 0, found["variance"])


def _similarities(projected: Labeled) -> dict[str, Any]:
    domains = projected.domain
    if domains is None:
        domains = np.zeros(len(projected.embeddings), np.int32)
    found = similarities_by_domain(
        projected.embeddings, domains, instances=projected.instance
    )
    return {
        name: part
        for name, part in found.items()
        if name == "edges" or part["count"] > 0
    }
