"""Ids and numbers are two kinds: −1 is an unknown id, and a number like any other.

The loops are plain Python in float64, and know nothing of the library.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl import losses
from jaxcl.kernels import distance
from jaxcl.pairs import different, everyone, rbf, same, within

ROWS = np.random.default_rng(5).normal(size=(12, 4)).astype(np.float32)
VIEWS = np.arange(12) % 6
T = 0.3


def agree(found, right, tolerance=2e-5):
    np.testing.assert_allclose(found, right, rtol=tolerance, atol=tolerance)


# ----------------------------------------------------------------- loops in float64


def cosines():
    unit = [[x / math.hypot(*row) for x in row] for row in ROWS.tolist()]
    return [
        [sum(a * b for a, b in zip(x, y, strict=True)) / T for y in unit] for x in unit
    ]


def contrast(positive, negative, form="out"):
    """The general loss of weights `positive(i, j)` and `negative(i, j)`."""
    s, values = cosines(), []
    for i in range(len(s)):
        others = [j for j in range(len(s)) if j != i]
        p = {j: float(positive(i, j)) for j in others}
        below = sum(float(negative(i, j)) * math.exp(s[i][j]) for j in others)
        if not (sum(p.values()) > 0 and below > 0):
            continue
        if form == "in":
            above = sum(p[j] * math.exp(s[i][j]) for j in others)
            values.append(math.log(below) - math.log(above))
        else:
            terms = [p[j] * (math.log(below) - s[i][j]) for j in others]
            values.append(sum(terms) / sum(p.values()))
    return sum(values) / len(values) if values else 0.0


def alike(ids):
    return lambda i, j: ids[i] == ids[j] != -1


def unlike(ids):
    return lambda i, j: ids[i] != ids[j] and -1 not in (ids[i], ids[j])


def both(*relations):
    return lambda i, j: all(relation(i, j) for relation in relations)


def anyone(i, j):
    return True


def gap(a, b):
    """The Euclidean distance of two numbers or vectors."""
    return math.hypot(*(float(x) - float(y) for x, y in zip(a, b, strict=True)))


def vectors(numbers):
    return [list(np.ravel(value).tolist()) for value in numbers]


def y_aware(numbers, bandwidth):
    m, views = vectors(numbers), alike(VIEWS.tolist())

    def weight(i, j):
        if views(i, j):
            return 1.0
        return 0.0 if math.isnan(gap(m[i], m[j])) else gauss(m[i], m[j], bandwidth)

    return contrast(weight, anyone)


def gauss(a, b, bandwidth):
    return math.exp(-(gap(a, b) ** 2) / (2 * bandwidth**2))


def rank_n(numbers, temperature=2.0):
    m, rows, values = vectors(numbers), ROWS.tolist(), []
    known = [i for i in range(len(m)) if not any(map(math.isnan, m[i]))]

    def apart(i, j):
        return sum(abs(x - y) for x, y in zip(m[i], m[j], strict=True))

    for i in known:
        others = [j for j in known if j != i]
        s = {j: -gap(rows[i], rows[j]) / temperature for j in others}
        terms = []
        for j in others:
            rivals = [k for k in others if apart(i, k) >= apart(i, j)]
            terms.append(math.log(sum(math.exp(s[k]) for k in rivals)) - s[j])
        values.append(sum(terms) / len(terms))
    return sum(values) / len(values)


# --------------------------------------------------------------------------- numbers

CELSIUS = np.array([-8, -6, -4, -3, -2, -1, 0, 1, 3, 5, 7, 9])
EARLY = np.array([-3, -1, -1, 2, 0, 5, -7, 8, -2, 1, 1, 40])
NUMBERS = {
    "below zero": CELSIUS,
    "below zero, int8": CELSIUS.astype(np.int8),
    "below zero, floats": CELSIUS.astype(np.float32),
    "far apart, int8": np.array(
        [-128, 127, 5, 0, -1, 2, 9, -60, 60, 1, -2, 3], np.int8
    ),
    "dates": 20240101 + EARLY,
    "unsigned": (2**32 - 100 + EARLY).astype(np.uint32),
    "dates and a quarter, of NumPy": 20240101.25 + EARLY,
    "milliseconds, of NumPy": 1.7e12 + EARLY,
    "floats with unknown ones": np.where(np.arange(12) % 5 == 3, np.nan, 1e8 + EARLY),
    "a list": (20240101 + EARLY).tolist(),
    "vectors": np.stack([20240101 + EARLY, CELSIUS], 1),
    "vectors of floats": np.stack([1.7e9 + EARLY, CELSIUS * 0.5], 1),
}


@pytest.fixture(params=NUMBERS)
def numbers(request):
    return NUMBERS[request.param]


@pytest.mark.parametrize("block_size", [None, 5])
def test_y_aware_reads_numbers(numbers, block_size):
    options = {"bandwidth": 2.0, "temperature": T, "block_size": block_size}
    found = losses.y_aware_nce_loss(ROWS, VIEWS, numbers, **options)
    agree(found, y_aware(numbers, 2.0))


@pytest.mark.parametrize("block_size", [None, 5])
def test_rank_n_reads_numbers(numbers, block_size):
    found = losses.rank_n_contrast_loss(ROWS, numbers, block_size=block_size)
    agree(found, rank_n(numbers))


def test_the_relations_of_numbers_read_numbers(numbers):
    m = vectors(numbers)
    near = [[0.0 if math.isnan(gap(a, b)) else gauss(a, b, 2.0) for b in m] for a in m]
    agree(rbf("m", bandwidth=2.0).weights({"m": numbers}), near)
    if len(m[0]) == 1:
        near = [[float(gap(a, b) <= 2) for b in m] for a in m]
        agree(within("m", 2.0).weights({"m": numbers}), near)
        found = losses.pairwise_loss(
            ROWS,
            rows={"m": numbers},
            positives=within("m", 2.0),
            negatives=everyone(),
            temperature=T,
        )
        agree(found, contrast(lambda i, j: gap(m[i], m[j]) <= 2, anyone))


def test_kernel_nce_gives_its_kernel_the_numbers_as_they_are():
    """A linear kernel is another one when the numbers are moved."""
    numbers, kinds = CELSIUS - 0.5, []

    def linear(a, b):
        kinds.append(a.dtype)
        return 0.01 * a * b

    def squared(a, b):
        return jnp.exp(-(distance(a, b).astype(jnp.float32) ** 2) / 8)

    def value(metadata, kernel):
        options = {"ridge": 0.5, "temperature": T}
        return losses.kernel_nce_loss(ROWS, VIEWS, metadata, kernel=kernel, **options)

    agree(value(numbers, linear), value(jnp.asarray(numbers, jnp.float32), linear))
    assert kinds == [jnp.float32] * 2
    agree(value(20240101 + EARLY, squared), value(EARLY, squared))


def test_the_farthest_whole_numbers_are_ranked_right():
    least, most = -(2**31), 2**31 - 1
    targets = [least, most, most - 1, 0, -1, 1, least + 1, 7, -7, 2**24, 2**24 + 1, 3]
    agree(losses.rank_n_contrast_loss(ROWS, targets), rank_n(targets))
    wide = np.stack([targets, np.roll(targets, 3), np.roll(targets, 5)], 1)
    agree(losses.rank_n_contrast_loss(ROWS, wide), rank_n(wide))
    m = {"m": np.array(targets)}
    right = [[abs(a - b) <= 2**31 for b in targets] for a in targets]
    agree(within("m", 2.0**31).weights(m), right)
    right = [[gauss([a], [b], 2.0**31) for b in targets] for a in targets]
    agree(rbf("m", bandwidth=2.0**31).weights(m), right)


def test_gradients_of_shifted_whole_targets_are_the_same():
    gradient = jax.jit(jax.grad(losses.rank_n_contrast_loss))
    found, right = (
        gradient(ROWS, np.stack([base + EARLY, CELSIUS], 1)) for base in (20240101, 0)
    )
    np.testing.assert_array_equal(found, right)
    assert np.abs(right).max() > 0


# ------------------------------------------------------------------------------- ids

HASHES = [-2, -(2**31), 2**31 - 1, 7, -1]
IDS = {
    "hashes": np.array([HASHES[i] for i in (0, 1, 2, 0, 1, 2, 4, 3, 0, 3, 1, 4)]),
    "floors": np.array([-2, -1, 0, 1, -2, -3, 1, -1, 0, -3, -2, 1]),
    "none is known": np.full(12, -1),
}
LABELS = np.array([-5, -5, 3, 3, -5, 3, -5, 3, -1, -5, 3, 3])


@pytest.fixture(params=IDS)
def ids(request):
    return IDS[request.param]


def weighted(domains, share):
    label, inside, across = alike(LABELS), alike(domains), unlike(domains)

    def weight(i, j):
        return share * inside(i, j) + (1 - share) * across(i, j)

    def with_constant(i, j):
        return label(i, j) and weight(i, j) > 0

    plain = contrast(with_constant, weight)
    constants = []
    for i in range(12):
        mine = [weight(i, j) for j in range(12) if j != i and with_constant(i, j)]
        if mine:
            constants.append(-sum(map(math.log, mine)) / len(mine))
    return plain + (sum(constants) / len(constants) if constants else 0.0)


def domain_losses(domains):
    label, views = alike(LABELS), alike(VIEWS)
    inside, across = alike(domains), unlike(domains)
    crossing = both(label, across)

    def around(i, j):
        return views(i, j) or inside(i, j) or domains[i] == -1

    return {
        "within_domain_nce_loss": ((VIEWS, domains), {}, contrast(views, around)),
        "cross_domain_supcon_loss": (
            (LABELS, domains),
            {"negatives": "other_domains"},
            contrast(crossing, across),
        ),
        "bias_contrastive_loss": ((LABELS, domains), {}, contrast(crossing, anyone)),
        "fair_supcon_loss": (
            (LABELS, domains),
            {},
            contrast(label, both(unlike(LABELS), inside)),
        ),
        "domain_confusion_penalty": ((domains,), {}, contrast(across, anyone, "in")),
        "domain_weighted_supcon_loss": (
            (LABELS, domains),
            {"same_domain_weight": 0.7},
            weighted(domains, 0.7),
        ),
        "supcon_loss": ((domains,), {}, contrast(inside, anyone)),
    }


@pytest.mark.parametrize("name", domain_losses(VIEWS))
@pytest.mark.parametrize("block_size", [None, 5])
def test_only_minus_one_is_an_unknown_id(name, ids, block_size):
    columns, options, right = domain_losses(ids)[name]
    options = {**options, "temperature": T, "block_size": block_size}
    agree(getattr(losses, name)(ROWS, *columns, **options), right)


def test_the_relations_of_ids_read_ids(ids):
    for relation, right in ((same("x"), alike(ids)), (different("x"), unlike(ids))):
        right = [[float(right(i, j)) for j in range(12)] for i in range(12)]
        agree(relation.weights({"x": ids}), right)


def test_kernel_nce_finds_the_views_of_negative_ids():
    hashed = np.array([HASHES[i] for i in (0, 1, 2, 3, 0, 1, 2, 3, 4, 4, 0, 1)])
    renumbered = np.array([0, 1, 2, 3, 0, 1, 2, 3, -1, -1, 0, 1])
    found, right = (
        losses.kernel_nce_loss(
            *(ROWS, each, CELSIUS.astype(np.float32)),
            kernel=lambda a, b: jnp.exp(-((a - b) ** 2)),
            ridge=0.1,
            reduction="none",
        )
        for each in (hashed, renumbered)
    )
    np.testing.assert_array_equal(found, right)
    assert (np.asarray(found)[8:10] == 0).all() and found[0] > 0


PENALTIES = {
    "coral_penalty": lambda d, **options: losses.coral_penalty(ROWS, d, **options),
    "mmd_penalty": lambda d, **options: losses.mmd_penalty(ROWS, d, **options),
    "v_rex_penalty": lambda d, **options: losses.v_rex_penalty(
        np.abs(ROWS[:, 0]), d, **options
    ),
    "irm_penalty": lambda d, **options: losses.irm_penalty(
        lambda w: w * jnp.abs(ROWS[:, 0]), d, **options
    ),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_domains_are_counted_and_need_not_be_contiguous(name, ids):
    found = np.unique(ids[ids != -1]).tolist()
    small = np.array([-1 if i == -1 else found.index(i) for i in ids])
    right = PENALTIES[name](small, num_domains=max(1, len(found)))
    np.testing.assert_array_equal(PENALTIES[name](ids), right)
    dates = np.where(ids == -1, -1, 20240101 + small)
    np.testing.assert_array_equal(PENALTIES[name](dates), right)


@pytest.mark.parametrize("name", PENALTIES)
def test_programs_do_not_grow_with_the_domains(name):
    def size(count):
        penalty = functools.partial(PENALTIES[name], num_domains=count)
        return str(jax.make_jaxpr(penalty)(VIEWS)).count("\n")

    assert size(4) == size(323)


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("wrong", [-2, 3])
def test_a_domain_beyond_their_number_is_named(name, wrong):
    domains = np.where(np.arange(12) == 4, wrong, np.arange(12) % 3)
    message = f"`domains` must be ids from 0 to 2, or -1 .* got {wrong}"
    with pytest.raises(ValueError, match=message):
        PENALTIES[name](domains, num_domains=3)


def test_ids_beyond_a_table_are_named():
    prior, logits = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)
    for labels, biases, message in (
        ([0, 3], [0, 1], "`labels` must be ids from 0 to 2.* got 3"),
        ([0, -2], [0, 1], "`labels` must be ids from 0 to 2.* got -2"),
        ([0, 2], [2, 1], "`biases` must be ids from 0 to 1.* got 2"),
    ):
        with pytest.raises(ValueError, match=message):
            losses.bias_balanced_cross_entropy(logits, labels, biases, prior)
    weights, step = np.full(2, 0.5, np.float32), {"step_size": 1.0}
    with pytest.raises(ValueError, match="`domains` must be ids from 0 to 1"):
        losses.group_dro_weights(logits[:, 0], [0, 2], weights, **step)


# ----------------------------------------------------------------- what does not fit

BIG = 3_000_000_001 + np.arange(12)
REMAP = r"`np.unique\(.*, return_inverse=True\)\[1\]`"
BASE = "subtract a base"


@pytest.mark.parametrize("big", [BIG, BIG.tolist(), BIG.astype(np.uint64) << 20])
def test_whole_numbers_beyond_32_bits_are_refused_with_a_way_out(big):
    rows = {"x": big}
    wrong = [
        (lambda: losses.supcon_loss(ROWS, big), "`labels`", REMAP),
        (lambda: losses.nt_xent_loss(ROWS, ROWS, where=big), "`where`", ""),
        (lambda: losses.within_domain_nce_loss(ROWS, VIEWS, big), "`domains`", REMAP),
        (lambda: losses.coral_penalty(ROWS, big), "`domains`", REMAP),
        (lambda: losses.rank_n_contrast_loss(ROWS, big), "`targets`", BASE),
        (
            lambda: losses.y_aware_nce_loss(ROWS, VIEWS, big, bandwidth=1.0),
            "`metadata`",
            BASE,
        ),
        (lambda: same("x").weights(rows), r"`rows\['x'\]`", REMAP),
        (lambda: rbf("x", bandwidth=1.0).weights(rows), r"`rows\['x'\]`", BASE),
        (lambda: same("x")(rows, rows), r"`rows\['x'\]`", REMAP),
        (
            lambda: losses.pairwise_loss(
                ROWS, rows=rows, positives=same("x"), negatives=everyone()
            ),
            r"`rows\['x'\]`",
            REMAP,
        ),
    ]
    for call, name, way_out in wrong:
        with pytest.raises(
            ValueError, match=f"{name} must fit u?int32, got .*{way_out}"
        ):
            call()


def test_columns_that_no_relation_reads_may_be_anything():
    rows = {"label": LABELS, "patient": BIG, "name": ["a"] * 12}
    found = losses.pairwise_loss(
        ROWS, rows=rows, positives=same("label"), negatives=everyone(), temperature=T
    )
    agree(found, contrast(alike(LABELS), anyone))


def test_ids_among_floats_that_would_become_one_are_refused():
    patients = np.array([3e9 + 1, 3e9 + 2, 1.0, 2.0, np.nan])
    with pytest.raises(ValueError, match=f"'x' must hold ids that differ in.*{REMAP}"):
        same("x").weights({"x": patients})
    near = np.array([3e9 + 1, 3e9 + 2, 3e9 + 1, np.nan])
    found = same("x").weights({"x": near})
    assert found.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0] * 4]


def test_rows_and_candidates_have_one_base():
    rows, others = 1.7e9 + np.arange(4.0), 1.7e9 + np.arange(2.0, 5.0)
    right = [[float(abs(a - b) <= 1) for b in others] for a in rows]
    agree(within("t", 1.0).weights({"t": rows}, {"t": others}), right)
