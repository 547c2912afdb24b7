"""Equalities between the losses that the formulas give for free.

Both sides of an equality are computed in one program, in float64 unless said.
Sources: domain_metadata.md 4.6, contex_and_bias.md 1.6 to 1.8 and section 5. (That the
within-domain loss of one domain is NT-Xent and that of distinct domains 0, and that the
order of rows and devices does not matter, stand in the other files of this folder.)
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from long_tests import long_only
from losses.test_values import enable_x64, random_views, simplex

from jaxcl import losses
from jaxcl.pairs import different, everyone, rbf, same, table

pytestmark = pytest.mark.slow

T = 0.2


def together(sides, *arrays):
    """The values that sides(*arrays) lists, from one program in float64."""
    with enable_x64(True):
        arrays = jax.tree.map(jnp.asarray, arrays)
        return jax.tree.map(np.asarray, jax.jit(sides)(*arrays))


def agree(sides, *arrays, tolerance=1e-10):
    """All the values that sides(*arrays) lists are one, and not 0."""
    first, *rest = together(sides, *arrays)
    assert np.any(np.abs(first) > 1e-6)
    for value in rest:
        np.testing.assert_allclose(value, first, rtol=tolerance, atol=tolerance)


def batch(instances=8, classes=3, dim=6, views=2):
    """Rows [views * instances, dim], instance ids and labels."""
    rows = random_views(instances, dim, views).reshape(views * instances, dim)
    ids = np.tile(np.arange(instances), views)
    return rows, ids, ids % classes


DOMAINS = np.array([0, 1, 2, 0, 1, 1, 2, 0, 1, 2, 2, 1, 0, 0, 1, 2])
L_A, L_B = {"label_weight": 1.0}, {"label_weight": 0.0}


# --- Two views


def test_named_losses_are_members_of_the_family():
    def sides(u, v):
        family = functools.partial(losses.info_nce_loss, u, v, temperature=T)
        decoupled = {"decoupled": True, "within_view": True}
        return {
            "dcl": [losses.dcl_loss(u, v, temperature=T), family(**decoupled)],
            "dhel": [
                losses.dhel_loss(u, v, temperature=T),
                family(**decoupled, cross_view=False),
            ],
            "nt_xent": [
                losses.nt_xent_loss(u, v, temperature=T),
                family(within_view=True),
            ],
        }

    for name, (value, expected) in together(sides, *random_views(7, 5)).items():
        np.testing.assert_allclose(value, expected, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("within_view", [False, True])
def test_sigmoid_and_spectral_losses_are_additive(within_view):
    scale, bias, m = 4.0, -2.0, 7

    def sides(u, v):
        additive = functools.partial(losses.additive_loss, u, v)
        options = {"within_view": within_view}
        sigmoid = additive(
            positive_fn=lambda s: -jax.nn.softplus(-scale * s - bias),
            negative_fn=lambda s: (m - 1) * jax.nn.softplus(scale * s + bias),
            **options,
        )
        heat = {"logit_scale": scale, "logit_bias": bias}
        spectral = additive(
            positive_fn=lambda s: s, negative_fn=lambda s: s**2, **options
        )
        return [
            [sigmoid, losses.sigmoid_loss(u, v, **heat, **options)],
            [spectral, losses.spectral_loss(u, v, **options)],
        ]

    for left, right in together(sides, *random_views(m, 5)):
        np.testing.assert_allclose(left, right, rtol=1e-12)


def test_spectral_loss_of_orthonormal_rows_is_minus_one():
    value = losses.spectral_loss(jnp.eye(6), jnp.eye(6), within_view=True)
    np.testing.assert_allclose(value, -1.0, rtol=1e-6)


def test_queue_loss_is_info_nce_of_shared_negatives():
    """Also when a part of the queue is masked, or is the anchor's own instance."""
    generator = np.random.default_rng(0)
    u, v = random_views(5, 4)
    queue = generator.normal(size=(9, 4))
    names = np.array([0, 7, 8, 1, 9, 9, 4, 3, 7])
    keep = generator.uniform(size=9) < 0.7

    def sides(u, v, queue, names, keep):
        loss = functools.partial(losses.queue_nce_loss, u, v, queue, temperature=T)
        corrected = functools.partial(
            losses.support_corrected_info_nce_loss, u, v, temperature=T
        )
        ids = jnp.arange(5)
        own = ids[:, None] == names[None]
        # The corrected loss has M times the mean over what is left: undo the factor.
        left = jnp.sum(~own, axis=1)
        logs = jnp.where(own, -jnp.inf, 0.0)
        rescaled = jnp.exp(corrected(queue, log_weights=logs, reduction="none")) - 1
        return [
            [loss(), corrected(queue)],
            [loss(queue_where=keep), loss(queue_where=keep & keep)],
            [
                loss(instances=ids, queue_instances=names),
                jnp.mean(jnp.log1p(rescaled * left / 9)),
            ],
        ]

    for left, right in together(sides, u, v, queue, names, keep):
        np.testing.assert_allclose(left, right, rtol=1e-10)
    kept = losses.queue_nce_loss(*map(jnp.float32, (u, v, queue[keep])))
    masked = losses.queue_nce_loss(
        *map(jnp.float32, (u, v, queue)), queue_where=jnp.asarray(keep)
    )
    np.testing.assert_allclose(masked, kept, rtol=1e-5)


