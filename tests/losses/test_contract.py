"""One contract for every public loss: the promises of the conventions, loss by loss."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest
import references
from long_tests import LONG, long_only

from jaxcl import losses
from jaxcl.pairs import different, everyone, same

enable_x64 = (
    jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
)

ROWS, DIM = 8, 4
INSTANCES = np.array([0, 1, 0, 2, 1, 3, 2, 3, 0, 4, 5, 4, 5, 6, 6, 1])
DOMAINS = np.array([0, 1, 0, 0, 1, -1, 2, 0, 1, 1, 0, 0, -1, 2, 2, 1])
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 0, 1, -1, 2, 2, 1])
BIASES = np.array([0, 0, 1, 1, 0, 1, 1, 0, 0, 1, 2, -1, 1, 0, 1, 2])
GROUPS = np.array([0, 0, 1, 1, 0, 1, 1, 0, 0, 1, 2, 2, 1, 0, 1, 2])
# At least two rows of every place are left by KEEP, and by the mask of the devices.
PLACES = np.array([0, 1, 1, 1, 0, 0, 1, 0, 2, 2, 2, 2, 0, 1, -1, 2])
PATHS = np.stack([LABELS, np.where(BIASES == 2, 0, BIASES)], axis=1)
AGES = np.array([3, 1, 2, 7, 4, 4, 9, 1, 2, 6, 5, 3, np.nan, 8, 1, 7]) / 4
FEATURES = np.random.default_rng(5).normal(size=(16, 3))
WEIGHTS = np.array([1, 3, 2, 1, 4, 2, 1, 1, 2, 5, 1, 3, 2, 1, 2, 1]) / 2
LOG_PRIOR = np.log([[0.4, 0.1, 0.2, 0.3], [0.1, 0.7, 0.1, 0.1], [0.2, 0.2, 0.1, 0.5]])
# The rows of a bank live in two dimensions, so that rows can stand upright on it.
BANK = np.random.default_rng(6).normal(size=(7, 2))
BANK_INSTANCES = np.array([0, 3, 9, 1, 0, -1, 4])
BANK_WHERE = np.array([1, 1, 0, 1, 1, 1, 1], bool)


def positional(data, side):
    """The arguments of a loss of rows and of what is known of them."""
    return (*data, *side.values()), {}


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
    """How a test calls one loss: what it takes, and what it may be asked for.

    The first eight rows of the side data must leave every anchor defined. A promise
    that a loss does not make is a field that says so:

    `scaled`: the length of a row does not matter, and a zero row has no gradient.
    `streams`: it takes `block_size`.
    `lone`: a single row costs nothing.
    `plain_mean`: the loss is the plain mean of its anchors.
    `moves`: which of the data have a gradient.
    `reduces`: it takes `reduction`.
    `mapped`: it takes `axis_name` with rows split over the devices.
    `heat`: the name of its traced hyper-parameter, or None.
    """

    name: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    arguments: tuple[str, ...] = ("u", "v")
    side: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    anchors: Callable[[int], tuple[int, ...]] | None = lambda rows: (2, rows)
    bind: Callable[[tuple, dict], tuple[tuple, dict]] = positional
    finish: Callable[[Any], Any] = lambda value: value
    oracle: Callable[..., Any] | None = None
    heat: str | None = "temperature"
    scaled: bool = True
    streams: bool = True
    lone: bool = True
    plain_mean: bool = True
    reduces: bool = True
    mapped: bool = True
    moves: tuple[bool, ...] = (True,) * 5

    @property
    def tempered(self):
        return self.heat is not None

    def __call__(self, data, side, *, temperature=None, block_size=None, **options):
        """The loss of `data`, a tuple with one array for each of `arguments`."""
        return self.by(
            getattr(losses, self.name),
            data,
            side,
            temperature,
            {**options, **({"block_size": block_size} if self.streams else {})},
        )

    def expected(self, data, side, *, temperature=None, **options):
        """The double loop's value of numpy arrays."""
        oracle = self.oracle or getattr(references, self.name)
        return self.by(oracle, data, side, temperature, options)

    def by(self, loss, data, side, temperature, options):
        names = dict(zip(self.side, side, strict=True))
        if not any(self.moves):
            data = tuple(map(jax.lax.stop_gradient, data))
        arguments, keywords = self.bind(data, names)
        options = {**self.options, **keywords, **options}
        if self.heat and temperature is not None:
            options[self.heat] = temperature
        return self.finish(loss(*arguments, **options))

    def inputs(self, rows=ROWS, seed=0):
        """Rows in float64 and the side data that goes with them."""
        generator = np.random.default_rng(seed)
        shape = (len(self.arguments), rows, DIM)
        views = generator.normal(size=(1, rows, DIM)) + generator.normal(size=shape)
        return views, tuple(ids[:rows] for ids in self.side.values())


def of_rows(name, side, options=None, **fields):
    """The recipe of a loss of rows with one value an anchor."""
    fields = {"anchors": lambda rows: (rows,), **fields}
    return Recipe(name, options or {}, arguments=("embeddings",), side=side, **fields)


def like(array, data):
    """A constant in the kind and precision of the data."""
    if isinstance(data[0], np.ndarray):
        return np.asarray(array)
    return jnp.asarray(array, data[0].dtype)


def stacked(data):
    """Arrays [rows, dim] as one array [rows, count, dim]."""
    stack = np.stack if isinstance(data[0], np.ndarray) else jnp.stack
    return stack(data, axis=1)


