"""The methods section of a study, made from its config."""

import pandas as pd

from jaxcl.config import AnalysisConfig, StudyConfig
from jaxcl.labs.studies._plan import Cell, baseline_of, config_of, plan_study

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
    "shuffled": "shuffled (the placebo: values trade places over the training split, "
    "so that masks stay as sparse as they were)",
    "noisy": "noisy (a share of the values replaced by others)",
    "dropped": "dropped (a share of the values missing)",
    "inferred": "inferred (k-means clusters of the images' colors)",
}


def describe_methods(config: StudyConfig, frame: pd.DataFrame) -> list[str]:
    """Paragraphs: what was run, what was measured, how it was judged."""
    return [_runs(config, frame), _measures(config.analysis), _judgment(config)]


def _runs(config: StudyConfig, frame: pd.DataFrame) -> str:
    cells = plan_study(config)
    run = config_of(config, cells[0], 0)
    done = len(frame[[*Cell._fields, "seed"]].drop_duplicates())
    modes = dict.fromkeys(mode for arm in config.arms for mode in arm.modes)
    told = [text for mode, text in _MODES.items() if mode in modes]
    controls = f" Metadata are true or {'; '.join(told)}." if told else ""
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
        "before and after measuring, embeddings are checked not to depend on the "
        "images beside them, and no sample of a test split is in training. Up to "
        f"{analysis.max_train:,} training and {analysis.max_test:,} test samples are "
        "embedded."
    )


def _judgment(config: StudyConfig) -> str:
    analysis = config.analysis
    return (
        f"The baseline is {baseline_of(config)}. Differences are paired by seed. "
        f"Intervals ({analysis.level:.0%}) are of a bootstrap over targets and seeds "
        f"({analysis.resamples:,} resamples), widened for few seeds; p-values of a "
        "paired t test over seeds, adjusted by Holm over the arms of a shift. A "
        "difference has no meaningful effect when two one-sided tests place it within "
        f"±{analysis.margin:g} points; else it improves or harms when the adjusted p "
        f"is below {1 - analysis.level:.2g}; else it is inconclusive. A shift is left "
        f"out when the oracle has less than {analysis.floor:g} times chance, or the "
        f"baseline more than {analysis.ceiling:.0%}. All of this stood in the config "
        "before the first run; a run directory refuses another one."
    )