def test_queue_and_keys_get_no_gradient():
    u, v = map(jnp.float32, random_views(5, 4))
    queue = jnp.float32(np.random.default_rng(0).normal(size=(9, 4)))
    gradients = jax.grad(losses.queue_nce_loss, argnums=(0, 1, 2))(u, v, queue)
    assert np.abs(gradients[0]).max() > 1e-3
    assert not np.any(gradients[1])
    assert not np.any(gradients[2])


# --- Support-corrected


def test_corrected_loss_of_the_other_views_is_one_sided_info_nce():
    u, v = random_views(6, 4)
    others = np.array([[v[j] for j in range(6) if j != i] for i in range(6)])

    def sides(u, v, others):
        corrected = functools.partial(
            losses.support_corrected_info_nce_loss, u, v, others, temperature=T
        )
        return [
            losses.info_nce_loss(u, v, temperature=T, symmetric=False),
            corrected(),
            corrected(log_weights=jnp.float64(-3.0)),
            corrected(log_weights=jnp.full((6, 1), 2.0)),
            jnp.mean(corrected(reduction="none")),
        ]

    agree(sides, u, v, others)


def test_corrected_loss_of_shared_negatives_is_that_of_equal_own_ones():
    u, v = random_views(6, 4)
    bank = np.random.default_rng(0).normal(size=(9, 4))
    logs = np.random.default_rng(1).normal(size=9)

    def sides(u, v, bank, logs):
        own = jnp.broadcast_to(bank, (6, 9, 4))

        def step(u, bank):
            loss = losses.support_corrected_info_nce_loss
            return loss(u, v, bank, temperature=T, log_weights=logs)

        shared = jax.value_and_grad(step, argnums=(0, 1))(u, bank)
        value, (by_u, by_own) = jax.value_and_grad(step, argnums=(0, 1))(u, own)
        return shared, (value, (by_u, by_own.sum(0)))

    left, right = together(sides, u, v, bank, logs)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert np.abs(a).max() > 1e-3
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_corrected_loss_of_weights_is_that_of_repeated_negatives():
    """(D4): a weight of 3 counts a negative three times, -inf leaves it out."""
    u, v = random_views(6, 4)
    bank = np.random.default_rng(0).normal(size=(6, 4, 4))
    counts = np.array([3, 1, 0, 2])
    repeated = np.repeat(bank, counts, axis=1)
    with np.errstate(divide="ignore"):
        logs = np.log(counts)

    def sides(u, v, bank, repeated, logs):
        loss = functools.partial(losses.support_corrected_info_nce_loss, u, v)
        weighted = loss(bank, temperature=T, log_weights=logs, reduction="none")
        plain = loss(repeated, temperature=T, reduction="none")
        # M is 4 on one side and 6 on the other.
        return [(jnp.exp(weighted) - 1) / 4, (jnp.exp(plain) - 1) / 6]

    agree(sides, u, v, bank, repeated, logs)


@pytest.mark.parametrize("chunk_size", [1, 4, 5, 12, 50])
def test_chunked_corrected_loss_is_the_plain_one_with_its_gradient(chunk_size):
    """Whatever the key, every chunk encodes the first `count` of the same inputs."""
    u, v = random_views(6, 4)
    raw = np.random.default_rng(0).normal(size=(6, 50, 3))
    w = np.random.default_rng(1).normal(size=(3, 4))
    full, rest = divmod(12, chunk_size)

    def sides(u, v, raw, w):
        def plain(u, v, w):
            chunks = full * [raw[:, :chunk_size]] + [raw[:, :rest]]
            negatives = jnp.concatenate(chunks, axis=1) @ w
            loss = losses.support_corrected_info_nce_loss
            return loss(u, v, negatives, temperature=T)

        def chunked(u, v, w):
            return losses.chunked_support_corrected_info_nce_loss(
                *(u, v, lambda key, count: raw[:, :count] @ w, jax.random.key(0)),
                num_negatives=12,
                chunk_size=chunk_size,
                temperature=T,
            )

        every = (0, 1, 2)
        return (
            jax.value_and_grad(plain, argnums=every)(u, v, w),
            jax.value_and_grad(chunked, argnums=every)(u, v, w),
        )

    left, right = together(sides, u, v, raw, w)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert np.abs(a).max() > 1e-4
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_chunks_draw_anew_and_a_key_says_which():
    """Of 64 directions one is near every anchor, which a single one is not."""
    angles = jnp.linspace(0.0, 6.0, 32)
    anchors = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)

    def negatives_fn(key, count):
        return jax.random.normal(key, (32, count, 2))

    @functools.partial(jax.jit, static_argnames="num_negatives")
    def loss(key, num_negatives):
        return losses.chunked_support_corrected_info_nce_loss(
            *(anchors, -anchors, negatives_fn, key),
            num_negatives=num_negatives,
            chunk_size=1,
            temperature=0.005,
            reduction="none",
        )

    many = loss(jax.random.key(0), num_negatives=64)
    one = loss(jax.random.key(0), num_negatives=1)
    assert np.all(many > 1.9 / 0.005)
    assert np.mean(one > 1.9 / 0.005) < 0.5
    np.testing.assert_array_equal(many, loss(jax.random.key(0), num_negatives=64))
    assert np.any(many != loss(jax.random.key(1), num_negatives=64))


# --- Labels: contex_and_bias.md