def bank(data):
    """A bank of seven rows as wide as the data."""
    width = data[0].shape[-1]
    return like(np.pad(BANK, ((0, 0), (0, width - 2))), data)


def with_queue(data, side):
    return (*data, bank(data)), {}


def with_own_queue(data, side):
    keywords = {"queue_instances": BANK_INSTANCES, "queue_where": BANK_WHERE}
    return (*data, bank(data)), {**side, **keywords}


def with_own_negatives(data, side):
    return (*data[:2], stacked(data[2:])), {}


def with_weighted_negatives(data, side):
    """One negative of rows 0 and 3 is off their support."""
    logs = side["log_weights"]
    return (*data[:2], stacked(data[2:])), {"log_weights": logs}


def with_shared_negatives(data, side):
    return (*data, bank(data)), {}


def with_drawn_negatives(data, side):
    """Chunks of two, of an encoder that does not care for the key."""
    negatives = stacked(data[2:])
    return (*data[:2], lambda key, count: negatives[:, :count], jax.random.key(0)), {}


def of_anchor_losses(data, side):
    """The sum of a row as the loss of its anchor."""
    return (data[0].sum(-1), *side.values()), {}


def of_scaled_losses(data, side):
    def loss_fn(scale):
        values = data[0].sum(-1)
        sine = np.sin if isinstance(values, np.ndarray) else jnp.sin
        return sine(scale * values / 4)

    return (loss_fn, *side.values()), {}


START = np.array([0.4, 0.1, 0.3, 0.2])


def of_weights(data, side):
    return (*of_anchor_losses(data, side)[0], like(START, data)), {}


def moved_weights(weights):
    """One number of the new weights; 0 when they stay."""
    return (weights - weights.dtype.type(1) * START.astype(weights.dtype)) @ np.array(
        [1, -2, 3, 5]
    ).astype(weights.dtype)


def with_prior(data, side):
    """Logits of four classes, whatever the width of the data."""
    return (data[0][:, :4], *side.values(), like(LOG_PRIOR, data)), {}


def of_relations(data, side):
    return data, {"rows": side}


def weighted_anchors(data, side):
    return data, {"rows": {"label": side["label"]}, "anchor_weights": side["weight"]}


def with_candidates(data, side):
    others = {"label": LABELS[3:10], "domain": BIASES[3:10]}
    keywords = {"candidates": bank(data), "candidate_rows": others}
    return data, {"rows": side, **keywords}


def equal(ids, others):
    """[n, m]: both known and equal."""
    ids, others = np.asarray(ids)[:, None], np.asarray(others)[None]
    return ((ids == others) & (ids != -1) & (others != -1)).astype(float)


def unequal(ids, others):
    ids, others = np.asarray(ids)[:, None], np.asarray(others)[None]
    return ((ids != others) & (ids != -1) & (others != -1)).astype(float)


def by_matrices(positive, negative):
    """The double loop of a pairwise loss whose weights are functions of side data."""

    def oracle(data, *, rows, candidate_rows=None, positives, negatives, **options):
        columns = rows if candidate_rows is None else candidate_rows
        weights = positive(rows, columns), negative(rows, columns)
        return references.pairwise_loss(
            data, positives=weights[0], negatives=weights[1], **options
        )

    return oracle


def ones(rows, columns):
    return np.ones((len(rows["label"]), len(columns["label"])))


def same_label(rows, columns):
    return equal(rows["label"], columns["label"])


def mixed(rows, columns):
    return 0.5 * same_label(rows, columns) + 0.25 * equal(
        rows["domain"], columns["domain"]
    )


def mostly_others(rows, columns):
    return 0.3 * equal(rows["domain"], columns["domain"]) + 0.7


def same_label_other_domain(rows, columns):
    return same_label(rows, columns) * unequal(rows["domain"], columns["domain"])


