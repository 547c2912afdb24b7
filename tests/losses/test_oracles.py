"""The double loops agree with one another where science says so: numpy alone.

Equalities of the losses themselves stand in `test_identities.py`; here the oracles have
to earn the trust that every other test puts into them.
"""

import functools
import math

import numpy as np
import pytest
import references

T = 0.2
GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(size=(12, 5)) * GENERATOR.uniform(0.2, 5.0, size=(12, 1))
U, V = ROWS[:6], ROWS[6:]
INSTANCES = np.tile(np.arange(6), 2)
LABELS = INSTANCES % 3
DOMAINS = np.array([0, 1, 2, 1, 0, 2, 1, 1, 0, 2, 2, 0])
AGES = INSTANCES * 0.75
EYE = np.eye(12, dtype=bool)
SAME_LABEL = LABELS[:, None] == LABELS
SAME_DOMAIN = DOMAINS[:, None] == DOMAINS
SAME_INSTANCE = INSTANCES[:, None] == INSTANCES
ALL = np.ones((12, 12))

pairwise = functools.partial(references.pairwise_loss, ROWS, temperature=T)


def agree(*values):
    """All values are one, and not 0."""
    assert np.all(np.abs(values[0]) > 1e-6)
    for value in values[1:]:
        np.testing.assert_allclose(value, values[0], rtol=1e-10)


def by_vectors(positives, negatives, self_weight=0.0):
    """The general form "out" once more, by matrices instead of loops."""
    rows = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    powers = np.exp(rows @ rows.T / T)
    positives, negatives = np.where(EYE, 0, positives), np.where(EYE, 0, negatives)
    denominators = np.sum(negatives * powers, axis=1, keepdims=True)
    terms = np.log(self_weight * powers + denominators) - np.log(powers)
    return np.mean(np.sum(positives * terms, axis=1) / np.sum(positives, axis=1))


@pytest.mark.parametrize("self_weight", [0.0, 0.3, 1.0])
def test_the_general_form_is_its_matrix_form(self_weight):
    weights = GENERATOR.uniform(size=(2, 12, 12))
    value = pairwise(
        positives=weights[0], negatives=weights[1], self_weight=self_weight
    )
    agree(value, by_vectors(*weights, self_weight))


def test_two_view_losses_are_members_of_the_family():
    family = functools.partial(references.info_nce_loss, U, V, temperature=T)
    decoupled = {"within_view": True, "decoupled": True}
    agree(references.nt_xent_loss(U, V, temperature=T), family(within_view=True))
    agree(references.dcl_loss(U, V, temperature=T), family(**decoupled))
    agree(
        references.dhel_loss(U, V, temperature=T), family(**decoupled, cross_view=False)
    )


@pytest.mark.parametrize("within_view", [False, True])
def test_additive_losses_have_two_names(within_view):
    options = {"within_view": within_view}

    def softplus(x):
        return np.logaddexp(0.0, x)

    agree(
        references.sigmoid_loss(U, V, logit_scale=3.0, logit_bias=-1.0, **options),
        references.additive_loss(
            *(U, V),
            positive_fn=lambda s: -softplus(1.0 - 3.0 * s),
            negative_fn=lambda s: 5 * softplus(3.0 * s - 1.0),
            **options,
        ),
    )
    agree(
        references.spectral_loss(U, V, **options),
        references.additive_loss(
            U, V, positive_fn=lambda s: s, negative_fn=lambda s: s**2, **options
        ),
    )


def test_shared_negatives_are_a_queue():
    corrected = functools.partial(
        references.support_corrected_info_nce_loss, U, V, temperature=T
    )
    queue = GENERATOR.normal(size=(4, 5))
    own = np.broadcast_to(queue, (6, 4, 5))
    agree(
        references.queue_nce_loss(U, V, queue, temperature=T),
        references.queue_nce_loss(
            *(U, V, queue),
            temperature=T,
            instances=np.array([0, 1, 2, 3, 4, -1]),
            queue_instances=np.array([9, 8, -1, 7]),
        ),
        corrected(queue),
        corrected(own),
        corrected(own, log_weights=np.full((6, 1), 3.0)),
        references.chunked_support_corrected_info_nce_loss(
            *(U, V, lambda key, count: own[:, :count], None),
            num_negatives=4,
            chunk_size=4,
            temperature=T,
        ),
    )


def test_weights_of_negatives_count_them():
    own = GENERATOR.normal(size=(6, 3, 5))
    counts = np.array([2, 1, 3])
    loss = functools.partial(
        references.support_corrected_info_nce_loss, U, V, temperature=T
    )
    options = {"reduction": "none"}
    weighted = np.expm1(loss(own, log_weights=np.log(counts), **options)) / 3
    plain = np.expm1(loss(np.repeat(own, counts, axis=1), **options)) / 6
    agree(weighted, plain)