def parts(rows, labels, instances, **options):
    """L_a, L_b, SupCon and L_c."""
    contex = functools.partial(
        losses.contex_loss, rows, labels, instances, temperature=T, **options
    )
    sides = {"label": labels, "instance": instances}
    decoupled = losses.pairwise_loss(
        rows,
        rows=sides,
        positives=same("instance"),
        negatives=different("label"),
        temperature=T,
    )
    supcon = losses.supcon_loss(rows, labels, temperature=T)
    return contex(**L_A), contex(**L_B), supcon, decoupled


@pytest.mark.parametrize("classes", [2, 10])
def test_contex_is_half_supcon_and_half_decoupled_simclr(classes):
    """1.6: L_a + L_b = SupCon + L_c, and L_a is at most SupCon."""
    rows, instances, labels = batch(32, classes)

    def sides(rows, instances, labels):
        total = losses.contex_loss(rows, labels, instances, temperature=T)
        return total, *parts(rows, labels, instances)

    total, a, b, supcon, decoupled = together(sides, rows, instances, labels)
    np.testing.assert_allclose(a + b, supcon + decoupled, rtol=1e-12)
    np.testing.assert_allclose(total, (supcon + decoupled) / 2, rtol=1e-12)
    assert a < supcon - 1e-3


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("base_temperature", [None, 0.07])
def test_contex_mixes_its_parts_and_scales_their_sum(weight, base_temperature):
    rows, instances, labels = batch()
    factor = 1.0 if base_temperature is None else T / base_temperature

    def sides(rows, instances, labels):
        a, b, *_ = parts(rows, labels, instances)
        total = losses.contex_loss(
            *(rows, labels, instances),
            temperature=T,
            label_weight=weight,
            base_temperature=base_temperature,
        )
        return [factor * (weight * a + (1 - weight) * b), total]

    agree(sides, rows, instances, labels)


def test_label_part_has_many_names():
    """FSCL of one group, the limit of epsilon-SupInfoNCE, a pairwise loss."""
    rows, instances, labels = batch()

    def sides(rows, instances, labels):
        relations = {"positives": same("label"), "negatives": different("label")}
        pairwise = functools.partial(losses.pairwise_loss, rows, **relations)
        margin = functools.partial(losses.epsilon_sup_info_nce_loss, rows, labels)
        return [
            losses.contex_loss(rows, labels, instances, temperature=T, **L_A),
            losses.fair_supcon_loss(
                rows, labels, jnp.zeros_like(labels), temperature=T
            ),
            margin(epsilon=60.0, temperature=T),
            pairwise(rows={"label": labels}, temperature=T),
        ]

    agree(sides, rows, instances, labels)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 3.0])
def test_a_margin_is_a_self_weight(epsilon):
    rows, _, labels = batch()

    def sides(rows, labels):
        margin = losses.epsilon_sup_info_nce_loss
        return [
            margin(rows, labels, epsilon=epsilon, temperature=T),
            losses.pairwise_loss(
                rows,
                rows={"label": labels},
                positives=same("label"),
                negatives=different("label"),
                self_weight=math.exp(-epsilon),
                temperature=T,
            ),
        ]

    agree(sides, rows, labels)


def test_supervised_losses_of_instances_are_those_of_two_views():
    """Instances as labels: SupCon and L_b are NT-Xent, L_a is DCL."""
    rows, instances, labels = batch()

    def nt_xents(rows, instances, labels):
        u, v = rows.reshape(2, 8, -1)
        supcon = functools.partial(losses.supcon_loss, rows, instances, temperature=T)
        return [
            losses.nt_xent_loss(u, v, temperature=T),
            supcon(),
            supcon(form="in"),
            losses.contex_loss(rows, labels, instances, temperature=T, **L_B),
        ]

    def dcls(rows, instances):
        u, v = rows.reshape(2, 8, -1)
        contex = functools.partial(losses.contex_loss, rows, instances, instances)
        return [losses.dcl_loss(u, v, temperature=T), contex(temperature=T, **L_A)]

    agree(nt_xents, rows, instances, labels)
    agree(dcls, rows, instances)


def test_both_forms_of_supcon_are_pairwise_losses():
    """The general form "in" lacks the 1/|P| inside the logarithm."""
    rows, _, labels = batch(6, 3)

    def sides(rows, labels):
        relations = {"positives": same("label"), "negatives": everyone()}
        pairwise = functools.partial(
            losses.pairwise_loss,
            rows,
            rows={"label": labels},
            temperature=T,
            **relations,
        )
        supcon = functools.partial(losses.supcon_loss, rows, labels, temperature=T)
        return supcon(), pairwise(), supcon(form="in"), pairwise(form="in")

    out, pairwise_out, inside, pairwise_in = together(sides, rows, labels)
    np.testing.assert_allclose(pairwise_out, out, rtol=1e-12)
    np.testing.assert_allclose(pairwise_in + math.log(3), inside, rtol=1e-12)
    assert inside < out


def test_hinged_label_part_is_clipped_pair_by_pair():
    """It is at least the plain one, and at least 0; far negatives cost nothing."""
    rows, instances, labels = batch()
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True) + 5.0 * np.eye(6)[labels]

    def sides(rows, instances, labels):
        contex = functools.partial(losses.contex_loss, rows, labels, instances)
        return [
            contex(temperature=t, hinge=hinge, **L_A)
            for t in (2.0, 0.02)
            for hinge in (False, True)
        ]

    plain, hinged, far, clipped = together(sides, rows, instances, labels)
    assert hinged >= max(plain, 0.0) - 1e-12
    assert far < -1.0
    assert clipped == 0.0


