"""The yardsticks: float64 by finite differences, dense code by the papers' loops."""

import numpy as np
import pytest
import references

from jaxcl.labs.benchmarks import LossesBenchmark, Measurement
from jaxcl.labs.benchmarks._losses import _jax, _oracle
from jaxcl.labs.benchmarks._losses._calls import (
    REGIMES,
    make_case,
    prepare_jax,
    read_result,
)
from jaxcl.labs.benchmarks._losses._jobs import measure_accuracy


def labelled_case(regime="random", temperature=0.5):
    return make_case(
        12, 4, temperature=temperature, regime=regime, instances_per_label=2
    )


def oracle_of(name, case):
    if name == "supcon":
        return lambda u, v: _oracle.supcon(u, v, case.labels, case.temperature)
    return lambda u, v: _oracle.nt_xent(u, v, case.temperature)


@pytest.mark.parametrize("name", ["nt_xent", "supcon"])
@pytest.mark.parametrize("regime", REGIMES)
def test_the_oracle_has_the_gradient_of_its_value(name, regime):
    case = labelled_case(regime)
    function = oracle_of(name, case)
    # Rows that are no unit rows: the gradient goes through the normalization.
    views = np.stack([case.u, case.v]).astype(float) * 1.7
    _, gradient = function(*views)
    for index in np.ndindex(views.shape):
        step = np.zeros_like(views)
        step[index] = 1e-6
        change = function(*(views + step))[0] - function(*(views - step))[0]
        assert gradient[index] == pytest.approx(change / 2e-6, abs=1e-8)


@pytest.mark.parametrize("regime", REGIMES)
def test_the_oracle_has_the_value_of_the_papers(regime):
    case = labelled_case(regime)
    rows, labels = np.concatenate([case.u, case.v]), np.tile(case.labels, 2)
    value, _ = _oracle.nt_xent(case.u, case.v, 0.5)
    paper = references.nt_xent_loss(case.u, case.v, temperature=0.5)
    assert value == pytest.approx(paper, rel=1e-7)
    value, _ = _oracle.supcon(case.u, case.v, case.labels, 0.5)
    paper = references.supcon_loss(rows, labels, temperature=0.5)
    assert value == pytest.approx(paper, rel=1e-7)


def test_the_oracle_keeps_its_digits_where_the_loss_vanishes():
    case = make_case(64, 128, temperature=0.01, regime="aligned", instances_per_label=1)
    value, gradient = _oracle.nt_xent(case.u, case.v, case.temperature)
    assert 0 < value < 1e-20
    assert np.linalg.norm(gradient) > 0


@pytest.mark.parametrize("name", ["nt_xent", "supcon"])
def test_dense_gradients_are_those_of_the_oracle(name):
    case = labelled_case()
    dense = getattr(_jax, f"dense_{name}")
    value, gradient = read_result(prepare_jax(dense, case).call())
    truth, true_gradient = oracle_of(name, case)(case.u, case.v)
    assert value == pytest.approx(truth, rel=1e-5)
    np.testing.assert_allclose(gradient, true_gradient, atol=1e-6)


def test_the_dense_code_has_the_values_of_the_papers():
    case = make_case(16, 4, temperature=0.5, instances_per_label=2)
    rows, labels = np.concatenate([case.u, case.v]), np.tile(case.labels, 2)
    domains = np.tile(case.domains, 2)
    variance = references.negative_variance_penalty(
        case.u, case.v, num_instances=_jax.NUM_INSTANCES
    )
    weighted = references.domain_weighted_supcon_loss(
        rows,
        labels,
        domains,
        same_domain_weight=_jax.SAME_DOMAIN_WEIGHT,
        temperature=0.5,
    )
    papers = {
        "nt_xent": references.nt_xent_loss(case.u, case.v, temperature=0.5),
        "info_nce": references.info_nce_loss(case.u, case.v, temperature=0.5),
        "supcon": references.supcon_loss(rows, labels, temperature=0.5),
        "combined": weighted + _jax.PENALTY_WEIGHT * variance,
    }
    for name, paper in papers.items():
        dense = getattr(_jax, f"dense_{name}")
        value, _ = read_result(prepare_jax(dense, case).call())
        assert value == pytest.approx(paper, rel=1e-5), name


def test_aligned_rows_have_the_cosine_they_say():
    case = make_case(2000, 128, regime="aligned", instances_per_label=1)
    assert np.mean(np.sum(case.u * case.v, axis=1)) == pytest.approx(0.99, abs=0.002)


def test_accuracy_is_near_rounding_for_ours_and_lost_by_the_dense_code():
    blank = Measurement("accuracy", "all", 64)
    options = LossesBenchmark(dim=(32,), peers=False)
    rows = measure_accuracy(blank, options, temperatures=(0.05,))
    errors = {
        (
            one.setting["regime"],
            one.setting["loss"],
            one.contender,
            one.setting["dtype"],
        ): (one.value)
        for one in rows
        if one.quantity == "gradient error"
    }
    assert errors["aligned", "nt_xent", "jaxcl", "float32"] < 5e-6
    assert errors["aligned", "nt_xent", "jaxcl", "bfloat16"] < 5e-2
    assert errors["aligned", "nt_xent", "dense jnp", "float32"] > 1e-4