MIXED = {
    "positives": 0.5 * same("label") + 0.25 * same("domain"),
    "negatives": 0.3 * same("domain") + 0.7 * everyone(),
}
CONFUSED = {
    "positives": same("label") & different("domain"),
    "negatives": everyone(),
}
OF_MIXED = {"bind": of_relations, "oracle": by_matrices(mixed, mostly_others)}
RELATED = {"label": LABELS, "domain": BIASES}
PENALTY = {"num_instances": 40}
OF_PAIRS = {"heat": None, "anchors": None}
OF_BIASES = {"labels": LABELS, "biases": BIASES}
OF_LABEL_DOMAINS = {"labels": LABELS, "domains": BIASES}
OF_AGES = {"instances": INSTANCES, "metadata": AGES}
OF_PLACES = {"domains": PLACES}
FOUR = {"num_domains": 4}
RAW = {"scaled": False, **OF_PAIRS, "streams": False}
OF_LOSSES = {**RAW, "reduces": False, "arguments": ("anchor_losses",)}
CORRECTED = {
    "options": {"temperature": 0.2},
    "anchors": lambda rows: (rows,),
    "streams": False,
    "lone": False,
}
DRAWN = {"num_negatives": 4, "chunk_size": 2, "temperature": 0.2}
LOG_WEIGHTS = np.random.default_rng(7).normal(size=(16, 3))
LOG_WEIGHTS[[0, 3], [1, 2]] = -np.inf
# The first recipe of a loss is the one that the long sweeps take.
RECIPES = {
    "info_nce": Recipe("info_nce_loss"),
    "info_nce-one-sided": Recipe(
        "info_nce_loss", {"symmetric": False}, anchors=lambda rows: (rows,)
    ),
    "info_nce-dcl": Recipe("info_nce_loss", {"within_view": True, "decoupled": True}),
    "nt_xent": Recipe("nt_xent_loss"),
    "dcl": Recipe("dcl_loss"),
    "dhel": Recipe("dhel_loss"),
    "sigmoid": Recipe(
        "sigmoid_loss",
        {"logit_bias": -0.5},
        heat="logit_scale",
        lone=False,
        anchors=lambda rows: (rows,),
    ),
    "sigmoid-within": Recipe(
        "sigmoid_loss",
        {"logit_bias": -0.5, "within_view": True},
        heat="logit_scale",
        lone=False,
        anchors=lambda rows: (rows,),
    ),
    "spectral": Recipe("spectral_loss", lone=False, **OF_PAIRS),
    "spectral-within": Recipe(
        "spectral_loss", {"within_view": True}, lone=False, **OF_PAIRS
    ),
    "additive": Recipe(
        "additive_loss",
        {"positive_fn": lambda s: s - s**2 / 4, "negative_fn": lambda s: s**2 + s},
        lone=False,
        **OF_PAIRS,
    ),
    "additive-within": Recipe(
        "additive_loss",
        {
            "positive_fn": lambda s: s,
            "negative_fn": lambda s: s**2,
            "cross_view": False,
            "within_view": True,
        },
        lone=False,
        **OF_PAIRS,
    ),
    "queue": Recipe(
        "queue_nce_loss",
        arguments=("queries", "keys"),
        bind=with_queue,
        moves=(True, False),
        lone=False,
        anchors=lambda rows: (rows,),
    ),
    "queue-instances": Recipe(
        "queue_nce_loss",
        arguments=("queries", "keys"),
        side={"instances": INSTANCES},
        bind=with_own_queue,
        moves=(True, False),
        lone=False,
        anchors=lambda rows: (rows,),
    ),
    "negative_variance": Recipe("negative_variance_penalty", PENALTY, **OF_PAIRS),
    "negative_variance-cubed": Recipe(
        "negative_variance_penalty", {**PENALTY, "power": 3}, **OF_PAIRS
    ),
    "negative_variance-target": Recipe(
        "negative_variance_penalty", {**PENALTY, "target": 0.25}, **OF_PAIRS
    ),
    "fair_kl": of_rows("fair_kl_penalty", OF_BIASES, **OF_PAIRS),
    "fair_kl-means": of_rows(
        "fair_kl_penalty", OF_BIASES, {"form": "means"}, **OF_PAIRS
    ),
    "domain_confusion": of_rows(
        "domain_confusion_penalty", {"domains": BIASES}, anchors=None
    ),
    "domain_confusion-labels": of_rows(
        "domain_confusion_penalty", {"domains": BIASES, "labels": LABELS}, anchors=None
    ),
    "coral": of_rows("coral_penalty", OF_PLACES, FOUR, **RAW),
    "mmd": of_rows("mmd_penalty", OF_PLACES, FOUR, **{**RAW, "streams": True}),
    "v_rex": Recipe(
        "v_rex_penalty", FOUR, side=OF_PLACES, bind=of_anchor_losses, **OF_LOSSES
    ),
    "irm": Recipe(
        "irm_penalty",
        FOUR,
        side=OF_PLACES,
        bind=of_scaled_losses,
        lone=False,
        **OF_LOSSES,
    ),
    "group_dro": Recipe(
        "group_dro_weights",
        {"step_size": 0.5},
        side=OF_PLACES,
        bind=of_weights,
        finish=moved_weights,
        moves=(False,),
        lone=False,
        **OF_LOSSES,
    ),
    "corrected": Recipe(
        "support_corrected_info_nce_loss",
        arguments=("anchors", "positives", "first", "second", "third"),
        bind=with_own_negatives,
        **CORRECTED,
    ),
    "corrected-weighted": Recipe(
        "support_corrected_info_nce_loss",
        arguments=("anchors", "positives", "first", "second", "third"),
        side={"log_weights": LOG_WEIGHTS},
        bind=with_weighted_negatives,
        **CORRECTED,
    ),
    "corrected-shared": Recipe(
        "support_corrected_info_nce_loss",
        arguments=("anchors", "positives"),
        bind=with_shared_negatives,
        **CORRECTED,
    ),
    "corrected-chunked": Recipe(
        "chunked_support_corrected_info_nce_loss",
        arguments=("anchors", "positives", "first", "second"),
        bind=with_drawn_negatives,
        **{**CORRECTED, "options": DRAWN},
    ),
    "supcon": of_rows("supcon_loss", {"labels": LABELS}),
    "supcon-in": of_rows("supcon_loss", {"labels": LABELS}, {"form": "in"}),
    "contex": of_rows("contex_loss", {"labels": LABELS, "instances": INSTANCES}),
    "contex-hinge": of_rows(
        "contex_loss",
        {"labels": LABELS, "instances": INSTANCES},
        {"label_weight": 0.7, "hinge": True, "base_temperature": 0.07},
    ),
    "contex-others": of_rows(
        "contex_loss",
        {"labels": LABELS, "instances": INSTANCES},
        {"instance_in_context": False},
    ),
    "epsilon": of_rows(
        "epsilon_sup_info_nce_loss", {"labels": LABELS}, {"epsilon": 0.5}
    ),
    "bias_contrastive": of_rows("bias_contrastive_loss", OF_BIASES),
    "soft_bias": of_rows(
        "soft_bias_contrastive_loss", {"labels": LABELS, "bias_features": FEATURES}
    ),
    "fair": of_rows("fair_supcon_loss", {"labels": LABELS, "groups": BIASES}),
    "fair-normalized": of_rows(
        "fair_supcon_loss",
        {"labels": LABELS, "groups": GROUPS},
        {"normalize_groups": True},
        plain_mean=False,
    ),
    "bias_balanced": Recipe(
        "bias_balanced_cross_entropy",
        arguments=("logits",),
        side={"labels": LABELS, "biases": GROUPS},
        bind=with_prior,
        lone=False,
        **{**RAW, "anchors": lambda rows: (rows,)},
    ),
    "within_domain": of_rows(
        "within_domain_nce_loss", {"instances": INSTANCES, "domains": DOMAINS}
    ),
    "domain_weighted": of_rows(
        "domain_weighted_supcon_loss", OF_LABEL_DOMAINS, {"same_domain_weight": 0.8}
    ),
    "domain_weighted-own": of_rows(
        "domain_weighted_supcon_loss", OF_LABEL_DOMAINS, {"same_domain_weight": 1.0}
    ),
    "cross_domain": of_rows("cross_domain_supcon_loss", OF_LABEL_DOMAINS),
    "cross_domain-others": of_rows(
        "cross_domain_supcon_loss", OF_LABEL_DOMAINS, {"negatives": "other_domains"}
    ),
    "y_aware": of_rows("y_aware_nce_loss", OF_AGES, {"bandwidth": 0.5}),
    "y_aware-features": of_rows(
        "y_aware_nce_loss",
        {"instances": INSTANCES, "metadata": FEATURES},
        {"bandwidth": 2.0},
    ),
    "kernel": of_rows(
        "kernel_nce_loss",
        {"instances": INSTANCES, "metadata": np.nan_to_num(AGES)},
        {"kernel": lambda a, b: 1.0 / (1.0 + (a - b) ** 2), "ridge": 0.5},
        streams=False,
    ),
    "rank": of_rows("rank_n_contrast_loss", {"targets": AGES}, scaled=False),
    "hierarchical": of_rows("hierarchical_supcon_loss", {"label_paths": PATHS}),
    "hierarchical-weighted": of_rows(
        "hierarchical_supcon_loss",
        {"label_paths": PATHS},
        {"level_weights": (1.0, 3.0)},
    ),
    "pairwise": of_rows(
        "pairwise_loss", RELATED, {**MIXED, "self_weight": 0.5}, **OF_MIXED
    ),
    "pairwise-in": of_rows(
        "pairwise_loss",
        RELATED,
        {**CONFUSED, "form": "in"},
        bind=of_relations,
        oracle=by_matrices(same_label_other_domain, ones),
    ),
    "pairwise-dot": of_rows(
        "pairwise_loss",
        RELATED,
        {**MIXED, "similarity": "dot"},
        scaled=False,
        **OF_MIXED,
    ),
    "pairwise-euclidean": of_rows(
        "pairwise_loss",
        RELATED,
        {**MIXED, "similarity": "negative_euclidean"},
        scaled=False,
        **OF_MIXED,
    ),
    "pairwise-weights": of_rows(
        "pairwise_loss",
        {"label": LABELS, "weight": WEIGHTS},
        {"positives": same("label"), "negatives": everyone()},
        bind=weighted_anchors,
        oracle=by_matrices(same_label, ones),
        plain_mean=False,
    ),
    # Whether devices share one bank or each bring a part of it is not promised.
    "pairwise-candidates": of_rows(
        "pairwise_loss",
        RELATED,
        MIXED,
        **{**OF_MIXED, "bind": with_candidates},
        lone=False,
        mapped=False,
    ),
}
FIRST = {recipe.name: case for case, recipe in reversed(RECIPES.items())}
SWEPT = [case for case in RECIPES if case in FIRST.values()]
TELLING = (
    "info_nce",
    "nt_xent",
    "sigmoid",
    "queue",
    "negative_variance",
    "corrected",
    "supcon",
    "fair",
    "cross_domain",
    "y_aware",
    "rank",
    "mmd",
)
SCALED = [case for case, recipe in RECIPES.items() if recipe.scaled]
MOVING = [case for case, recipe in RECIPES.items() if any(recipe.moves)]
PER_ANCHOR = [case for case, recipe in RECIPES.items() if recipe.anchors]
KEEP = np.array([1, 1, 1, 0, 1, 0, 0, 1], bool)
EVERYONE, NOBODY = np.ones(ROWS, bool), np.zeros(ROWS, bool)
ALONE = np.arange(ROWS) == 3