CLASSES = 4


def test_collapsed_rows_have_the_closed_form():
    """1.8: L_a = log |N|, L_b = SupCon = log(N - 1)."""
    labels, instances = np.arange(40) % CLASSES, np.arange(40) % 20
    rows = np.ones((40, 3))
    a, b, supcon, _ = together(parts, rows, labels, instances)
    np.testing.assert_allclose(a, math.log(30), rtol=1e-10)
    np.testing.assert_allclose([b, supcon], math.log(39), rtol=1e-10)


def test_collapsed_classes_on_a_simplex_have_the_closed_form():
    """1.8: L_a = log|N| - g, L_b = SupCon = log(n_c - 1 + |N| e^-g), g = C/((C-1)t)."""
    labels, instances = np.arange(40) % CLASSES, np.arange(40) % 20
    rows = simplex(CLASSES, 6)[labels]
    gap = CLASSES / ((CLASSES - 1) * T)
    a, b, supcon, _ = together(parts, rows, labels, instances)
    np.testing.assert_allclose(a, math.log(30) - gap, rtol=1e-9)
    expected = math.log(9 + 30 * math.exp(-gap))
    np.testing.assert_allclose([b, supcon], expected, rtol=1e-9)


def softmax(logits, mask):
    powers = np.where(mask, np.exp(logits - logits.max()), 0.0)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weight", [1.0, 0.5, 0.2])
@pytest.mark.parametrize("hinge", [False, True])
def test_contex_gradient_is_the_formula(weight, hinge):
    """1.7, by the similarities: w (q - [P]/|P|) + (1 - w) (p - [S]/|S|), row sums 0.

    Of independent unit rows the gradient by row i, which is tangent, has the
    coefficients G_ij + G_ji in the other rows.
    """
    _, instances, labels = batch()
    rows = random_views(16, 20, views=1)[0] + 6.0 * np.eye(20)[labels]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    others = ~np.eye(16, dtype=bool)
    alike = (labels[:, None] == labels) & others
    views = (instances[:, None] == instances) & others
    rivals = labels[:, None] != labels
    logits = rows @ rows.T / T
    sums = np.log(np.sum(np.where(rivals, np.exp(logits), 0), axis=1, keepdims=True))
    active = alike & (sums > logits) if hinge else alike
    if hinge:
        assert 0 < active.sum() < alike.sum()
    count = alike.sum(axis=1, keepdims=True)
    share = active.sum(axis=1, keepdims=True) / count
    part_a = share * softmax(logits, rivals) - active / count
    part_b = softmax(logits, others) - views / views.sum(axis=1, keepdims=True)
    np.testing.assert_allclose([part_a.sum(1), part_b.sum(1)], 0.0, atol=1e-12)
    pulls = (weight * part_a + (1 - weight) * part_b) / (16 * T)
    expected = pulls + pulls.T

    def gradient(rows, labels, instances):
        loss = functools.partial(losses.contex_loss, temperature=T, hinge=hinge)
        loss = functools.partial(loss, label_weight=weight)
        return jax.grad(loss)(rows, labels, instances)

    tangent = together(gradient, rows, labels, instances)
    np.testing.assert_allclose(np.sum(tangent * rows, axis=1), 0.0, atol=1e-12)
    found = np.linalg.lstsq(rows.T, tangent.T, rcond=None)[0].T
    np.testing.assert_allclose(found[others], expected[others], atol=1e-10)


def test_contex_is_finite_at_low_temperature_and_without_negatives_or_views():
    rows, instances, labels = batch()
    rows = jnp.float32(rows)
    loss = jax.jit(jax.value_and_grad(losses.contex_loss))
    value, gradient = loss(rows, labels, instances, temperature=0.005)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
    parts = functools.partial(losses.contex_loss, rows, temperature=T)
    one_label = jnp.zeros(16, int)
    each_alone = jnp.arange(16)
    assert parts(one_label, instances, **L_A) == 0.0
    assert parts(jnp.asarray(labels), each_alone, **L_B) == 0.0
    half = parts(one_label, instances)
    np.testing.assert_allclose(half, parts(one_label, instances, **L_B) / 2, rtol=1e-6)


# --- Biases and groups


def test_biases_that_all_differ_make_the_bias_losses_supcon():
    rows, _, labels = batch()

    def sides(rows, labels):
        each = jnp.arange(16)
        supcon = losses.supcon_loss(rows, labels, temperature=T)
        others = {"negatives": "other_domains", "temperature": T}
        return [
            supcon,
            losses.bias_contrastive_loss(rows, labels, each, temperature=T),
            losses.soft_bias_contrastive_loss(rows, labels, jnp.eye(16), temperature=T),
            losses.cross_domain_supcon_loss(rows, labels, each, temperature=T),
            losses.cross_domain_supcon_loss(rows, labels, each, **others),
        ]

    agree(sides, rows, labels)


