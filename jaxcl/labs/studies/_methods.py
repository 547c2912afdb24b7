"""The methods section of a study, made from its config."""

import pandas as pd

from jaxcl.config import AnalysisConfig, StudyConfig
from jaxcl.labs.studies._plan import Cell, config_of, find_baseline, plan_study

_PRIMARY = {
    "source_head": "of a logistic regression on standardized frozen embeddings, fitted "
    "on {labels} labels of each class of the training split",
    "own_head": "of the classifier that an arm trains with its encoder, and, where it "
    "trains none, of a logistic regression on standardized frozen embeddings and all "
    "labels",
    "ood_head": "of a logistic regression on standardized frozen embeddings, fitted on "
    "{ood} samples of the shifted split and tested on the others",
    "knn": "of {neighbors} nearest training embeddings by cosine similarity",
}
_MODES = {
    "shuffled": "shuffled (the placebo: values are permuted over the training split, "
    "so that masks stay equally sparse)",
    "noisy": "noisy (a share of the values is replaced by other values)",
    "dropped": "dropped (a share of the values is missing)",
    "inferred": "inferred (k-means clusters of the images' colors)",
}


def describe_methods(config: StudyConfig, frame: pd.DataFrame) -> list[str]:
    """Three paragraphs: what ran, what was measured, how it was judged."""
    return [_runs(config, frame), _measures(config.analysis), _judgment(config)]


def _runs(config: StudyConfig, frame: pd.DataFrame) -> str:
    cells = plan_study(config)
    run = config_of(config, cells[0], 0)
    done = len(frame[[*Cell._fields, "seed"]].drop_duplicates())
    modes = dict.fromkeys(mode for arm in config.arms for mode in arm.modes)
    others = [text for mode, text in _MODES.items() if mode in modes]
    controls = f" Metadata are true or {'; '.join(others)}." if others else ""
    return (
        f"{done} of {len(cells) * config.seeds} runs. Shifts: {len(config.shifts)}; "
        f"arms: {len(config.arms)}; seeds: 0 to {config.seeds - 1}. A run trains a "
        f"{run.model.encoder} for {run.num_steps} steps of {run.data.batch_size} "
        f"samples in {run.data.views} views by {run.optimizer.name}, rate "
        f"{run.optimizer.learning_rate:g}. Runs of one seed have the same initial "
        "parameters, order of samples, views, split and labels in all arms." + controls
    )


def _measures(analysis: AnalysisConfig) -> str:
    primary = _PRIMARY[analysis.primary].format(
        labels=analysis.primary_labels,
        ood=analysis.ood_labels[0] if analysis.ood_labels else 0,
        neighbors=analysis.neighbors,
    )
    return (
        f"Primary: accuracy under shift {primary}. The encoder's state is hashed "
        "before and after measuring, embeddings are checked not to depend on other "
        "images of the batch, and no sample of a test split is in training. Up to "
        f"{analysis.max_train:,} training and {analysis.max_test:,} test samples are "
        "embedded."
    )


def _judgment(config: StudyConfig) -> str:
    analysis = config.analysis
    return (
        f"The baseline is {find_baseline(config).name}. Differences are paired by "
        "seed. "
        f"Intervals ({analysis.level:.0%}) are from a bootstrap over targets and seeds "
        f"({analysis.resamples:,} resamples), widened for few seeds. p-values are from "
        "a paired t test over seeds, adjusted by Holm over the arms of a shift. A "
        "difference has no meaningful effect if two one-sided tests place it within "
        f"±{analysis.margin:g} points; else it improves or harms if the adjusted p is "
        f"below {1 - analysis.level:.2g}; else it is inconclusive. A shift is left out "
        f"if the oracle has less than {analysis.floor:g} times chance, or the baseline "
        f"more than {analysis.ceiling:.0%}. The config fixed all of this before the "
        "first run; the directory of a study refuses a changed config."
    )