def each(cases, blocks=(None, 3), fast=TELLING):
    """Cases with the block sizes they take; those that are not `fast` are slow.

    Of these only the first block size is tried, unless all are asked for.
    """
    return pytest.mark.parametrize(
        ("case", "block_size"),
        [
            pytest.param(
                *(case, block),
                id=f"{case}-{block}",
                marks=() if case in fast else pytest.mark.slow,
            )
            for case in cases
            for block in blocks
            if block is None or RECIPES[case].streams
            if block == blocks[0] or case in fast or LONG
        ],
    )


each_loss = pytest.mark.parametrize("case", RECIPES)
each_swept = pytest.mark.parametrize("case", SWEPT)
# Of every kind of machinery one, for what costs a program of its own and lies below.
SOME = [case for case in SWEPT if LONG or case in TELLING]
# Every form for what its formula decides; one of each loss for all other promises.
FORMS = list(RECIPES) if LONG else SWEPT


class Outcome(NamedTuple):
    """What a loss returned, as numpy; gradients are `[arguments, rows, dim]`."""

    value: np.ndarray
    gradients: np.ndarray
    slope: np.ndarray


@functools.cache
def compiled(case, block_size=None):
    """Value, and gradient by rows and temperature: one program for many tests."""

    def loss(data, temperature, side, where):
        options = {"temperature": temperature, "where": where, "block_size": block_size}
        return RECIPES[case](data, side, **options)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))