def test_supervised_losses_of_instances_are_those_of_two_views():
    contex = functools.partial(references.contex_loss, ROWS, temperature=T)
    supcon = functools.partial(references.supcon_loss, ROWS, temperature=T)
    agree(
        references.nt_xent_loss(U, V, temperature=T),
        supcon(INSTANCES),
        supcon(INSTANCES, form="in"),
        contex(LABELS, INSTANCES, label_weight=0.0),
        references.within_domain_nce_loss(ROWS, INSTANCES, 0 * DOMAINS, temperature=T),
        references.y_aware_nce_loss(
            ROWS, INSTANCES, AGES, bandwidth=1e-3, temperature=T
        ),
        pairwise(positives=SAME_INSTANCE, negatives=ALL, form="in"),
    )
    agree(
        references.dcl_loss(U, V, temperature=T),
        contex(INSTANCES, INSTANCES, label_weight=1.0),
    )


def test_label_part_of_contex_has_many_names():
    contex = functools.partial(
        references.contex_loss, ROWS, LABELS, INSTANCES, temperature=T
    )
    supcon = references.supcon_loss(ROWS, LABELS, temperature=T)
    label_part = contex(label_weight=1.0)
    decoupled = pairwise(positives=SAME_INSTANCE, negatives=~SAME_LABEL)
    agree(2 * contex(), supcon + decoupled)
    agree(contex(base_temperature=0.07), contex() * T / 0.07)
    agree(
        label_part,
        pairwise(positives=SAME_LABEL, negatives=~SAME_LABEL),
        references.fair_supcon_loss(ROWS, LABELS, 0 * DOMAINS, temperature=T),
        references.epsilon_sup_info_nce_loss(ROWS, LABELS, epsilon=60.0, temperature=T),
    )
    assert label_part < supcon
    assert contex(label_weight=1.0, hinge=True) >= label_part
    agree(
        contex(label_weight=1.0, instance_in_context=False),
        pairwise(positives=SAME_LABEL & ~SAME_INSTANCE, negatives=~SAME_LABEL),
    )


def test_losses_of_side_data_are_pairwise_losses():
    label, domain = LABELS, DOMAINS
    rows = {"temperature": T}
    weights = np.where(SAME_DOMAIN, 0.8, 0.2)
    agree(
        references.supcon_loss(ROWS, label, **rows),
        pairwise(positives=SAME_LABEL, negatives=ALL),
    )
    agree(
        references.supcon_loss(ROWS, label, form="in", **rows),
        pairwise(positives=SAME_LABEL / 3, negatives=ALL, form="in"),
    )
    agree(
        references.epsilon_sup_info_nce_loss(ROWS, label, epsilon=0.4, **rows),
        pairwise(
            positives=SAME_LABEL, negatives=~SAME_LABEL, self_weight=math.exp(-0.4)
        ),
    )
    agree(
        references.bias_contrastive_loss(ROWS, label, domain, **rows),
        references.cross_domain_supcon_loss(ROWS, label, domain, **rows),
        references.soft_bias_contrastive_loss(ROWS, label, np.eye(3)[domain], **rows),
        pairwise(positives=SAME_LABEL & ~SAME_DOMAIN, negatives=ALL),
    )
    agree(
        references.cross_domain_supcon_loss(
            ROWS, label, domain, negatives="other_domains", **rows
        ),
        pairwise(positives=SAME_LABEL & ~SAME_DOMAIN, negatives=~SAME_DOMAIN),
    )
    agree(
        references.fair_supcon_loss(ROWS, label, domain, **rows),
        pairwise(positives=SAME_LABEL, negatives=~SAME_LABEL & SAME_DOMAIN),
    )
    agree(
        references.within_domain_nce_loss(ROWS, INSTANCES, domain, **rows),
        pairwise(positives=SAME_INSTANCE, negatives=SAME_INSTANCE | SAME_DOMAIN),
    )
    agree(
        references.domain_confusion_penalty(ROWS, domain, **rows),
        pairwise(positives=~SAME_DOMAIN, negatives=ALL, form="in"),
    )
    agree(
        references.domain_confusion_penalty(ROWS, domain, label, **rows),
        pairwise(positives=SAME_LABEL & ~SAME_DOMAIN, negatives=SAME_LABEL, form="in"),
    )
    # The weight above the fraction only adds a constant to every pair.
    shift = np.log(weights) * SAME_LABEL * ~EYE
    agree(
        references.domain_weighted_supcon_loss(
            ROWS, label, domain, same_domain_weight=0.8, **rows
        ),
        pairwise(positives=SAME_LABEL, negatives=weights) - shift.sum() / 3 / 12,
    )
    agree(
        references.domain_weighted_supcon_loss(
            ROWS, label, domain, same_domain_weight=0.5, **rows
        ),
        references.supcon_loss(ROWS, label, **rows),
    )
    near = np.exp(-((AGES[:, None] - AGES) ** 2) / (2 * 1.5**2))
    agree(
        references.y_aware_nce_loss(ROWS, INSTANCES, AGES, bandwidth=1.5, **rows),
        pairwise(positives=near, negatives=ALL),
    )