def test_biases_and_domains_are_two_words_for_one_thing():
    """Hard biases as features of length 1 at right angles."""
    rows, _, labels = batch()

    def sides(rows, labels, domains):
        soft = losses.soft_bias_contrastive_loss
        return [
            losses.bias_contrastive_loss(rows, labels, domains, temperature=T),
            losses.cross_domain_supcon_loss(rows, labels, domains, temperature=T),
            soft(rows, labels, 3.0 * jnp.eye(3)[domains], temperature=T),
        ]

    agree(sides, rows, labels, DOMAINS)


def test_groups_of_one_size_need_no_normalization():
    rows, instances, _ = batch()
    labels, groups = instances % 2, instances // 2 % 2

    def sides(rows, labels, groups):
        loss = functools.partial(losses.fair_supcon_loss, rows, labels, groups)
        return [
            loss(temperature=T),
            loss(normalize_groups=True, temperature=T),
        ]

    agree(sides, rows, labels, groups)


def test_normalized_groups_weigh_alike():
    """All rows of a (label, group) equal: copies of a row change nothing else."""
    labels, groups = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    rows = random_views(4, 5)[0]

    def loss(copies):
        ids = np.repeat(np.arange(4), copies)

        def values(rows, labels, groups):
            function = functools.partial(losses.fair_supcon_loss, temperature=T)
            return function(
                rows, labels, groups, normalize_groups=True, reduction="none"
            )

        found = together(values, rows[ids], labels[ids], groups[ids])
        return np.array([found[ids == i].mean() for i in range(4)])

    # The denominator of an anchor of group g holds the copies of the other label's g;
    # the positives are its own copies, n - 1 of n, and those of the other group.
    s = np.array([[a @ b / T for b in rows] for a in rows])
    length = np.linalg.norm(rows, axis=1)
    s = s / (length[:, None] * length)
    copies = np.array([3, 2, 4, 5])
    expected = []
    for i in range(4):
        peer, rival = i ^ 1, i ^ 2
        denominator = math.log(copies[rival]) + s[i, rival]
        own = (copies[i] - 1) / copies[i]
        pull = (own * s[i, i] + s[i, peer]) / (own + 1)
        expected.append(denominator - pull)
    np.testing.assert_allclose(loss(copies), expected, rtol=1e-9)


def test_a_uniform_prior_is_plain_cross_entropy():
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(6, 4)), np.arange(6) % 4
    powers = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = -np.mean(np.log(powers[np.arange(6), labels]))

    def sides(logits, labels):
        prior = jnp.log(jnp.full((3, 4), 0.25))
        return losses.bias_balanced_cross_entropy(
            logits, labels, jnp.arange(6) % 3, prior
        )

    np.testing.assert_allclose(together(sides, logits, labels), expected, rtol=1e-12)


# --- Domains and metadata: domain_metadata.md


def test_a_table_of_domains_makes_the_domain_losses():
    """T = 1 is SimCLR; T = I, with the own views, the within-domain loss."""
    rows, instances, _ = batch()

    def pairwise(rows, instances, domains, negatives):
        return losses.pairwise_loss(
            rows,
            rows={"instance": instances, "domain": domains},
            positives=same("instance"),
            negatives=negatives,
            temperature=T,
        )

    def simclr(rows, instances, domains):
        ones = table("domain", np.ones((3, 3)))
        u, v = rows.reshape(2, 8, -1)
        return [
            losses.nt_xent_loss(u, v, temperature=T),
            pairwise(rows, instances, domains, ones),
        ]

    def within(rows, instances, domains):
        identity = table("domain", np.eye(3)) | same("instance")
        loss = losses.within_domain_nce_loss
        return [
            loss(rows, instances, domains, temperature=T),
            pairwise(rows, instances, domains, identity),
        ]

    agree(simclr, rows, instances, DOMAINS)
    agree(within, rows, instances, DOMAINS)


def test_y_aware_loss_lies_between_nt_xent_and_uniform_positives():
    rows, instances, _ = batch()

    def narrow(rows, instances, ages):
        loss = functools.partial(losses.y_aware_nce_loss, rows, instances, ages)
        u, v = rows.reshape(2, 8, -1)
        return [
            losses.nt_xent_loss(u, v, temperature=T),
            loss(bandwidth=1e-3, temperature=T),
        ]

    def wide(rows, instances, ages):
        loss = functools.partial(losses.y_aware_nce_loss, rows, instances, ages)
        uniform = {"positives": everyone(), "negatives": everyone()}
        return [
            loss(bandwidth=1e7, temperature=T),
            losses.pairwise_loss(
                rows, rows={"instance": instances}, temperature=T, **uniform
            ),
        ]

    agree(narrow, rows, instances, instances * 1.5)
    agree(wide, rows, instances, instances * 1.5)


def test_y_aware_loss_is_pairwise_with_a_kernel():
    rows, instances, _ = batch()

    def sides(rows, instances, ages):
        options = {"temperature": T}
        loss = losses.y_aware_nce_loss
        return [
            loss(rows, instances, ages, bandwidth=2.0, **options),
            loss(rows, instances, ages[:, None], bandwidth=2.0, **options),
            losses.pairwise_loss(
                rows,
                rows={"age": ages},
                positives=rbf("age", bandwidth=2.0),
                negatives=everyone(),
                **options,
            ),
        ]

    agree(sides, rows, instances, instances * 1.5)