def evaluate(case, data, side, where=None, temperature=0.2, block_size=None):
    """The loss of `data`, in the precision it has; `where=None` keeps all."""
    data = tuple(jnp.asarray(rows) for rows in data)
    where = np.ones(len(data[0]), bool) if where is None else where
    value, (gradients, slope) = compiled(case, block_size)(
        data, temperature, side, where
    )
    return Outcome(np.asarray(value), np.asarray(gradients), np.asarray(slope))


def agree(found, expected, rtol=1e-5):
    """Values agree, and gradients do relative to their largest entry."""
    np.testing.assert_allclose(found.value, expected.value, rtol=rtol, atol=rtol)
    for name in ["gradients", "slope"]:
        slopes, right = getattr(found, name), getattr(expected, name)
        scale = max(1e-2, np.abs(right).max(initial=0.0))
        np.testing.assert_allclose(
            slopes / scale, right / scale, rtol=0, atol=rtol, err_msg=name
        )


def picked(outcome, rows):
    """The outcome with the gradients of some rows only."""
    return outcome._replace(gradients=outcome.gradients[:, rows])


def test_every_public_loss_has_a_recipe():
    public = {name for name in losses.__all__ if callable(getattr(losses, name))}
    assert public == {recipe.name for recipe in RECIPES.values()}


# Dense and streaming are compared below.
@each(RECIPES, [None, *long_only(3)], fast=RECIPES)
def test_the_value_is_that_of_the_double_loop(case, block_size):
    recipe = RECIPES[case]
    data, side = recipe.inputs(seed=4)
    data = np.float32(data)
    for where in [EVERYONE, KEEP]:
        expected = recipe.expected(
            tuple(np.float64(data)), side, temperature=0.2, where=where
        )
        found = evaluate(case, data, side, where, block_size=block_size)
        np.testing.assert_allclose(found.value, expected, rtol=3e-5, atol=1e-6)
        assert abs(expected) > 1e-3


@each(SOME)
def test_a_loss_is_a_single_precision_scalar(case, block_size):
    data, side = RECIPES[case].inputs()
    data = tuple(jnp.float32(data))
    assert evaluate(case, data, side, block_size=block_size).value.dtype == np.float32
    with enable_x64(True):
        value, (gradients, _) = jax.eval_shape(
            compiled(case, block_size), data, 0.2, side, EVERYONE
        )
    assert value.shape == ()
    assert {leaf.dtype for leaf in (value, *gradients)} == {np.dtype("float32")}


@pytest.mark.slow
@pytest.mark.parametrize("case", SOME)
@pytest.mark.parametrize(
    ("rows", "rtol", "block_size"),
    [("float16", 4e-3, 3), *long_only(("bfloat16", 3e-2, None))],
)
def test_low_precision_agrees_to_the_rounding_of_its_input(
    case, rows, rtol, block_size
):
    """The rows are so long that their squares overflow float16, where it may be."""
    data, side = RECIPES[case].inputs()
    length = 1024 if RECIPES[case].scaled else 1
    low = jnp.asarray(length * data, rows)
    found = evaluate(case, low, side, block_size=block_size)
    assert (found.value.dtype, found.gradients.dtype) == ("float32", rows)
    found = found._replace(gradients=length * np.float32(found.gradients))
    agree(found, evaluate(case, np.float32(low) / length, side), rtol)


@each(FORMS)
def test_dropped_rows_change_nothing(case, block_size):
    data, side = RECIPES[case].inputs()
    data = np.float32(data)
    expected = evaluate(case, data[:, KEEP], tuple(ids[KEEP] for ids in side))
    for garbage in [0.0, 1.0, -1e30, 1e-30, np.nan, np.inf]:
        data[:, ~KEEP] = garbage
        found = evaluate(case, data, side, KEEP, block_size=block_size)
        agree(picked(found, KEEP), expected)
        if np.isfinite(garbage):
            assert not found.gradients[:, ~KEEP].any()


@pytest.mark.slow
@each_swept
def test_leaving_where_out_keeps_every_row(case):
    data, side = RECIPES[case].inputs()
    data, side = tuple(jnp.float32(data)), tuple(map(jnp.asarray, side))
    value = jax.jit(functools.partial(RECIPES[case], temperature=0.2))(data, side)
    np.testing.assert_allclose(
        value, evaluate(case, data, side).value, rtol=1e-6, atol=3e-7
    )


@each([case for case in PER_ANCHOR if case in SWEPT or not RECIPES[case].plain_mean])
def test_anchors_have_one_value_each_and_the_loss_is_their_mean(case, block_size):
    recipe = RECIPES[case]
    data, side = recipe.inputs()
    data = tuple(jnp.float32(data))
    loss = jax.jit(
        functools.partial(
            recipe, temperature=0.2, block_size=block_size, reduction="none"
        )
    )
    anchors = np.asarray(loss(data, side, where=EVERYONE))
    assert anchors.shape == recipe.anchors(ROWS)
    assert anchors.dtype == np.float32
    expected = recipe.expected(
        tuple(np.float64(data)), side, temperature=0.2, reduction="none"
    )
    np.testing.assert_allclose(anchors, expected, rtol=3e-5, atol=1e-5)
    if recipe.plain_mean:
        mean = evaluate(case, data, side, block_size=block_size).value
        np.testing.assert_allclose(anchors.mean(), mean, rtol=1e-5)
    assert not np.asarray(loss(data, side, where=KEEP))[..., ~KEEP].any()


