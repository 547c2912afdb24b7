"""A study: which arms are compared, under which shifts, and how it is judged."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from jaxcl.config._bounds import Bound, Positive, Size, broken_bounds, must
from jaxcl.config._fields import as_dict, build, raise_broken
from jaxcl.config._files import read_tree

MetadataMode = Literal["none", "true", "shuffled", "noisy", "dropped", "inferred"]

_COUNTS = Bound("be counts", lambda counts: all(count >= 0 for count in counts))
_SHARES = Bound("be shares in (0, 1]", lambda rates: all(0 < r <= 1 for r in rates))


@dataclass(frozen=True)
class ArmConfig:
    """One way to train."""

    name: str = ""
    """Name in tables and figures."""
    modes: tuple[MetadataMode, ...] = ("none",)
    """Which metadata it gets, one run each. none: it uses no metadata; true: the true
    values; shuffled: permuted values, the placebo; noisy: with every error rate of
    `noise`; dropped: with every missing rate of `dropped`; inferred: clusters of the
    images' colors."""
    column: str = "domain"
    """The column of metadata that it uses and that the modes corrupt."""
    oracle: bool = False
    """It sees labels: an upper bound, about which no verdict is given."""
    fields: dict = field(default_factory=dict)
    """Fields of the training config that differ from `base`."""


@dataclass(frozen=True)
class ShiftConfig:
    """One shift between training and test data."""

    name: str = ""
    """Name in tables and figures."""
    id_split: str = "id_test"
    """Test split without the shift."""
    ood_split: str = "ood_test"
    """Test split with the shift."""
    targets: tuple[str, ...] = ()
    """Domains to hold out, one at a time: `ood_split` is then `held_out`, and
    `id_split` must be `validation`. Empty = use the two splits."""
    control: bool = False
    """No shift: an effect here is reported as a warning and not counted."""
    fields: dict = field(default_factory=dict)
    """Fields of the training config that differ from `base`, such as its data."""


@dataclass(frozen=True)
class AnalysisConfig:
    """How a study is judged; fixed before it runs."""

    primary: Literal["source_head", "own_head", "ood_head", "knn"] = "source_head"
    """The accuracy under shift on which verdicts rest. source_head: a linear head
    fitted on labels of the training split; own_head: the classifier that the arm
    trains, or a linear head on all labels where it trains none; ood_head: a linear head
    fitted on samples of the shifted split; knn: nearest neighbors."""
    primary_labels: int = 10
    """Labels per class for the primary head; one of `labels`."""
    labels: Annotated[tuple[int, ...], _COUNTS] = (1, 5, 10, 50)
    """Labels per class for the source heads; 0 = all."""
    percents: Annotated[
        tuple[int, ...],
        Bound(
            "be whole numbers from 1 to 100",
            lambda percents: all(0 < percent <= 100 for percent in percents),
        ),
    ] = ()
    """Percentages of the labels of each class, at least one label, for further source
    heads."""
    ood_labels: tuple[int, ...] = (100,)
    """Samples of the shifted split on which the ood head is fitted, the first number
    for verdicts; the head is tested on the rest."""
    neighbors: int = 20
    """Neighbors of the kNN classifier; the near ones have more weight."""
    min_group: Size = 30
    """Smallest size of a group (label, domain) that counts in the mean and worst
    accuracy over groups; both are left out where most groups are smaller."""
    max_train: int = 5000
    """Training samples to embed, the first of the split."""
    max_test: int = 2000
    """Samples of each test split, the first ones."""
    margin: Positive = 1.0
    """Smallest difference that matters, in percentage points."""
    level: Annotated[
        float, Bound("be between 0.5 and 1", lambda level: 0.5 < level < 1)
    ] = 0.95
    """Level of the intervals; 1 - level is the error rate of the verdicts, over all
    arms of a shift."""
    resamples: int = 10_000
    """Number of bootstrap samples."""
    floor: float = 2.0
    """A shift is left out when the best oracle's accuracy is below this multiple of
    chance: nothing could be learned there."""
    ceiling: float = 0.98
    """A shift is left out when the baseline's accuracy is above this: nothing is left
    to gain."""


@dataclass(frozen=True)
class StudyConfig:
    """A study: shifts x arms x modes x numbers of unlabeled samples x seeds."""

    question: str = ""
    """The question it answers, in one sentence."""
    seeds: Size = 3
    """Runs per cell, with the seeds 0, 1, 2, ...; runs of the same seed share initial
    parameters, order of samples, labels and splits across arms."""
    unlabeled: Annotated[tuple[int, ...], _COUNTS, Bound("be counts", bool)] = (0,)
    """Numbers of training samples, a cell each; 0 = all."""
    noise: Annotated[tuple[float, ...], _SHARES] = (0.1, 0.3, 0.5)
    """Shares of wrong metadata in the mode noisy."""
    dropped: Annotated[tuple[float, ...], _SHARES] = (0.5,)
    """Shares of missing metadata in the mode dropped."""
    baseline: str = ""
    """Name of the arm that all others are compared with; empty = the first."""
    base: dict = field(default_factory=dict)
    """Fields of the training config that all runs share."""
    shifts: tuple[ShiftConfig, ...] = ()
    """The shifts."""
    arms: tuple[ArmConfig, ...] = ()
    """The arms."""
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)
    """How the study is judged; fixed before it runs."""

    def check(self) -> None:
        """Raises a `ConfigError` that lists every rule this config breaks."""
        build(StudyConfig, as_dict(self))
        raise_broken([*broken_bounds(self), *_broken_rules(self)])


def _broken_rules(config: StudyConfig) -> Iterator[str]:
    names = [arm.name for arm in config.arms]
    if len(names) < 2:
        yield f"`arms` must be at least 2, got {len(names)}"
    if not config.shifts:
        yield "`shifts` must be at least 1, got none"
    if config.baseline not in ("", *names):
        yield must("baseline", "be the name of an arm", config.baseline)
    yield from _broken_names("arms", names)
    yield from _broken_names("shifts", [shift.name for shift in config.shifts])
    analysis = config.analysis
    if analysis.primary_labels not in analysis.labels:
        rule = f"be one of `analysis.labels` = {list(analysis.labels)}"
        yield must("analysis.primary_labels", rule, analysis.primary_labels)
    if analysis.primary == "ood_head" and not analysis.ood_labels:
        yield "`analysis.ood_labels` must not be empty with primary = 'ood_head'"
    for arm in config.arms:
        if "seed" in arm.fields or "selection" in arm.fields.get("data", {}):
            yield (
                f"arm {arm.name!r} must not set `seed` or `data.selection`: its runs "
                "would not be paired with those of the other arms"
            )
        if not arm.modes or max(Counter(arm.modes).values()) > 1:
            yield f"arm {arm.name!r} must have different `modes`, got {list(arm.modes)}"


def _broken_names(field: str, names: list[str]) -> Iterator[str]:
    if not all(names):
        yield f"`{field}` must have a `name` each"
    if len(set(names)) < len(names):
        yield must(field, "differ in name", names)


def read_study(path: str | Path) -> StudyConfig:
    """Reads a study from a TOML file; an unknown name or wrong type is an error."""
    return study_from_dict(read_tree(path))


def study_from_dict(tree: dict[str, Any]) -> StudyConfig:
    """A study from nested dicts; unknown names and wrong types are errors."""
    return build(StudyConfig, tree)