def test_equal_weights_of_domains_make_supcon():
    """Exactly, as the weight stands above and below; below alone it adds log 1/2."""
    rows, _, labels = batch()

    def sides(rows, labels, domains):
        weighted = functools.partial(
            losses.domain_weighted_supcon_loss, rows, labels, domains
        )
        halves = 0.5 * same("domain") + 0.5 * different("domain")
        kernel = losses.pairwise_loss(
            rows,
            rows={"label": labels, "domain": domains},
            positives=same("label"),
            negatives=halves,
            temperature=T,
        )
        return [
            losses.supcon_loss(rows, labels, temperature=T),
            weighted(same_domain_weight=0.5, temperature=T),
            kernel - math.log(0.5),
        ]

    agree(sides, rows, labels, DOMAINS)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_pairs_of_weight_zero_leave_the_weighted_loss(weight):
    """0: only other domains count; 1: only the own domain does."""
    rows, _, labels = batch()
    relation = same("domain") if weight == 1.0 else different("domain")

    def sides(rows, labels, domains):
        return [
            losses.domain_weighted_supcon_loss(
                *(rows, labels, domains), same_domain_weight=weight, temperature=T
            ),
            losses.pairwise_loss(
                rows,
                rows={"label": labels, "domain": domains},
                positives=same("label") & relation,
                negatives=relation,
                temperature=T,
            ),
        ]

    agree(sides, rows, labels, DOMAINS)


def test_kernel_loss_of_metadata_that_never_agrees_is_zero():
    """K = I leaves no negative."""
    rows, instances, _ = batch()

    def loss(rows, instances):
        return losses.kernel_nce_loss(
            rows,
            instances,
            jnp.arange(16.0),
            kernel=lambda a, b: jnp.exp(-1e6 * (a - b) ** 2),
            ridge=0.1,
            temperature=T,
        )

    np.testing.assert_allclose(together(loss, rows, instances), 0.0, atol=1e-12)


def test_kernel_loss_of_metadata_that_always_agrees_weighs_everyone_alike():
    """K = 1: (K + r I)^{-1} K = 1 / (n + r) everywhere."""
    rows, instances, _ = batch()

    def sides(rows, instances):
        loss = losses.kernel_nce_loss(
            rows,
            instances,
            jnp.ones(16),
            kernel=lambda a, b: 1.0 + 0.0 * (a - b),
            ridge=0.5,
            temperature=T,
        )
        pairwise = losses.pairwise_loss(
            rows,
            rows={"instance": instances},
            positives=same("instance"),
            negatives=15 / 16.5 * everyone(),
            self_weight=1.0,
            temperature=T,
        )
        return [loss, pairwise]

    agree(sides, rows, instances, tolerance=1e-9)


def test_rank_loss_of_equal_targets_has_uniform_positives():
    rows, _, _ = batch()
    rows = rows / 10

    def sides(rows):
        return [
            losses.rank_n_contrast_loss(rows, jnp.ones(16)),
            losses.pairwise_loss(
                rows,
                rows={"label": jnp.zeros(16, int)},
                positives=everyone(),
                negatives=everyone(),
                similarity="negative_euclidean",
                temperature=2.0,
            ),
        ]

    agree(sides, rows)


def test_the_program_of_the_rank_loss_does_not_grow_with_the_rows():
    """Gathers in rows, or scans written out, compile for minutes for a TPU."""

    def program(rows):
        loss = functools.partial(losses.rank_n_contrast_loss, block_size=16)
        arrays = jnp.zeros((rows, 4)), jnp.zeros(rows)
        traced = jax.jit(jax.value_and_grad(loss)).trace(*arrays)
        return traced.lower(lowering_platforms=("tpu",)).as_text()

    few, many = program(64), program(4096)
    assert "stablehlo.sort" in few
    assert "gather" not in few and "scatter" not in few
    assert few.count("stablehlo.") == many.count("stablehlo.")


def test_rank_loss_does_not_ask_how_far_targets_lie():
    """Only the order of the distances counts: scale and shift change nothing."""
    rows, instances, _ = batch()
    targets = instances + 0.1 * np.arange(16)

    def sides(rows, targets):
        loss = functools.partial(losses.rank_n_contrast_loss, rows)
        return [loss(targets), loss(7 - 4 * targets)]

    agree(sides, rows, targets)


def test_hierarchical_loss_is_the_mean_of_its_levels():
    rows, instances, _ = batch()
    coarse, fine = instances % 2, instances // 4
    paths = np.stack([coarse, fine, instances], axis=1)

    def levels(rows, coarse, fine, paths):
        supcon = functools.partial(losses.supcon_loss, rows, temperature=T)
        loss = functools.partial(losses.hierarchical_supcon_loss, rows)
        first, second = supcon(coarse), supcon(2 * fine + coarse)
        third = supcon(paths[:, 2])
        return [
            [loss(paths, temperature=T), (first + second + third) / 3],
            [
                loss(paths, level_weights=(1.0, 2.0, 5.0), temperature=T),
                (first + 2 * second + 5 * third) / 8,
            ],
            [loss(paths[:, :1], temperature=T), first],
            [loss(paths[:, ::-1], level_weights=(1.0, 0.0, 0.0), temperature=T), third],
        ]

    for left, right in together(levels, rows, coarse, fine, paths):
        np.testing.assert_allclose(left, right, rtol=1e-12)