def streaming_agrees(case, block_size):
    data, side = RECIPES[case].inputs()
    for where in [EVERYONE, KEEP]:
        dense = evaluate(case, np.float32(data), side, where)
        tiles = evaluate(case, np.float32(data), side, where, block_size=block_size)
        agree(tiles, dense)


@each(RECIPES, [3])
def test_streaming_agrees_with_dense(case, block_size):
    streaming_agrees(case, block_size)


@pytest.mark.slow
@each(SOME, [1, *long_only(50)])
def test_any_size_of_block_agrees_with_dense(case, block_size):
    streaming_agrees(case, block_size)


@pytest.mark.slow
@each(SOME, [3, *long_only(None)])
def test_double_precision_is_that_of_the_double_loop(case, block_size):
    recipe = RECIPES[case]
    data, side = recipe.inputs()
    with enable_x64(True):
        for where in [EVERYONE, KEEP]:
            dense = evaluate(case, data, side, where)
            found = evaluate(case, data, side, where, block_size=block_size)
            agree(found, dense, 1e-12)
            expected = recipe.expected(tuple(data), side, temperature=0.2, where=where)
            np.testing.assert_allclose(found.value, expected, rtol=1e-8, atol=1e-10)
            assert found.value.dtype == found.gradients.dtype == np.float64


@each(FORMS)
def test_the_order_of_the_rows_does_not_matter(case, block_size):
    data, side = RECIPES[case].inputs()
    data, order = np.float32(data), np.random.default_rng(1).permutation(ROWS)
    sorted_side = tuple(ids[order] for ids in side)
    shuffled = evaluate(case, data[:, order], sorted_side, block_size=block_size)
    agree(shuffled, picked(evaluate(case, data, side), order))


@each([case for case in SCALED if case in FORMS])
@pytest.mark.parametrize("exponents", [[30.0], [-30.0], [18.0, -30.0, 0.0, 5.0]])
def test_the_length_of_a_row_does_not_matter(case, block_size, exponents):
    data, side = RECIPES[case].inputs()
    scales = np.resize(10.0 ** np.array(exponents), (ROWS, 1))
    found = evaluate(case, np.float32(data * scales), side, block_size=block_size)
    found = found._replace(gradients=found.gradients * scales)
    agree(found, evaluate(case, np.float32(data), side))


def opposite(data):
    """Every second row points away from its neighbor."""
    return np.repeat(data[:, ::2], 2, axis=1) * np.resize([1.0, -1.0], (ROWS, 1))


def one_row_zero(data):
    return data * (np.arange(data.shape[1]) != 5)[:, None]


# (edit of the rows, where)
EXTREMES = {
    "one row": (np.array, ALONE),
    "two rows": (np.array, np.arange(ROWS) < 2),
    "no row": (np.array, NOBODY),
    "all rows": (np.array, EVERYONE),
    "a zero row": (one_row_zero, EVERYONE),
    "a zero row in one view": (lambda x: [one_row_zero(x)[0], *x[1:]], EVERYONE),
    "only zero rows": (np.zeros_like, EVERYONE),
    "duplicates": (lambda x: x[:, [0, 1, 2, 3, 1, 5, 1, 1]], EVERYONE),
    "all rows equal": (lambda x: np.broadcast_to(x[:1, :1], x.shape), EVERYONE),
    "opposite rows": (opposite, EVERYONE),
    "huge rows": (lambda x: x * 1e37, EVERYONE),
    "tiny rows": (lambda x: x * 1e-30, EVERYONE),
}


@each(FORMS)
@pytest.mark.parametrize("extreme", EXTREMES)
def test_every_finite_input_has_a_finite_value_and_gradient(case, block_size, extreme):
    """Rows that are taken as they are need not survive that their squares do not."""
    edit, where = EXTREMES[extreme]
    data, side = RECIPES[case].inputs()
    scaled = RECIPES[case].scaled
    if extreme == "huge rows" and not scaled:
        data = data / 1e30
    data = np.float32(edit(data))
    for temperature in [0.2, 0.005]:
        found = evaluate(case, data, side, where, temperature, block_size)
        assert all(np.all(np.isfinite(part)) for part in found)
        if scaled:
            assert not found.gradients[~data.any(axis=-1)].any()
        assert not found.gradients[:, ~where].any()


@each(FORMS)
def test_a_single_row_or_none_costs_nothing(case, block_size):
    """Of a loss that looks beyond a row; no row never costs anything."""
    data, side = RECIPES[case].inputs()
    data, first = np.float32(data), tuple(ids[:1] for ids in side)
    free = [evaluate(case, data, side, NOBODY, block_size=block_size)]
    if RECIPES[case].lone:
        free += [
            evaluate(case, data, side, ALONE, block_size=block_size),
            evaluate(case, data[:, :1], first),
        ]
    for found in free:
        np.testing.assert_allclose(found.value, 0.0, atol=1e-7)
        assert not found.gradients.any()


