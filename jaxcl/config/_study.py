"""A study: which arms are compared, under which shifts, and how it is judged."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jaxcl.config._fields import ConfigError, as_dict, build
from jaxcl.config._files import read_tree

MetadataMode = Literal["none", "true", "shuffled", "noisy", "dropped", "inferred"]


@dataclass(frozen=True)
class ArmConfig:
    """One way to train."""

    name: str = ""
    """How tables and figures call it."""
    modes: tuple[MetadataMode, ...] = ("none",)
    """What it is told of the metadata, one run each: none = it uses none; true;
    shuffled, the placebo; noisy, at every rate of `noise`; dropped, at every rate of
    `dropped`; inferred = clusters of the images' colors."""
    column: str = "domain"
    """The metadata it uses, which the modes make worse."""
    oracle: bool = False
    """It sees labels: a ceiling, which no verdict is about."""
    fields: dict = field(default_factory=dict)
    """Fields of a training run that differ from those of `base`."""


@dataclass(frozen=True)
class ShiftConfig:
    """One shift between what is trained on and what is tested on."""

    name: str = ""
    """How tables and figures call it."""
    id_split: str = "id_test"
    """Test split without the shift."""
    ood_split: str = "ood_test"
    """Test split with it."""
    targets: tuple[str, ...] = ()
    """Domains to hold out, each in turn: the shift is then to `held_out`, and
    `id_split` must be `validation`. Empty = the two splits as they are."""
    control: bool = False
    """There is no shift here: an effect would be a warning, and none is counted."""
    fields: dict = field(default_factory=dict)
    """Fields of a training run that differ from those of `base`: its data."""


@dataclass(frozen=True)
class AnalysisConfig:
    """How a study is judged; fixed before it runs."""

    primary: Literal["source_head", "own_head", "ood_head", "knn"] = "source_head"
    """Accuracy under shift that verdicts are about: of a linear head fitted on labels
    of the training split; of the classifier that the arm trains with its encoder, and
    of a linear head on all labels where it trains none; of one fitted on samples of the
    shifted split; or of nearest neighbors."""
    primary_labels: int = 10
    """Labels of each class that the primary head is fitted on; one of `labels`."""
    labels: tuple[int, ...] = (1, 5, 10, 50)
    """Labels of each class that source heads are fitted on; 0 = all."""
    percents: tuple[int, ...] = ()
    """Percent of the labels of each class, one at least, that further source heads are
    fitted on."""
    ood_labels: tuple[int, ...] = (100,)
    """Samples of the shifted split that the other head is fitted on, with the first of
    them for verdicts; it is tested on the rest."""
    neighbors: int = 20
    """Of the kNN classifier."""
    min_group: int = 30
    """Samples below which a pair of label and domain is left out of the mean and the
    worst over such groups; where most are left out, there is neither."""
    max_train: int = 5000
    """Training samples that are embedded, the first of the split."""
    max_test: int = 2000
    """Samples of each test split."""
    margin: float = 1.0
    """A difference of fewer points is none that matters."""
    level: float = 0.95
    """Of intervals; 1 - level is the error of a verdict, over all arms of a shift."""
    resamples: int = 10_000
    """Of the bootstrap."""
    floor: float = 2.0
    """A shift under which the best oracle has less than so many times the accuracy of
    chance is left out: nothing could be learned there."""
    ceiling: float = 0.98
    """One under which the baseline has more than this is left out: nothing is left to
    gain."""