def test_a_prefix_is_more_than_its_last_name():
    """Equal names under different parents are different classes."""
    rows = random_views(4, 5)[0]
    paths = np.array([[0, 0], [0, 0], [1, 0], [1, 0]])

    def sides(rows, paths):
        loss = functools.partial(losses.hierarchical_supcon_loss, rows)
        return [
            loss(paths, level_weights=(0.0, 1.0), temperature=T),
            losses.supcon_loss(rows, paths[:, 0], temperature=T),
        ]

    agree(sides, rows, paths)


# --- Penalties


def test_domain_confusion_has_its_extremes():
    """Every row its own domain: nothing to confuse. One label: no condition."""
    rows, _, _ = batch()

    def sides(rows, domains):
        loss = functools.partial(losses.domain_confusion_penalty, rows, temperature=T)
        one = jnp.zeros(16, int)
        pairwise = losses.pairwise_loss(
            rows,
            rows={"domain": domains},
            positives=different("domain"),
            negatives=everyone(),
            form="in",
            temperature=T,
        )
        return [loss(jnp.arange(16)), loss(one), loss(domains), loss(domains, one)], [
            pairwise
        ]

    (apart, single, plain, conditioned), (pairwise,) = together(sides, rows, DOMAINS)
    np.testing.assert_allclose([apart, single], 0.0, atol=1e-12)
    np.testing.assert_allclose([conditioned, pairwise], plain, rtol=1e-12)
    assert plain > 1e-3


def test_features_that_are_shifted_or_equal_have_the_closed_form():
    """CORAL of a shift is its mean square; both penalties of equal features are 0."""
    rows = random_views(5, 4)[0]
    shift = np.array([0.3, -0.2, 0.5, 0.0])
    domains = np.repeat([0, 1], 5)

    def sides(rows, shift, domains):
        equal = jnp.concatenate([rows, rows])
        moved = jnp.concatenate([rows, rows + shift[None]])
        options = {"num_domains": 2}
        return [
            losses.coral_penalty(equal, domains, **options),
            losses.mmd_penalty(equal, domains, **options),
            losses.coral_penalty(moved, domains, **options),
            losses.coral_penalty(moved, domains, num_domains=7),
        ]

    *zero, moved, roomy = together(sides, rows, shift, domains)
    np.testing.assert_allclose(zero, 0.0, atol=1e-12)
    np.testing.assert_allclose([moved, roomy], np.mean(shift**2), rtol=1e-9)


def test_the_program_of_an_alignment_does_not_grow_with_the_domains():
    """Pairs of domains written out one by one would compile for hours."""

    def equations(loss, num_domains):
        def penalty(rows, domains):
            return loss(rows, domains, num_domains=num_domains)

        rows, domains = jnp.zeros((8, 3)), jnp.zeros(8, int)
        return str(jax.make_jaxpr(jax.grad(penalty))(rows, domains)).count(" = ")

    for loss in (losses.coral_penalty, losses.mmd_penalty):
        assert equations(loss, 300) == equations(loss, 3)


def test_coral_of_many_domains_is_the_mean_over_their_pairs():
    """Domains of one row, of several, and absent ones."""
    generator = np.random.default_rng(3)
    rows = 5.0 + generator.normal(size=(60, 4))
    domains = np.where(generator.random(60) < 0.1, -1, generator.integers(0, 29, 60))
    assert {0, 1, 2} < set(np.bincount(domains[domains >= 0], minlength=40))
    found = together(
        functools.partial(losses.coral_penalty, num_domains=40), rows, domains
    )
    expected = references.coral_penalty(rows, domains)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_far_features_have_the_largest_discrepancy():
    """Two points each: K_aa = 7 (1 + 0) / 2 for far points, K_ab = 0."""
    rows = 1e4 * np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])

    def penalty(rows):
        domains = jnp.array([0, 0, 1, 1])
        return losses.mmd_penalty(rows, domains, num_domains=2)

    np.testing.assert_allclose(together(penalty, rows), 7.0, rtol=1e-9)


def test_penalties_on_anchor_losses_have_their_closed_forms():
    """Means 1 and 4 of two domains; the third is absent, a row is unknown."""
    values = np.array([0.0, 2.0, 4.0, 4.0, 4.0, 100.0])
    domains = np.array([0, 0, 2, 2, 2, -1])

    def penalties(values, domains):
        options = {"num_domains": 3}
        weights = jnp.array([0.2, 0.5, 0.3])
        dro = functools.partial(losses.group_dro_weights, values, domains, weights)
        return [
            losses.v_rex_penalty(values, domains, **options),
            losses.irm_penalty(lambda w: w**3 * values, domains, **options),
            dro(step_size=1e-12, **options),
            dro(step_size=0.1, **options),
        ]

    v_rex, irm, still, moved = together(penalties, values, domains)
    np.testing.assert_allclose(v_rex, 2.25, rtol=1e-12)
    np.testing.assert_allclose(irm, ((3 * 1) ** 2 + (3 * 4) ** 2) / 2, rtol=1e-12)
    np.testing.assert_allclose(still, [0.2, 0.5, 0.3], rtol=1e-10)
    raised = np.array([0.2 * math.exp(0.1), 0.5, 0.3 * math.exp(0.4)])
    np.testing.assert_allclose(moved, raised / raised.sum(), rtol=1e-12)


