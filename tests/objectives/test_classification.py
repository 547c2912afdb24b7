"""Cross-entropy of a classifier: alone, balanced, and beside a contrast."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from objectives.formulas import FORMULAS, bias_balanced
from objectives.made_up import (
    FACTS,
    PRIOR,
    WHERE,
    by_view,
    made_batch,
    made_outputs,
    objective_of,
    seen_by,
)

from jaxcl.batch import Batch
from jaxcl.config import ObjectiveConfig
from jaxcl.objectives import (
    Outputs,
    count_log_prior,
    make_cross_entropy_objective,
    make_objective,
    with_cross_entropy,
)

# Section 1.9 of contex_and_bias.md.
GOLDEN_LOGITS = np.float32([[1, 0, -1], [0, 2, 0]])
GOLDEN_PRIOR = np.log(np.float32([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]]))
GOLDEN_BALANCED, GOLDEN_PLAIN = 1.5984127091, 0.8235753654


def said(objective, outputs, batch):
    """Loss, metrics and the gradient by the logits."""

    def loss(logits):
        given = outputs._replace(logits=logits)
        value, metrics, _ = objective.loss(given, batch, {}, None)
        return value, metrics

    derivative = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, metrics), gradient = derivative(outputs.logits)
    return value, metrics, gradient


def of_logits(logits, **columns):
    """Outputs and a batch with nothing but logits, given view by view, and labels."""
    logits = by_view(logits)
    blank = np.zeros((*logits.shape[:2], 1), np.float32)
    size = len(logits)
    batch = Batch(
        image=None,
        instance=np.arange(size, dtype=np.int32),
        where=np.ones(size, bool),
        **{name: np.int32(column) for name, column in columns.items()},
    )
    return Outputs(blank, blank, logits=logits), batch


@pytest.mark.parametrize(
    ("prior", "expected"), [(None, GOLDEN_PLAIN), (GOLDEN_PRIOR, GOLDEN_BALANCED)]
)
def test_the_golden_values_of_the_released_code(prior, expected):
    outputs, batch = of_logits(GOLDEN_LOGITS[None], label=[1, 1], bias=[0, 1])
    value, _, _ = said(make_cross_entropy_objective(log_prior=prior), outputs, batch)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_views_count_alike():
    logits = np.stack([GOLDEN_LOGITS, np.zeros_like(GOLDEN_LOGITS)])
    outputs, batch = of_logits(logits, label=[1, 1])
    value, _, _ = said(make_cross_entropy_objective(), outputs, batch)
    np.testing.assert_allclose(value, (GOLDEN_PLAIN + math.log(3)) / 2, rtol=1e-6)


def test_the_slope_is_the_share_of_a_class_less_its_label():
    outputs, batch = of_logits(GOLDEN_LOGITS[None], label=[1, 1])
    _, _, gradient = said(make_cross_entropy_objective(), outputs, batch)
    shares = np.exp(GOLDEN_LOGITS) / np.exp(GOLDEN_LOGITS).sum(1, keepdims=True)
    np.testing.assert_allclose(gradient[:, 0], (shares - [0, 1, 0]) / 2, atol=1e-6)


@pytest.mark.parametrize("balance", [False, True])
def test_hidden_labels_and_biases_count_for_nothing(balance):
    outputs = made_outputs()
    batch = dataclasses.replace(made_batch(), bias=np.int32([0, 1, 0, 1, 1, -1, 0, 1]))
    prior = PRIOR if balance else None
    value, _, gradient = said(
        make_cross_entropy_objective(log_prior=prior), outputs, batch
    )
    expected = (
        bias_balanced(outputs, batch)
        if balance
        else FORMULAS["cross_entropy"](outputs, batch, {})
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    known = WHERE & (batch.label >= 0) & ((not balance) | (batch.bias >= 0))
    np.testing.assert_array_equal(gradient.any((1, 2)), known)


def test_a_batch_without_a_label_teaches_nothing():
    hidden = dataclasses.replace(made_batch(), label=np.full(8, -1, np.int32))
    value, _, gradient = said(make_cross_entropy_objective(), made_outputs(), hidden)
    assert value == 0.0 and not gradient.any()


def test_anchors_of_hidden_labels_are_zero():
    objective = make_cross_entropy_objective()
    anchors = objective.anchor_losses(made_outputs(), made_batch(), {}, None)
    assert anchors.shape == (2, 8)
    known = WHERE & (made_batch().label >= 0)
    np.testing.assert_array_equal(np.asarray(anchors) != 0, np.stack([known, known]))


def test_log_prior_counts_known_pairs():
    labels, biases = np.array([0, 0, 1, 2, -1, 0]), np.array([0, 0, 0, 1, 1, -1])
    found = np.exp(count_log_prior(labels, biases, num_biases=2, num_labels=3))
    np.testing.assert_allclose(found, [[2 / 3, 1 / 3, 0], [0, 0, 1]], atol=1e-8)


def test_a_pair_that_does_not_occur_has_a_billionth():
    found = count_log_prior(np.array([0]), np.array([0]), num_biases=2, num_labels=2)
    np.testing.assert_allclose(found[0], [0.0, math.log(1e-9)], rtol=1e-6, atol=1e-8)
    # A bias that is never seen says nothing of the label.
    assert found[1, 0] == found[1, 1]


def test_biascon_and_a_hundredth_of_cross_entropy():
    # Toy 1 of contex_and_bias.md: of its eight anchors four have a positive, and the
    # released code divides by all.
    rows = np.sin(np.arange(1, 25)).reshape(2, 4, 3).astype(np.float32)
    logits = np.stack([np.eye(3)[[0, 0, 1, 2]], np.zeros((4, 3))]).astype(np.float32)
    outputs, batch = of_logits(logits, label=[0, 0, 1, 1], bias=[0, 1, 0, 0])
    outputs = outputs._replace(projections=by_view(rows))
    config = ObjectiveConfig(
        name="bias_contrastive", temperature=0.5, cross_entropy=0.01
    )
    value, metrics, _ = said(make_objective(config, FACTS), outputs, batch)
    # Three rows at their class, one beside it, four that know nothing.
    right = math.log(math.e + 2) - 1
    classified = (4 * right + 1 + 4 * math.log(3)) / 8
    np.testing.assert_allclose(metrics["cross_entropy"], classified, rtol=1e-6)
    expected = 2 * 2.3796990961 + 0.01 * classified
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("balance", [False, True])
def test_balance_is_that_of_the_added_cross_entropy(balance):
    config = ObjectiveConfig(name="spectral", cross_entropy=0.3, balance=balance)
    outputs, batch = made_outputs(), made_batch()
    value, metrics, _ = said(make_objective(config, FACTS), outputs, batch)
    plain = FORMULAS["cross_entropy"](outputs, batch, {})
    added = bias_balanced(outputs, batch) if balance else plain
    np.testing.assert_allclose(metrics["cross_entropy"], added, rtol=1e-5)
    expected = FORMULAS["spectral"](outputs, batch, {}) + 0.3 * added
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_a_learned_temperature_does_not_divide_the_added_logits():
    objective, batch = objective_of("nt_xent", cross_entropy=0.3), made_batch()
    outputs = seen_by(objective, made_outputs())
    _, metrics, _ = said(objective, outputs, batch)
    expected = FORMULAS["cross_entropy"](outputs, batch, {})
    np.testing.assert_allclose(metrics["cross_entropy"], expected, rtol=1e-5)


def test_supervised_learning_can_be_balanced():
    outputs, batch = made_outputs(), made_batch()
    balanced = objective_of("cross_entropy", balance=True)
    value, _, _ = said(balanced, outputs, batch)
    np.testing.assert_allclose(value, bias_balanced(outputs, batch), rtol=1e-5)


def test_no_weight_leaves_an_objective_as_it_is():
    objective = objective_of("spectral")
    assert with_cross_entropy(objective, 0.0) is objective


def test_logits_and_columns_that_are_not_there_are_asked_for():
    outputs, batch = of_logits(GOLDEN_LOGITS[None], label=[1, 1])
    balanced = make_cross_entropy_objective(log_prior=GOLDEN_PRIOR)
    with pytest.raises(ValueError, match="`bias` must be a column of the data set"):
        balanced.loss(outputs, batch, {}, None)
    with pytest.raises(ValueError, match=r"`outputs.logits` must come from"):
        balanced.loss(outputs._replace(logits=None), batch, {}, None)