def test_normalized_groups_are_a_weighted_pairwise_loss():
    groups = np.array([0, 1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 0])
    cell = LABELS * 2 + groups
    count = np.sum(cell[:, None] == cell, axis=1)
    agree(
        references.fair_supcon_loss(
            ROWS, LABELS, groups, normalize_groups=True, temperature=T
        ),
        pairwise(
            positives=SAME_LABEL / count,
            negatives=~SAME_LABEL & (groups[:, None] == groups),
            anchor_weights=1 / count,
        ),
    )


def test_kernel_loss_has_its_limits():
    loss = functools.partial(references.kernel_nce_loss, ROWS, INSTANCES, temperature=T)
    apart = loss(np.arange(12.0), kernel=lambda a, b: float(np.all(a == b)), ridge=0.1)
    np.testing.assert_allclose(apart, 0.0, atol=1e-12)
    agree(
        loss(AGES, kernel=lambda a, b: 1.0, ridge=0.5),
        pairwise(positives=SAME_INSTANCE, negatives=11 / 12.5 * ALL, self_weight=1.0),
    )


def test_rank_loss_of_equal_targets_has_uniform_positives():
    agree(
        references.rank_n_contrast_loss(ROWS, np.ones(12)),
        references.pairwise_loss(
            ROWS,
            positives=ALL,
            negatives=ALL,
            similarity="negative_euclidean",
            temperature=2.0,
        ),
    )