@dataclass(frozen=True)
class StudyConfig:
    """A study: shifts x arms x what they are told x unlabeled samples x seeds."""

    question: str = ""
    """What it is to answer, in a sentence."""
    seeds: int = 3
    """Runs of each cell, with the seeds 0, 1, 2, ...; paired across arms: the same
    initial parameters, order of samples, labels and splits."""
    unlabeled: tuple[int, ...] = (0,)
    """Training samples, a cell each; 0 = all."""
    noise: tuple[float, ...] = (0.1, 0.3, 0.5)
    """Shares of the metadata that are wrong in the mode noisy."""
    dropped: tuple[float, ...] = (0.5,)
    """Shares that are missing in the mode dropped."""
    baseline: str = ""
    """The arm that all are compared with; the first one when left out."""
    base: dict = field(default_factory=dict)
    """Fields of a training run that all runs share."""
    shifts: tuple[ShiftConfig, ...] = ()
    """Shifts."""
    arms: tuple[ArmConfig, ...] = ()
    """Arms."""
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)
    """Analysis."""

    def check(self) -> None:
        """Raises a `ConfigError` that lists every rule this config breaks."""
        build(StudyConfig, as_dict(self))
        broken = [message for holds, message in _rules(self) if not holds]
        if broken:
            raise ConfigError("\n".join(broken))


def _rules(config: StudyConfig) -> list[tuple[bool, str]]:
    names = [arm.name for arm in config.arms]
    shifts = [shift.name for shift in config.shifts]
    analysis = config.analysis
    rules = [
        (config.seeds >= 1, f"`seeds` must be at least 1, got {config.seeds}"),
        (len(config.arms) >= 2, f"`arms` must be at least 2, got {len(names)}"),
        (bool(config.shifts), "`shifts` must be at least 1, got none"),
        (all(names), "`arms` must have a `name` each"),
        (all(shifts), "`shifts` must have a `name` each"),
        (len(set(names)) == len(names), f"`arms` must differ in name, got {names}"),
        (len(set(shifts)) == len(shifts), f"`shifts` must differ in name: {shifts}"),
        (
            config.baseline in ("", *names),
            f"`baseline` must be the name of an arm, got {config.baseline!r}",
        ),
        (
            all(count >= 0 for count in config.unlabeled) and bool(config.unlabeled),
            f"`unlabeled` must be counts, got {list(config.unlabeled)}",
        ),
        (
            analysis.primary_labels in analysis.labels,
            f"`analysis.primary_labels` must be one of `analysis.labels` = "
            f"{list(analysis.labels)}, got {analysis.primary_labels}",
        ),
        (
            analysis.primary != "ood_head" or bool(analysis.ood_labels),
            "`analysis.ood_labels` must not be empty with primary = 'ood_head'",
        ),
        (
            all(count >= 0 for count in analysis.labels),
            f"`analysis.labels` must be counts, got {list(analysis.labels)}",
        ),
        (
            all(0 < percent <= 100 for percent in analysis.percents),
            "`analysis.percents` must be whole numbers from 1 to 100, got "
            f"{list(analysis.percents)}",
        ),
        (
            analysis.min_group >= 1,
            f"`analysis.min_group` must be at least 1, got {analysis.min_group}",
        ),
        (analysis.margin > 0, f"`analysis.margin` must be > 0, got {analysis.margin}"),
        (
            0.5 < analysis.level < 1,
            f"`analysis.level` must be between 0.5 and 1, got {analysis.level}",
        ),
        (
            all(0 < rate <= 1 for rate in (*config.noise, *config.dropped)),
            "`noise` and `dropped` must be shares in (0, 1], got "
            f"{[*config.noise, *config.dropped]}",
        ),
    ]
    for arm in config.arms:
        given = "seed" in arm.fields or "selection" in arm.fields.get("data", {})
        rules.append(
            (
                not given,
                f"arm {arm.name!r} must not set `seed` or `data.selection`: its runs "
                "would not be paired with those of the other arms",
            )
        )
        rules.append(
            (
                bool(arm.modes) and len(set(arm.modes)) == len(arm.modes),
                f"arm {arm.name!r} must have different `modes`, got {list(arm.modes)}",
            )
        )
    return rules


def read_study(path: str | Path) -> StudyConfig:
    """Reads a study from a TOML file; what does not fit is an error that names it."""
    return study_from_dict(read_tree(path))


def study_from_dict(tree: dict[str, Any]) -> StudyConfig:
    """A study from nested dicts; unknown names and wrong types are errors."""
    return build(StudyConfig, tree)
