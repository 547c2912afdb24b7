"""The objective of a config: its name, its columns, and the loss it starts from."""

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
    made_batch,
    made_memory,
    made_outputs,
    objective_of,
    seen_by,
    settings,
)

from jaxcl.config import METHODS, ConfigError, DataConfig, ObjectiveConfig, TrainConfig
from jaxcl.experiment import _objectives as table, make_objective


def test_config_table_and_methods_name_the_same():
    (field,) = [f for f in dataclasses.fields(ObjectiveConfig) if f.name == "name"]
    assert typing.get_args(field.type) == tuple(METHODS) == tuple(table._CONTRASTS)


def test_every_field_is_a_knob_of_a_method_or_of_all():
    fields = {f.name for f in dataclasses.fields(ObjectiveConfig)}
    knobs = {knob for method in METHODS.values() for knob in method.knobs}
    common = {"name", "cross_entropy", "balance", "group_dro", "penalties"}
    assert fields == knobs | common
    assert not knobs & common


class Watched:
    """A config that knows which of its fields were read."""

    def __init__(self, config):
        self.config, self.fields = config, set()

    def __getattr__(self, field):
        self.fields.add(field)
        return getattr(self.config, field)


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_reads_of_a_config_are_its_knobs(name):
    watched, method = Watched(settings(name)), METHODS[name]
    objective = table._CONTRASTS[name](watched, FACTS)
    if method.side:
        outputs = seen_by(objective, made_outputs())
        jax.eval_shape(lambda *x: objective.loss(*x, {}, None), outputs, made_batch())
    of_slow_copies = {"momentum", "momentum_schedule"}
    expected = set(method.knobs) - of_slow_copies
    assert watched.fields - {"balance"} == expected
    assert ("target" in method.networks) == (of_slow_copies <= set(method.knobs))
    assert len(of_slow_copies & set(method.knobs)) in (0, 2)


@pytest.mark.parametrize("field", ["positives", "negatives"])
def test_a_relation_that_is_none_is_named(field):
    config = settings("pairwise", **{field: "same(label) with different(bias)"})
    with pytest.raises(ConfigError, match=f"`objective.{field}`: "):
        make_objective(config, FACTS)


def test_a_column_that_is_not_there_is_named():
    batch = dataclasses.replace(made_batch(), bias=None)
    with pytest.raises(ValueError, match="`bias` must be a column of the data set"):
        objective_of("bias_contrastive").loss(made_outputs(), batch, {}, None)


def test_a_missing_number_is_like_no_other_for_kernel_nce():
    config = settings("kernel_nce", metadata=("age",), learn_temperature=False)
    objective, batch = make_objective(config, FACTS), made_batch()
    age = batch.metadata["age"]
    assert np.isnan(age[WHERE]).any()

    def kernel(a, b):
        return math.exp(-(((a - b) / config.bandwidth).item() ** 2) / 2)

    expected = references.kernel_nce_loss(
        np.concatenate(list(np.float64(made_outputs().projections))),
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
    """The loops when all rows are the same, and every row counts."""
    objective = objective_of(name)
    outputs, memory = seen_by(objective, made_outputs()), made_memory(objective)
    ones = jax.tree.map(np.ones_like, outputs)._replace(scalars=outputs.scalars)
    if "queue" in memory:
        full = np.ones_like(memory["queue_filled"])
        nobody = np.full_like(memory["queue_instance"], -1)
        queue = {"queue": np.ones_like(memory["queue"]), "queue_instance": nobody}
        memory = {**queue, "queue_filled": full}
    batch = dataclasses.replace(made_batch(), where=np.ones_like(WHERE))
    return FORMULAS[name](ones, batch, memory)


def uninformed(name, **changes):
    data = DataConfig(batch_size=len(WHERE))
    config = TrainConfig(data=data, objective=settings(name, **changes))
    return table.uninformed_loss(config)


# Methods whose loss of alike rows is the same in every batch.
KNOWN = ["nt_xent", "info_nce", "dcl", "dhel", "moco_v2", "moco_v3", "y_aware"]
KNOWN += ["cross_domain_supcon"]
# Those of which that holds at some of their knobs: SupCon outside of the logarithm.
SOMETIMES = {"supcon": {"form": "out"}}
SOMETIMES["domain_weighted_supcon"] = {"same_domain_weight": 0.5}


@pytest.mark.parametrize("name", KNOWN)
def test_the_uninformed_loss_is_that_of_rows_that_are_all_alike(name):
    np.testing.assert_allclose(uninformed(name), alike(name), rtol=1e-9)


@pytest.mark.parametrize("name", SOMETIMES)
def test_of_sixteen_rows_that_are_alike_fifteen_are_rivals(name):
    assert uninformed(name, **SOMETIMES[name]) == pytest.approx(math.log(15))


@pytest.mark.parametrize("name", [n for n in METHODS if n not in KNOWN])
def test_where_it_depends_on_the_batch_the_uninformed_loss_is_not_known(name):
    assert uninformed(name) is None