@each([case for case in SCALED if case in FORMS])
def test_a_zero_row_acts_as_one_at_right_angles_to_all_others(case, block_size):
    data, side = RECIPES[case].inputs()
    count, width = len(data), max(DIM, 2 + len(data))
    data = np.pad(data[:, :, :2], ((0, 0), (0, 0), (0, width - 2)))
    zeroed = evaluate(case, np.float32(one_row_zero(data)), side, block_size=block_size)
    data[:, 5] = np.eye(width)[2 : 2 + count]
    others = np.arange(ROWS) != 5
    upright = evaluate(case, np.float32(data), side)
    flat = [outcome.gradients[:, others, :2] for outcome in (zeroed, upright)]
    # The two sum in different orders: a little more than rounding apart.
    agree(
        zeroed._replace(gradients=flat[0]),
        upright._replace(gradients=flat[1]),
        2e-5,
    )


@each(FORMS)
def test_a_kept_nan_is_not_hidden(case, block_size):
    for argument in range(len(RECIPES[case].arguments)):
        data, side = RECIPES[case].inputs()
        data[argument, 1, 2] = np.nan
        found = evaluate(case, np.float32(data), side, block_size=block_size)
        assert np.isnan(found.value)


def gradients_are_differences(case, block_size, temperature):
    data, side = RECIPES[case].inputs(seed=2)
    data[:, ::2] *= 3.0

    def outcome(change=0.0, heat=0.0):
        warmth = temperature + heat
        return evaluate(case, data + change, side, KEEP, warmth, block_size)

    def difference(*step):
        return outcome(*step).value - outcome(*(-x for x in step)).value

    with enable_x64(True):
        spots = np.eye(data.size).reshape(-1, *data.shape)
        gradients = [difference(1e-5 * spot) / 2e-5 for spot in spots]
        slope = difference(0.0, 1e-6) / 2e-6
        found = outcome()
    moves = np.array(RECIPES[case].moves[: len(data)])[:, None, None]
    gradients = moves * np.reshape(gradients, data.shape)
    agree(found, Outcome(found.value, gradients, slope), 1e-7)


@each(MOVING, [None])
@pytest.mark.parametrize("temperature", [0.3, 0.05])
def test_gradients_equal_finite_differences(case, block_size, temperature):
    """Of every entry of every row, and of a traced temperature."""
    gradients_are_differences(case, block_size, temperature)


