"""The rows of objectives: each has a loss or a maker, and says what it reads."""

import dataclasses
import math
import typing

import jax
import numpy as np
import pytest
import references
from objectives.formulas import FORMULAS
from objectives.made_up import (
    FACTS,
    WHERE,
    by_view,
    made_batch,
    made_carry,
    made_outputs,
    objective_of,
    seen_by,
    settings,
)

from jaxcl import losses
from jaxcl.config import (
    OBJECTIVES,
    PENALTIES,
    ConfigError,
    DataConfig,
    ObjectiveConfig,
    PenaltiesConfig,
    TrainConfig,
)
from jaxcl.objectives import _from_config, make_objective, uninformed_loss


def test_a_config_takes_the_names_of_all_rows():
    name = typing.get_type_hints(ObjectiveConfig)["name"]
    assert typing.get_args(name) == tuple(OBJECTIVES)
    assert {f.name for f in dataclasses.fields(PenaltiesConfig)} == set(PENALTIES)


def test_every_row_has_a_loss_or_a_maker():
    named = {name: row.loss for name, row in OBJECTIVES.items() if row.loss}
    assert set(named.values()) <= set(losses.__all__)
    assert set(_from_config._MAKERS) == set(OBJECTIVES) - set(named)


def test_every_field_is_a_knob_of_an_objective_or_of_all():
    fields = {f.name for f in dataclasses.fields(ObjectiveConfig)}
    knobs = {knob for row in OBJECTIVES.values() for knob in row.knobs}
    common = {"name", "cross_entropy", "balance", "group_dro", "penalties"}
    assert fields == knobs | common
    assert not knobs & common


@pytest.mark.parametrize("field", ["positives", "negatives"])
def test_a_relation_that_cannot_be_read_is_named(field):
    config = settings("pairwise", **{field: "same(label) with different(bias)"})
    with pytest.raises(ConfigError, match=f"`objective.{field}`: "):
        make_objective(config, FACTS)


def test_a_missing_column_is_named():
    batch = dataclasses.replace(made_batch(), bias=None)
    with pytest.raises(ValueError, match="`bias` must be a column of the data set"):
        objective = objective_of("bias_contrastive", learn_temperature=False)
        objective.loss(made_outputs(), batch, {}, None)


def test_kernel_nce_takes_a_missing_number_as_similar_to_none():
    config = settings("kernel_nce", metadata=("age",), learn_temperature=False)
    objective, batch = make_objective(config, FACTS), made_batch()
    age = batch.metadata["age"]
    assert np.isnan(age[WHERE]).any()

    def kernel(a, b):
        return math.exp(-(((a - b) / config.bandwidth).item() ** 2) / 2)

    expected = references.kernel_nce_loss(
        np.concatenate(np.float64(by_view(made_outputs().projections))),
        np.tile(batch.instance, 2),
        np.tile(age, 2)[:, None],
        kernel=kernel,
        ridge=config.ridge,
        temperature=config.temperature,
        where=np.tile(WHERE, 2),
    )
    found, _, _ = objective.loss(made_outputs(), batch, {}, None)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def alike(name):
    """The loops when all rows are equal and kept."""
    objective = objective_of(name)
    outputs, carry = seen_by(objective, made_outputs()), made_carry(objective)
    ones = jax.tree.map(np.ones_like, outputs)._replace(scalars=outputs.scalars)
    if "queue" in carry:
        full = np.ones_like(carry["queue_filled"])
        nobody = np.full_like(carry["queue_instance"], -1)
        queue = {"queue": np.ones_like(carry["queue"]), "queue_instance": nobody}
        carry = {**queue, "queue_filled": full}
    batch = dataclasses.replace(made_batch(), where=np.ones_like(WHERE))
    return FORMULAS[name](ones, batch, carry)


def uninformed(name, **changes):
    data = DataConfig(batch_size=len(WHERE))
    config = TrainConfig(data=data, objective=settings(name, **changes))
    return uninformed_loss(config)


# Objectives whose loss of equal rows is the same in every batch.
KNOWN = ["nt_xent", "info_nce", "dcl", "dhel", "moco_v2", "moco_v3", "y_aware"]
KNOWN += ["cross_domain_supcon"]
# Objectives of which that holds at some values of their knobs.
SOMETIMES = {"supcon": {"form": "out"}}
SOMETIMES["domain_weighted_supcon"] = {"same_domain_weight": 0.5}


@pytest.mark.parametrize("name", KNOWN)
def test_the_uninformed_loss_is_that_of_equal_rows(name):
    np.testing.assert_allclose(uninformed(name), alike(name), rtol=1e-9)


@pytest.mark.parametrize("name", SOMETIMES)
def test_each_of_sixteen_equal_rows_has_fifteen_candidates(name):
    assert uninformed(name, **SOMETIMES[name]) == pytest.approx(math.log(15))


@pytest.mark.parametrize("name", [n for n in OBJECTIVES if n not in KNOWN])
def test_the_uninformed_loss_is_unknown_where_it_depends_on_the_batch(name):
    assert uninformed(name) is None


def test_the_uninformed_loss_is_unknown_beside_a_cross_entropy():
    assert uninformed("moco_v3", cross_entropy=0.1) is None