def test_fair_kl_of_given_similarities_has_the_closed_form():
    """Aligned 0.5 and 0.3, conflicting 0.1 and 0.3: means 0.4, 0.2, variance 0.01."""
    similarities = np.array(
        [
            [1.0, 0.5, 0.1, 0.3],
            [0.5, 1.0, 0.3, 0.1],
            [0.1, 0.3, 1.0, 0.3],
            [0.3, 0.1, 0.3, 1.0],
        ]
    )
    rows = np.linalg.cholesky(similarities) * np.array([[2.0], [0.1], [1.0], [9.0]])

    def sides(rows):
        biases = jnp.array([0, 0, 1, 1])
        penalty = functools.partial(losses.fair_kl_penalty, rows, jnp.zeros(4, int))
        return [
            penalty(biases),
            penalty(biases, form="means"),
            losses.fair_kl_penalty(rows, jnp.arange(4), biases, form="means"),
        ]

    gaussian, means, negatives = together(sides, rows)
    np.testing.assert_allclose(gaussian, 0.2**2 / 0.01 / 2, rtol=1e-9)
    np.testing.assert_allclose([means, negatives], 0.2**2, rtol=1e-9)


# --- The general form


def test_gradient_of_a_pairwise_loss_is_reference_less_target():
    """dL_i/ds_ij = q_ij - p_ij; of dot products dL/dz = (G + G') z / (n t)."""
    rows, instances, labels = batch(dim=4)
    rows, ages = rows / 10, instances * 0.7
    others = ~np.eye(16, dtype=bool)
    alike, near = labels[:, None] == labels, DOMAINS[:, None] == DOMAINS
    p = np.exp(-((ages[:, None] - ages) ** 2) / (2 * 1.5**2)) * alike * others
    p /= p.sum(axis=1, keepdims=True)
    n = (0.3 * near + 0.7 * ~near) * others
    q = n * np.exp(rows @ rows.T / T)
    q /= q.sum(axis=1, keepdims=True)
    pulls = (q - p) / (16 * T)
    np.testing.assert_allclose(pulls.sum(axis=1), 0.0, atol=1e-12)

    def gradient(rows, labels, domains, ages, candidates=None):
        def loss(rows):
            side = {"label": labels, "domain": domains, "age": ages}
            return losses.pairwise_loss(
                rows,
                rows=side,
                positives=same("label") & rbf("age", bandwidth=1.5),
                negatives=0.3 * same("domain") + 0.7 * different("domain"),
                similarity="dot",
                temperature=T,
            )

        return jax.grad(loss)(rows)

    found = together(gradient, rows, labels, DOMAINS, ages)
    expected = (pulls + pulls.T) @ rows
    np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())


def test_a_second_tower_makes_clip():
    """Candidates: the diagonal counts, and rows may meet their own number."""
    u, v = random_views(6, 4)

    def sides(u, v):
        ids = {"instance": jnp.arange(6)}
        return [
            losses.info_nce_loss(u, v, temperature=T, symmetric=False),
            losses.pairwise_loss(
                u,
                rows=ids,
                positives=same("instance"),
                negatives=everyone(),
                candidates=v,
                candidate_rows=ids,
                temperature=T,
            ),
        ]

    agree(sides, u, v)


def test_anchor_weights_weigh_the_mean():
    rows, _, labels = batch()
    weights = np.arange(16) % 3

    def sides(rows, labels, weights):
        loss = functools.partial(
            losses.pairwise_loss,
            rows,
            rows={"label": labels},
            positives=same("label"),
            negatives=everyone(),
            temperature=T,
        )
        each = loss(reduction="none")
        weights = weights.astype(float)
        return [
            jnp.sum(weights * each) / jnp.sum(weights),
            loss(anchor_weights=weights),
            loss(anchor_weights=5.0 * weights),
        ]

    agree(sides, rows, labels, weights)


# --- Names


def named(name, *ids, **options):
    return pytest.param(name, ids, options, id=name)


@pytest.mark.parametrize(
    ("name", "ids", "options"),
    [
        named("supcon_loss", "labels"),
        named("fair_supcon_loss", "labels", "domains", normalize_groups=True),
        named("within_domain_nce_loss", "instances", "domains"),
        named("coral_penalty", "domains", num_domains=20),
        *long_only(
            named("contex_loss", "labels", "instances"),
            named("epsilon_sup_info_nce_loss", "labels", epsilon=0.3),
            named("bias_contrastive_loss", "labels", "domains"),
            named(
                "domain_weighted_supcon_loss",
                "labels",
                "domains",
                same_domain_weight=0.7,
            ),
            named("cross_domain_supcon_loss", "labels", "domains"),
            named("domain_confusion_penalty", "domains", "labels"),
            named("fair_kl_penalty", "labels", "domains"),
            named("mmd_penalty", "domains", num_domains=20),
        ),
    ],
)
def test_names_of_classes_and_domains_mean_nothing(name, ids, options):
    """Another name for every label, instance and domain; -1 stays -1."""
    rows, instances, labels = batch()
    domains = np.where(np.arange(16) == 5, -1, DOMAINS)
    side = {"labels": labels, "instances": instances, "domains": domains}
    renamed = np.append(np.random.default_rng(2).permutation(20)[:16], -1)
    if "num_domains" not in options:
        renamed = np.where(renamed >= 0, renamed * 1000 + 7, -1)

    def sides(rows, forth, back):
        loss = functools.partial(getattr(losses, name), rows, **options)
        return [loss(*forth), loss(*back)]

    forth = [side[word] for word in ids]
    agree(sides, rows, forth, [renamed[values] for values in forth])
