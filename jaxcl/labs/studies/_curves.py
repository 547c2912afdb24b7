"""Accuracy along labels, beside accuracy without shift, and over corruptions."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import expit, logit

_LEAST = 1 / 2000  # accuracies of 0 and 1 have a finite logit


def robustness_line(
    id_accuracy: np.ndarray, ood_accuracy: np.ndarray
) -> tuple[float, float]:
    """Slope and intercept of logit(accuracy under shift) on logit(accuracy without).

    Example:
        >>> accuracy = np.array([0.5, 0.9])
        >>> slope, intercept = robustness_line(accuracy, accuracy)
        >>> round(slope, 6), round(intercept, 6)
        (1.0, 0.0)
    """
    x, y = _logits(id_accuracy), _logits(ood_accuracy)
    if np.ptp(x) == 0:
        return 0.0, float(np.mean(y))
    slope, intercept = np.polyfit(x, y, 1)
    return float(slope), float(intercept)


def effective_robustness(
    id_accuracy: np.ndarray, ood_accuracy: np.ndarray, line: tuple[float, float]
) -> np.ndarray:
    """Accuracy under shift beyond what a line says of the accuracy without it.

    Example:
        >>> effective_robustness(np.array([0.9]), np.array([0.8]), (0.0, 0.0)).round(6)
        array([0.3])
    """
    slope, intercept = line
    return np.asarray(ood_accuracy) - expit(slope * _logits(id_accuracy) + intercept)


def label_efficiency(labels: np.ndarray, accuracy: np.ndarray) -> float:
    """Mean accuracy over the logarithm of the number of labels, by trapezoids.

    Example:
        >>> label_efficiency(np.array([1.0, 10.0, 100.0]), np.array([0.2, 0.4, 0.8]))
        0.45
    """
    order = np.argsort(labels)
    x, y = np.log(np.asarray(labels, float)[order]), np.asarray(accuracy)[order]
    if len(x) == 1:
        return float(y[0])
    return float(round(np.trapezoid(y, x) / (x[-1] - x[0]), 12))


def labels_to_reach(labels: np.ndarray, accuracy: np.ndarray, target: float) -> float:
    """The least number of labels with that accuracy, between counts by their logarithm.

    Example:
        >>> round(labels_to_reach(np.array([1.0, 100.0]), np.array([0.2, 0.6]), 0.4), 6)
        10.0
    """
    order = np.argsort(labels)
    counts, y = np.asarray(labels, float)[order], np.asarray(accuracy)[order]
    if y[0] >= target:
        return float(counts[0])
    for i in range(1, len(y)):
        if y[i] >= target:
            share = (target - y[i - 1]) / (y[i] - y[i - 1])
            between = np.log(counts[i - 1]) * (1 - share) + np.log(counts[i]) * share
            return float(np.exp(between))
    return math.inf


def corruption_error(
    errors: Mapping[str, Sequence[float]], reference: Mapping[str, Sequence[float]]
) -> float:
    """mCE: the mean over corruptions of the errors' sum, of that of a reference.

    Example:
        >>> corruption_error({"fog": [0.2, 0.4]}, {"fog": [0.4, 0.8]})
        0.5
    """
    if set(errors) != set(reference):
        raise ValueError(
            f"`reference` must have the corruptions {sorted(errors)}, got "
            f"{sorted(reference)}"
        )
    return float(np.mean([sum(errors[k]) / sum(reference[k]) for k in errors]))


def _logits(accuracy: np.ndarray) -> np.ndarray:
    return logit(np.clip(np.asarray(accuracy, float), _LEAST, 1 - _LEAST))
