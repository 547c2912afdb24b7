"""Claims on small batches and the penalty, judged by encoders of real images."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.config import TrainConfig, from_dict
from jaxcl.data import open_data
from jaxcl.evaluation import embed, head_predictions, statistics_of_views
from jaxcl.experiment import make_whole_run
from jaxcl.labs.reproduce._claim import Measured, by_seed, claims_of
from jaxcl.labs.reproduce._similarity_settings import (
    PAPER,
    PUBLISHED_RATIO,
    check_penalty,
    check_sizes,
)
from jaxcl.labs.reproduce._similarity_towers import make_towers

claim, CLAIMS = claims_of("similarities", f"founding report, {PAPER}", seeds=5)
_SETTING = (
    "digits on random colors, MLP, NT-Xent, t = 0.2, m = 8, 32, 128, 600 steps, "
    "λ = 30, paired by seed"
)
_SIZES = (8, 32, 128)
_WEIGHT = 30.0
_STEPS = 600
_PAIRS = 500
_TOWER_ROWS = 64


class _Trained(NamedTuple):
    """By weight of the penalty and batch size, one number per seed."""

    variance: dict[float, dict[int, np.ndarray]]
    accuracy: dict[float, dict[int, np.ndarray]]
    histograms: dict[str, np.ndarray]


def _config(batch_size: int, weight: float, temperature: float = 0.2) -> TrainConfig:
    tree: dict[str, Any] = {
        "num_steps": _STEPS,
        # In these digits, color and label are independent.
        "data": {"name": "colored_digits/rho_0.1", "batch_size": batch_size},
        "augmentation": {
            "crop_scale": [0.6, 1.0],
            "jitter": 0.8,
            "hue": 0.5,
            "grayscale": 0.2,
        },
        "model": {"encoder": "mlp", "width": 128, "stages": 2},
        "objective": {
            "name": "nt_xent",
            "temperature": temperature,
            "penalties": {"negative_variance": weight},
        },
    }
    config: TrainConfig = from_dict(tree)
    config.check()
    return config


@functools.lru_cache(maxsize=1)
def _train_all(seeds: tuple[int, ...]) -> _Trained:
    """Every batch size with and without the penalty; runs of a seed start alike."""
    trained = _Trained({0.0: {}, _WEIGHT: {}}, {0.0: {}, _WEIGHT: {}}, {})
    for size in _SIZES:
        for weight in (0.0, _WEIGHT):
            runs = list(_train(_config(size, weight), seeds))
            trained.variance[weight][size] = np.array([run[0] for run in runs])
            trained.accuracy[weight][size] = np.array([run[1] for run in runs])
            name = f"m = {size}, λ = {weight:g}"
            trained.histograms[name] = np.asarray(runs[0][2])
    return trained


def _train(config: TrainConfig, seeds: tuple[int, ...]):
    """Variance of negatives, accuracy of a linear head, and histogram, by seed."""
    run = None
    for seed in seeds:
        data = open_data(config.data, seed)
        run = run or make_whole_run(config, data)
        on_cpu = jax.default_backend() == "cpu"
        train = run.train_by_steps if on_cpu else run.train
        batches = data.stacked_batches(0, config.num_steps)
        state, _ = train(seed, data.train_images(), batches)
        found = statistics_of_views(
            functools.partial(run.project, state),
            data.evaluation_batches(data.train, _PAIRS, _PAIRS),
            config.augmentation,
            seed,
        )
        rows, test = (
            embed(
                functools.partial(run.encode, state),
                data.evaluation_batches(split, 500, 2000),
            )
            for split in (data.train, data.tests["ood_test"])
        )
        labels = np.asarray(rows.label)
        (predicted,) = head_predictions(rows.embeddings, labels, test.embeddings)
        right = float(np.mean(predicted == test.label))
        yield found["negative_variance"], right, found["negative_histogram"]


@claim(
    "images-penalty-reduces",
    "claim 1",
    "The penalty reduces the variance of negatives.",
    _SETTING,
    120,
)
def _reduces(seeds):
    size, found = 32, _train_all(seeds)
    with_it, without = (found.variance[weight][size] for weight in (_WEIGHT, 0.0))
    checks = [
        by_seed("change of the variance", with_it - without, 0, relation="below"),
        by_seed(
            "variance with the penalty over without",
            with_it / without,
            0.9,
            relation="below",
            published=PUBLISHED_RATIO,
        ),
    ]
    names = [f"m = {size}, λ = {weight:g}" for weight in (0.0, _WEIGHT)]
    return Measured(checks, histograms={name: found.histograms[name] for name in names})


@claim(
    "images-smaller-batches",
    "claim 2",
    "Smaller batches leave a larger variance.",
    _SETTING,
    120,
)
def _smaller_is_larger(seeds):
    return check_sizes(_train_all(seeds).variance[0.0])


@claim(
    "images-every-batch-size",
    "claim 3",
    "The penalty reduces the variance at every batch size.",
    _SETTING,
    120,
)
def _at_every_size(seeds):
    variance = _train_all(seeds).variance
    return check_penalty(variance[0.0], variance[_WEIGHT])


@claim(
    "images-separation",
    "claim 4",
    "The penalty mitigates excessive separation.",
    "two MLPs of the left and right halves of 64 digits, full batch, sigmoid loss, "
    "scale 10, bias −5, 4,000 steps",
    60,
    remark="One encoder of two identically distributed views cannot separate "
    "excessively: the mean of its negatives is at least −1/(n−1). With λ = 30, "
    "training ends for some seeds where positives are less similar than without.",
)
def _separation(seeds):
    data = open_data(_config(_TOWER_ROWS, 0.0).data)
    train = make_towers(jnp.asarray(data.train_images()[:_TOWER_ROWS], jnp.float32))
    means = {}
    for weight in (0.0, _WEIGHT, 10 * _WEIGHT):
        found = train(jnp.array(seeds), weight)
        means[weight] = np.array([found.negative_mean, found.positive_mean])
    excess, alignment = means[0.0]
    threshold = -1.0 / (_TOWER_ROWS - 1)
    checks = [
        by_seed("mean of negatives", excess, threshold, relation="below"),
        by_seed("mean of positives", alignment, 0.99, relation="below"),
    ]
    for weight in (_WEIGHT, 10 * _WEIGHT):
        changes = means[weight] - means[0.0]
        checks += [
            by_seed(f"change of {kind}, λ = {weight:g}", change, 0, relation="above")
            for kind, change in zip(("negatives", "positives"), changes, strict=True)
        ]
    return checks


@claim(
    "images-quality",
    "claim 5",
    "A lower variance gives better embeddings, by a linear head on all labels.",
    f"{_SETTING}; and t = 1, m = 32",
    180,
)
def _quality(seeds):
    accuracy = _train_all(seeds).accuracy
    gains = {
        f"m = {size}": accuracy[_WEIGHT][size] - accuracy[0.0][size] for size in _SIZES
    }
    warm = [
        np.array([run[1] for run in _train(_config(32, weight, 1.0), seeds)])
        for weight in (0.0, _WEIGHT)
    ]
    gains["m = 32, t = 1"] = warm[1] - warm[0]
    return [
        by_seed(
            f"accuracy with the penalty minus without, {name}",
            gain,
            0,
            relation="above",
        )
        for name, gain in gains.items()
    ]