def test_rank_loss_of_three_rows_by_hand():
    """Targets 0, 1, 3 on a line at 0, 1, 5; the farther one stands alone."""
    rows, targets = np.array([[0.0], [1.0], [5.0]]), np.array([0.0, 1.0, 3.0])

    def near(nearer, farther):
        return math.log(1 + math.exp((nearer - farther) / 2.0))

    expected = [near(1, 5) / 2, near(1, 4) / 2, near(4, 5) / 2]
    found = references.rank_n_contrast_loss(rows, targets, reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_hierarchical_loss_is_the_mean_of_its_levels():
    paths = np.stack([INSTANCES % 2, LABELS], axis=1)
    supcon = functools.partial(references.supcon_loss, ROWS, temperature=T)
    coarse, fine = supcon(INSTANCES % 2), supcon(LABELS + 3 * (INSTANCES % 2))
    loss = functools.partial(
        references.hierarchical_supcon_loss, ROWS, paths, temperature=T
    )
    agree(loss(), (coarse + fine) / 2)
    agree(loss(level_weights=(1.0, 3.0)), (coarse + 3 * fine) / 4)


def test_penalties_have_their_closed_forms():
    values, domains = np.array([0.0, 2.0, 4.0, 6.0, 9.0]), np.array([0, 0, 2, 2, -1])
    agree(references.v_rex_penalty(values, domains), 4.0)
    agree(
        references.irm_penalty(lambda w: np.sin(w) * values, domains),
        math.cos(1.0) ** 2 * (1 + 25) / 2,
    )
    weights = references.group_dro_weights(
        values, domains, np.array([0.5, 0.25, 0.25]), step_size=0.1
    )
    raised = np.array([0.5 * math.exp(0.1), 0.25, 0.25 * math.exp(0.5)])
    agree(weights, raised / raised.sum())
    shift = np.array([0.1, 0.0, -0.4, 0.2, 0.3])
    both, two = np.concatenate([U, U + shift]), np.repeat([0, 1], 6)
    agree(references.coral_penalty(both, two), np.mean(shift**2))
    agree(references.mmd_penalty(1e5 * U, np.repeat([0, 1], 3)), 2 * 7 / 3)
    np.testing.assert_allclose(
        references.mmd_penalty(np.concatenate([U, U]), two), 0.0, atol=1e-12
    )
    spread = np.concatenate([U, U.mean(0) + 2 * (U - U.mean(0))])
    agree(references.coral_penalty(spread, two), 9 * np.mean(np.cov(U.T) ** 2))


def test_fair_kl_is_the_divergence_of_two_normal_laws():
    """By numerical integration."""
    x = np.linspace(-6, 6, 100001)
    expected, means = 0.0, 0.0
    similarities = references.cosine_similarity(ROWS)
    for alike in (SAME_LABEL & ~EYE, ~SAME_LABEL):
        moments = [
            (similarities[alike & group].mean(), similarities[alike & group].std())
            for group in (SAME_DOMAIN, ~SAME_DOMAIN)
        ]
        logs = [-((x - m) ** 2) / (2 * s**2) - math.log(s) for m, s in moments]
        density = np.exp(logs[0]) / math.sqrt(2 * math.pi)
        expected += np.sum(density * (logs[0] - logs[1])) * (x[1] - x[0])
        means += (moments[0][0] - moments[1][0]) ** 2
    found = references.fair_kl_penalty(ROWS, LABELS, DOMAINS)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    agree(references.fair_kl_penalty(ROWS, LABELS, DOMAINS, form="means"), means)


def call(name, *side, **options):
    return pytest.param(name, side, options, id="-".join([name, *map(str, options)]))


EACH = [
    call("supcon_loss", LABELS),
    call("contex_loss", LABELS, INSTANCES, hinge=True),
    call("epsilon_sup_info_nce_loss", LABELS, epsilon=0.5),
    call("bias_contrastive_loss", LABELS, DOMAINS),
    call("soft_bias_contrastive_loss", LABELS, ROWS[:, :2]),
    call("fair_supcon_loss", LABELS, DOMAINS, normalize_groups=True),
    call("within_domain_nce_loss", INSTANCES, DOMAINS),
    call("domain_weighted_supcon_loss", LABELS, DOMAINS, same_domain_weight=0.7),
    call("cross_domain_supcon_loss", LABELS, DOMAINS),
    call("y_aware_nce_loss", INSTANCES, AGES, bandwidth=1.0),
    call("rank_n_contrast_loss", AGES),
    call("hierarchical_supcon_loss", np.stack([LABELS, DOMAINS], axis=1)),
    call("domain_confusion_penalty", DOMAINS, LABELS),
    call("fair_kl_penalty", LABELS, DOMAINS),
    call("coral_penalty", DOMAINS),
    call("mmd_penalty", DOMAINS),
    call(
        "kernel_nce_loss",
        *(INSTANCES, AGES),
        kernel=lambda a, b: math.exp(-((a - b) ** 2)),
        ridge=0.2,
    ),
]


@pytest.mark.parametrize(("name", "side", "options"), EACH)
def test_dropped_rows_are_as_if_they_were_not_there(name, side, options):
    keep = np.array([1, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1], bool)
    oracle = functools.partial(getattr(references, name), **options)
    broken = np.where(keep[:, None], ROWS, 1e9)
    value = oracle(broken, *side, where=keep)
    agree(value, oracle(ROWS[keep], *[values[keep] for values in side]))
    assert value != oracle(ROWS, *side)


@pytest.mark.parametrize(("name", "side", "options"), EACH)
def test_the_order_of_the_rows_does_not_matter(name, side, options):
    order = np.random.default_rng(3).permutation(12)
    oracle = functools.partial(getattr(references, name), **options)
    agree(oracle(ROWS, *side), oracle(ROWS[order], *[values[order] for values in side]))


def test_what_is_unknown_has_no_weight():
    """A row of unknown label is neither positive nor negative, but someone."""
    unknown = np.where(np.arange(12) == 4, -1, LABELS)
    known = np.where((unknown[:, None] >= 0) & (unknown >= 0), 1.0, 0.0)
    alike, apart = SAME_LABEL * known, ~SAME_LABEL * known
    agree(
        references.supcon_loss(ROWS, unknown, temperature=T),
        pairwise(positives=alike, negatives=ALL),
    )
    agree(
        references.epsilon_sup_info_nce_loss(ROWS, unknown, epsilon=0.2, temperature=T),
        pairwise(positives=alike, negatives=apart, self_weight=math.exp(-0.2)),
    )
    ages = np.where(np.arange(12) == 4, np.nan, AGES)
    near = np.nan_to_num(np.exp(-((ages[:, None] - ages) ** 2) / 2))
    near = np.where(SAME_INSTANCE, 1.0, near)
    agree(
        references.y_aware_nce_loss(
            ROWS, INSTANCES, ages, bandwidth=1.0, temperature=T
        ),
        pairwise(positives=near, negatives=ALL),
    )


def test_undefined_anchors_leave_the_mean():
    """Two rows of one label, one of another: the lone one has no positive."""
    rows, labels = ROWS[:3], np.array([0, 0, 1])
    for name, options in [("supcon_loss", {}), ("contex_loss", {"label_weight": 1.0})]:
        side = (labels,) if name == "supcon_loss" else (labels, np.arange(3))
        oracle = functools.partial(getattr(references, name), rows, *side, **options)
        each = oracle(reduction="none")
        assert each[2] == 0.0
        agree(oracle(), each[:2].mean())
    assert references.supcon_loss(ROWS, np.arange(12)) == 0.0
    assert references.contex_loss(ROWS, 0 * LABELS, INSTANCES, label_weight=1.0) == 0.0
