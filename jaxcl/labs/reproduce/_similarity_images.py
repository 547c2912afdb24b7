"""Claims on small batches and the penalty, judged by encoders of real images."""

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxcl.config import TrainConfig, from_dict
from jaxcl.data import open_data
from jaxcl.evaluation import embed, head_predictions, statistics_of_views
from jaxcl.experiment import make_whole_run
from jaxcl.labs.identifiability.recovery import mlp_encoder
from jaxcl.labs.reproduce._claim import Measured, by_seed, claims_of
from jaxcl.labs.reproduce._similarity_settings import PAPER, TABLE_1
from jaxcl.losses import negative_variance_penalty, sigmoid_loss
from jaxcl.metrics import SimilarityStatistics, similarity_statistics

_SIZES = (8, 32, 128)
_WEIGHT = 30.0
_STEPS = 600
_PAIRS = 500
_PUBLISHED = TABLE_1[32][1] / TABLE_1[32][0]


class _Trained(NamedTuple):
    """By batch size and weight of the penalty: one number a seed."""

    variance: dict[tuple[int, float], np.ndarray]
    accuracy: dict[tuple[int, float], np.ndarray]
    histograms: dict[str, np.ndarray]


def _config(batch_size: int, weight: float, temperature: float = 0.2) -> TrainConfig:
    tree: dict[str, Any] = {
        "num_steps": _STEPS,
        # Color and digit have nothing to do with each other.
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
    """Every batch size with and without the penalty; all of a seed begin alike."""
    variance, accuracy, histograms = {}, {}, {}
    for size in _SIZES:
        for weight in (0.0, _WEIGHT):
            runs = list(_train(_config(size, weight), seeds))
            variance[size, weight] = np.array([run[0] for run in runs])
            accuracy[size, weight] = np.array([run[1] for run in runs])
            histograms[f"m = {size}, λ = {weight:g}"] = np.asarray(runs[0][2])
    return _Trained(variance, accuracy, histograms)


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


def _reduces(seeds):
    size = 32
    found = _train_all(seeds)
    with_it, without = found.variance[size, _WEIGHT], found.variance[size, 0.0]
    return Measured(
        [
            by_seed("change of the variance", with_it - without, 0, relation="below"),
            by_seed(
                "variance with the penalty over without",
                with_it / without,
                0.9,
                relation="below",
                published=_PUBLISHED,
            ),
        ],
        histograms={
            name: counts
            for name, counts in found.histograms.items()
            if name.startswith(f"m = {size},")
        },
    )


def _smaller_is_larger(seeds):
    variance = _train_all(seeds).variance
    return [
        by_seed(
            f"variance of m = {other} less that of {one}",
            variance[other, 0.0] - variance[one, 0.0],
            0,
            relation="below",
        )
        for one, other in pairwise(_SIZES)
    ]


def _at_every_size(seeds):
    variance = _train_all(seeds).variance
    return [
        by_seed(
            f"change by the penalty, m = {size}",
            variance[size, _WEIGHT] - variance[size, 0.0],
            0,
            relation="below",
        )
        for size in _SIZES
    ]


def _quality(seeds):
    accuracy = _train_all(seeds).accuracy
    gains = {
        f"m = {size}": accuracy[size, _WEIGHT] - accuracy[size, 0.0] for size in _SIZES
    }
    warm = [
        np.array([run[1] for run in _train(_config(32, weight, 1.0), seeds)])
        for weight in (0.0, _WEIGHT)
    ]
    gains["m = 32, t = 1"] = warm[1] - warm[0]
    return [
        by_seed(
            f"accuracy with the penalty less without, {name}", gain, 0, relation="above"
        )
        for name, gain in gains.items()
    ]


_ROWS, _SCALE, _BIAS = 64, 10.0, -5.0
_DESCENT = 4000


def _separation(seeds):
    """Two encoders, of the left and the right halves of digits, in full batch."""
    data = open_data(_config(_ROWS, 0.0).data)
    images = jnp.asarray(data.train_images()[:_ROWS], jnp.float32)
    middle = images.shape[2] // 2
    halves = [_standardized(images[:, :, part]) for part in _cut(middle)]
    train, means = _two_towers(halves), {}
    for weight in (0.0, _WEIGHT, 10 * _WEIGHT):
        found = train(jnp.array(seeds), weight)
        means[weight] = np.array([found.negative_mean, found.positive_mean])
    excess, alignment = means[0.0]
    threshold = -1.0 / (_ROWS - 1)
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


def _cut(middle: int) -> tuple[slice, slice]:
    return slice(None, middle), slice(middle, None)


def _standardized(half: jax.Array) -> jax.Array:
    rows = half.reshape(len(half), -1)
    rows = rows - rows.mean(0, keepdims=True)
    return rows / rows.std()


def _two_towers(halves) -> Callable[[jax.Array, float], SimilarityStatistics]:
    """Trains two encoders for every seed and a weight of the penalty."""
    encoder = mlp_encoder(_ROWS, hidden=(256,))
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, _DESCENT))

    def embeddings(params):
        return [
            encoder.apply(one, half) for one, half in zip(params, halves, strict=True)
        ]

    def loss(params, weight):
        u, v = embeddings(params)
        penalty = negative_variance_penalty(u, v, num_instances=_ROWS)
        total = sigmoid_loss(u, v, logit_scale=_SCALE, logit_bias=_BIAS)
        return total + weight * penalty

    def train(seed, weight):
        keys = jax.random.split(jax.random.key(seed), 2)
        params = [
            encoder.init(key, half.shape[1])
            for key, half in zip(keys, halves, strict=True)
        ]

        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params, weight), state)
            return (optax.apply_updates(params, updates), state), None

        start = params, optimizer.init(params)
        (params, _), _ = lax.scan(step, start, None, length=_DESCENT)
        return similarity_statistics(*embeddings(params))

    return jax.jit(jax.vmap(train, (0, None)))


_claim = claims_of("similarities", f"founding report, {PAPER}", seeds=5)
_SETTING = (
    "digits on random colors, MLP, NT-Xent, t = 0.2, m = 8, 32, 128, 600 steps, "
    "λ = 30, paired by seed"
)

CLAIMS = (
    _claim(
        "images-penalty-reduces",
        "claim 1",
        "The penalty reduces the variance of negatives.",
        _SETTING,
        120,
        _reduces,
    ),
    _claim(
        "images-smaller-batches",
        "claim 2",
        "Smaller batches leave a larger variance.",
        _SETTING,
        120,
        _smaller_is_larger,
    ),
    _claim(
        "images-every-batch-size",
        "claim 3",
        "The penalty reduces the variance at every batch size.",
        _SETTING,
        120,
        _at_every_size,
    ),
    _claim(
        "images-separation",
        "claim 4",
        "The penalty mitigates excessive separation.",
        "two MLPs of the left and right halves of 64 digits, full batch, sigmoid loss, "
        "scale 10, bias −5, 4,000 steps",
        60,
        _separation,
        remark="One encoder of two views alike in law cannot separate too much: the "
        "mean of its negatives is −1/(n−1) or more. With λ = 30 the descent of some "
        "seeds ends where positives are worse than without.",
    ),
    _claim(
        "images-quality",
        "claim 5",
        "A lower variance makes better embeddings: of a linear head on all labels.",
        f"{_SETTING}; and t = 1, m = 32",
        180,
        _quality,
    ),
)