@pytest.mark.slow
@each([case for case in SOME if case in MOVING], [3])
def test_streamed_gradients_equal_finite_differences(case, block_size):
    gradients_are_differences(case, block_size, 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("case", SOME)
def test_a_loss_maps_over_a_stack_of_batches(case):
    recipe, block_size = RECIPES[case], 3
    stack = np.float32([recipe.inputs(seed=seed)[0] for seed in range(3)])
    side = recipe.inputs()[1]
    masks = np.array([KEEP, EVERYONE, ~KEEP])
    heats = np.float32([0.1, 0.2, 0.5])
    mapped = jax.vmap(compiled(case, block_size), in_axes=(0, 0, None, 0))
    data = tuple(jnp.asarray(rows) for rows in stack.swapaxes(0, 1))
    values, (gradients, slopes) = mapped(data, heats, side, masks)
    for i, batch in enumerate(stack):
        found = Outcome(values[i], np.array([x[i] for x in gradients]), slopes[i])
        agree(found, evaluate(case, batch, side, masks[i], float(heats[i])))


def shapes(recipe):
    """The shapes of a call, by argument name: errors must need no values."""
    data = dict.fromkeys(recipe.arguments, jax.ShapeDtypeStruct((ROWS, DIM), "float32"))
    side = {
        name: jax.ShapeDtypeStruct(
            (ROWS, *ids.shape[1:]), "float32" if ids.dtype.kind == "f" else "int32"
        )
        for name, ids in recipe.side.items()
    }
    return {**data, **side, "where": jax.ShapeDtypeStruct((ROWS,), "bool")}


def mistakes(recipe):
    """Wrong shapes and wrong values, each with the names the error may blame."""
    for name, right in shapes(recipe).items() if recipe.bind is positional else ():
        peers = recipe.arguments if name in recipe.arguments else (name,)
        anyone = tuple(shapes(recipe)) if name in recipe.arguments else (name,)
        yield f"{name} too long", {name: (ROWS + 1, *right.shape[1:])}, anyone
        yield f"{name} without an axis", {name: right.shape[:-1]}, peers
        yield f"{name} with an axis more", {name: (1, *right.shape)}, peers
    if len(recipe.arguments) == 2:
        name = recipe.arguments[1]
        yield f"{name} too wide", {name: (ROWS, DIM + 1)}, recipe.arguments
    for value in [0.0, -0.1] if recipe.heat == "temperature" else []:
        yield f"temperature {value}", {"temperature": value}, ("temperature",)
    if recipe.reduces:
        for value in ["sum"] if recipe.anchors else ["sum", "none"]:
            yield f"reduction {value}", {"reduction": value}, ("reduction",)
    if recipe.streams:
        yield "an empty block", {"block_size": 0}, ("block_size",)


# (case, argument, wrong value)
OWN_MISTAKES = [
    ("negative_variance", "num_instances", 1),
    ("negative_variance", "power", 0),
    ("negative_variance", "power", 1.5),
    ("fair_kl", "form", "median"),
    ("supcon", "form", "both"),
    ("pairwise", "form", "both"),
    ("pairwise", "similarity", "cosinus"),
    ("cross_domain", "negatives", "nobody"),
    ("y_aware", "bandwidth", 0.0),
    ("domain_weighted", "same_domain_weight", 1.5),
    ("hierarchical", "level_weights", (1.0,)),
    ("coral", "num_domains", 0),
    ("mmd", "num_domains", 0),
    ("v_rex", "num_domains", 0),
    ("irm", "num_domains", 0),
    ("corrected-chunked", "num_negatives", 0),
    ("corrected-chunked", "chunk_size", 0),
]


def every_mistake():
    """The mistakes of each loss, and those that only one can make."""
    for case in SWEPT:
        recipe = RECIPES[case]
        for what, changes, blamed in mistakes(recipe):
            yield pytest.param(recipe, changes, blamed, id=f"{recipe.name}-{what}")
    for case, name, value in OWN_MISTAKES:
        what = f"{RECIPES[case].name}-{name} {value}"
        yield pytest.param(RECIPES[case], {name: value}, (name,), id=what)


@pytest.mark.parametrize(("recipe", "changes", "blamed"), [*every_mistake()])
def test_mistakes_are_named_while_tracing(recipe, changes, blamed):
    traced = shapes(recipe)
    static = {name: value for name, value in changes.items() if name not in traced}
    for name in set(changes) & set(traced):
        traced[name] = jax.ShapeDtypeStruct(changes[name], traced[name].dtype)

    def loss(arrays):
        data = tuple(arrays[name] for name in recipe.arguments)
        side = {name: arrays[name] for name in recipe.side}
        arguments, keywords = recipe.bind(data, side)
        options = {**recipe.options, **keywords, **static, "where": arrays["where"]}
        return getattr(losses, recipe.name)(*arguments, **options)

    with pytest.raises(ValueError, match=rf"(?s)`({'|'.join(blamed)})`.*must.*got"):
        jax.eval_shape(loss, traced)


U, IDS = (ROWS, DIM), ((ROWS,), "int32")
ANCHORS = {"anchors": U, "positives": U}
QUEUE = {"queries": U, "keys": U, "queue": (7, DIM)}
# (loss, shapes, options, names the error may blame): what the tables above do not hold
SPECIAL_MISTAKES = {
    "queue too wide": ("queue_nce_loss", {**QUEUE, "queue": (7, 5)}, {}, "queue"),
    "queue without an axis": ("queue_nce_loss", {**QUEUE, "queue": (7,)}, {}, "queue"),
    "keys too long": ("queue_nce_loss", {**QUEUE, "keys": (9, DIM)}, {}, "keys"),
    "queue mask too long": (
        *("queue_nce_loss", {**QUEUE, "queue_where": ((8,), "bool")}, {}),
        "queue_where",
    ),
    "negatives of other anchors": (
        "support_corrected_info_nce_loss",
        {**ANCHORS, "negatives": (9, 3, DIM)},
        {"temperature": 0.2},
        "negatives",
    ),
    "negatives too wide": (
        "support_corrected_info_nce_loss",
        {**ANCHORS, "negatives": (3, DIM + 1)},
        {"temperature": 0.2},
        "negatives",
    ),
    "weights of other negatives": (
        "support_corrected_info_nce_loss",
        {**ANCHORS, "negatives": (3, DIM), "log_weights": (ROWS, 4)},
        {"temperature": 0.2},
        "log_weights",
    ),
    "anchor losses with an axis more": (
        "v_rex_penalty",
        {"anchor_losses": U, "domains": IDS},
        {"num_domains": 3},
        "anchor_losses",
    ),
    "domains too long": (
        "v_rex_penalty",
        {"anchor_losses": (ROWS,), "domains": ((9,), "int32")},
        {"num_domains": 3},
        "domains|anchor_losses",
    ),
    "weights with an axis more": (
        "group_dro_weights",
        {"anchor_losses": (ROWS,), "domains": IDS, "weights": (3, 1)},
        {"step_size": 0.1},
        "weights",
    ),
    "a prior of other labels": (
        "bias_balanced_cross_entropy",
        {"logits": U, "labels": IDS, "biases": IDS, "log_prior": (3, 5)},
        {},
        "log_prior|logits",
    ),
    "domains without their number": (
        *("coral_penalty", {"embeddings": U, "domains": IDS}, {}),
        "num_domains",
    ),
}


@pytest.mark.parametrize("what", SPECIAL_MISTAKES)
def test_special_mistakes_are_named_while_tracing(what):
    name, arrays, options, blamed = SPECIAL_MISTAKES[what]
    keywords = ("queue_where", "log_weights")
    traced = {}
    for argument, shape in arrays.items():
        dtype = "float32"
        if len(shape) == 2 and isinstance(shape[1], str):
            shape, dtype = shape
        traced[argument] = jax.ShapeDtypeStruct(shape, dtype)

    def loss(values):
        named = {k: values[k] for k in keywords if k in arrays}
        placed = [values[k] for k in arrays if k not in keywords]
        return getattr(losses, name)(*placed, **named, **options)

    with pytest.raises(ValueError, match=rf"(?s)`({blamed})`.*must.*got"):
        jax.eval_shape(loss, traced)


@pytest.mark.parametrize("name", ["label", "domain"])
@pytest.mark.parametrize("shape", [(ROWS + 1,), ()])
def test_side_data_of_another_length_is_named_while_tracing(name, shape):
    rows = {"label": IDS, "domain": IDS, name: (shape, "int32")}
    rows = {word: jax.ShapeDtypeStruct(*ids) for word, ids in rows.items()}

    def loss(embeddings, rows):
        return losses.pairwise_loss(embeddings, rows=rows, **CONFUSED)

    with pytest.raises(ValueError, match=rf"(?s){name}.*must.*got"):
        jax.eval_shape(loss, jax.ShapeDtypeStruct(U, "float32"), rows)
