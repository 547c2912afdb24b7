"""Divides samples into training, held-out and validation sets, and hides labels."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int64

from jaxcl.config import ConfigError, SelectionConfig, check_bounds, nearest
from jaxcl.data._draws import Stream, permutation, share_of

_LOG = logging.getLogger(__name__)


class Selection(NamedTuple):
    """Sets of samples, each sorted; no two but `train` and `labeled` share one.

    Example:
        >>> select(SelectionConfig(validation_fraction=0.5), size=4)._asdict().keys()
        dict_keys(['train', 'labeled', 'held_out', 'validation_domains', 'validation'])
    """

    train: Int64[np.ndarray, " train"]
    """Training samples."""
    labeled: Int64[np.ndarray, " labeled"]
    """Those of `train` whose label is shown."""
    held_out: Int64[np.ndarray, " held_out"]
    """Samples of the held-out domains."""
    validation_domains: Int64[np.ndarray, " domains"]
    """Samples of the validation domains."""
    validation: Int64[np.ndarray, " validation"]
    """Validation samples from the same domains as `train`."""


def select(
    config: SelectionConfig,
    *,
    size: int,
    label: np.ndarray | None = None,
    domain: np.ndarray | None = None,
    domain_names: Sequence[str] = (),
) -> Selection:
    """Divides the samples of a split into training, held-out and validation sets.

    Held-out domains are removed first, then the validation domains, then the validation
    fraction of the rest. `fraction` and then `per_class` select the training samples
    from the remaining ones, and `labeled_fraction` and then `labeled_per_class` those
    that show their label. A share of n samples is rounded, halves up, but to at least
    one sample.

    All selections of training samples and labels take the first samples of one random
    order. So with equal seeds a smaller share is part of a larger one. The labels shown
    by `labeled_per_class` are the same for any number of training samples that has
    enough of every class. The validation set has its own order and depends only on the
    domains, its fraction and the seed.

    A sample of unknown domain (−1) may be of any domain: it is in no set when there are
    held-out or validation domains. A sample of unknown class has no label to show, and
    `per_class` leaves it out. Both are logged, and so are classes with too few samples,
    of which all are taken.

    Args:
        config: What to select; every error names its field.
        size: Samples of the split.
        label: Class of every sample; −1 = unknown. Without it, every sample counts as
            labeled.
        domain: Domain of every sample; −1 = unknown.
        domain_names: Names of the domains by id; without them a domain is named by its
            number.

    Returns:
        The positions of each set, sorted, int64.

    Example:
        >>> chosen = SelectionConfig(held_out_domains=("sketch",), per_class=1)
        >>> label, domain = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 0])
        >>> cut = select(
        ...     chosen, size=5, label=label, domain=domain,
        ...     domain_names=("photo", "sketch"),
        ... )
        >>> cut.held_out.tolist(), label[cut.train].tolist()
        ([1, 3], [0, 1])
    """
    _check(config)
    _check_columns(config, size, label, domain)
    held_out, for_validation = (
        _of_domains(field, config, size, domain, domain_names)
        for field in ("held_out_domains", "validation_domains")
    )
    rest = ~(held_out | for_validation)
    if domain is not None and not rest.all():
        rest &= domain >= 0
        _warn(
            domain < 0, "are of unknown domain: with domains held out they are unused"
        )
    validation = _ordered(rest, config.seed, Stream.VALIDATION)
    validation = _share(validation, config.validation_fraction)
    rest[validation] = False
    train = _share(_ordered(rest, config.seed, Stream.TRAINING), config.fraction)
    train = _per_class("per_class", config, train, label)
    if len(train) == 0:
        raise ConfigError(
            f"`data.selection` must leave samples to train on, got none of {size}: "
            f"{held_out.sum()} are held out, "
            f"{for_validation.sum() + len(validation)} are for validation"
        )
    labeled = train if label is None else train[label[train] >= 0]
    labeled = _share(labeled, config.labeled_fraction)
    labeled = _per_class("labeled_per_class", config, labeled, label)
    return Selection(
        train=np.sort(train),
        labeled=np.sort(labeled),
        held_out=np.flatnonzero(held_out),
        validation_domains=np.flatnonzero(for_validation),
        validation=np.sort(validation),
    )


def find_overlap(
    first: Int[np.ndarray, " first"], second: Int[np.ndarray, " second"]
) -> Int[np.ndarray, " both"]:
    """Samples that two sets have in common: a leak, if one of them is a test set.

    Args:
        first: Instance numbers of the samples of one set, not their positions.
        second: Those of the other.

    Returns:
        The instance numbers in both, sorted and unique.

    Example:
        >>> find_overlap(np.array([7, 1, 4, 4]), np.array([4, 2, 7])).tolist()
        [4, 7]
    """
    return np.intersect1d(first, second)


def _check(config: SelectionConfig) -> None:
    check_bounds(config, "data.selection.")
    both = set(config.held_out_domains) & set(config.validation_domains)
    if both:
        raise ConfigError(
            "`data.selection.validation_domains` must not be held out too, "
            f"got {', '.join(sorted(both))}"
        )


def _check_columns(
    config: SelectionConfig,
    size: int,
    label: np.ndarray | None,
    domain: np.ndarray | None,
) -> None:
    for name, values in (("label", label), ("domain", domain)):
        if values is not None and np.shape(values) != (size,):
            raise ConfigError(
                f"`{name}` must be one a sample, got shape {np.shape(values)} "
                f"for {size} samples"
            )
    needed = {
        "per_class": label,
        "labeled_per_class": label,
        "held_out_domains": domain,
        "validation_domains": domain,
    }
    for field, values in needed.items():
        if getattr(config, field) and values is None:
            role = "label" if "class" in field else "domain"
            raise ConfigError(
                f"`data.{role}` must name a column for data.selection.{field}, got none"
            )


def _of_domains(
    field: str,
    config: SelectionConfig,
    size: int,
    domain: np.ndarray | None,
    names: Sequence[str],
) -> Bool[np.ndarray, " samples"]:
    """True for the samples of the domains that a field of the config names."""
    chosen = np.zeros(size, bool)
    asked = getattr(config, field)
    if domain is None or not asked:
        return chosen
    known = (
        {name: number for number, name in enumerate(names)}
        if names
        else {str(number): number for number in np.unique(domain[domain >= 0]).tolist()}
    )
    for name in asked:
        if name not in known:
            raise ConfigError(
                f"`data.selection.{field}` must name domains, got {name!r}; "
                f"{nearest(name, known)}"
            )
        members = domain == known[name]
        if not members.any():
            raise ConfigError(
                f"`data.selection.{field}` must name domains of the training split, "
                f"got {name!r}, of which it has no sample"
            )
        chosen |= members
    return chosen


def _ordered(
    candidates: Bool[np.ndarray, " samples"], seed: int, stream: Stream
) -> Int64[np.ndarray, " candidates"]:
    """Positions of the candidates in the random order of all samples."""
    order = permutation(len(candidates), seed, stream=stream)
    return order[candidates[order]]


def _share(ordered: np.ndarray, fraction: float) -> np.ndarray:
    least = 1 if fraction > 0 else 0
    return ordered[: max(least, share_of(fraction, len(ordered)))]


def _per_class(
    field: str, config: SelectionConfig, ordered: np.ndarray, label: np.ndarray | None
) -> np.ndarray:
    """The first samples of every class, still in order, as many as a field says."""
    count = getattr(config, field)
    if not count or label is None:
        return ordered
    _warn(label[ordered] < 0, f"have no class: data.selection.{field} leaves them out")
    order = np.argsort(label[ordered], kind="stable")
    classes = label[ordered][order]
    starts = np.searchsorted(classes, classes)
    taken = order[(np.arange(len(order)) - starts < count) & (classes >= 0)]
    every = np.unique(label[label >= 0])
    sizes = np.searchsorted(classes, every, "right") - np.searchsorted(classes, every)
    short = [
        f"{one} ({size})"
        for one, size in zip(every.tolist(), sizes.tolist(), strict=True)
        if size < count
    ]
    if short:
        _LOG.warning(
            "classes with fewer than the %d samples of data.selection.%s: %s%s",
            *(count, field, ", ".join(short[:10])),
            f" and {len(short) - 10} more" if len(short) > 10 else "",
        )
    return ordered[np.sort(taken)]


def _warn(samples: np.ndarray, what: str) -> None:
    if samples.any():
        _LOG.warning("%d of %d samples %s", samples.sum(), len(samples), what)
