"""Part of an encoder is trained: what a run says of it, and encoders of one's own."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from long_tests import slow
from small_runs import small

import jaxcl
from jaxcl.config import ConfigError
from jaxcl.experiment import make_experiment
from jaxcl.models import from_nnx
from jaxcl.training import make_devices


def experiment_of(encoder=None, **changes):
    return make_experiment(small(**changes), make_devices(), encoder=encoder)


def own(*names):
    """An encoder of linear layers with the given names."""

    class Own(nnx.Module):
        def __init__(self, rngs):
            for name in names:
                width = 4 if name != names[0] else 16 * 16 * 3
                setattr(self, name, nnx.Linear(width, 4, rngs=rngs))

        def __call__(self, images):
            rows = jnp.reshape(images, (len(images), -1))
            for name in names:
                rows = getattr(self, name)(rows)
            return rows

    return from_nnx(Own)


def test_incidents_name_trained_parameters_only():
    names = experiment_of(model__train="head").parameter_names
    assert names and not any("encoder" in name for name in names)
    last = experiment_of(model__train="last_k", model__last_k=1).parameter_names
    assert {name for name in last if "encoder" in name} == {
        "['encoder']['conv1']['kernel']",
        "['encoder']['norm1']['bias']",
        "['encoder']['norm1']['scale']",
    }


def test_more_blocks_than_there_are_is_refused():
    rule = r"`model.last_k` must be .* got 3: the encoder must have at least 3 blocks"
    with pytest.raises(ConfigError, match=rule):
        experiment_of(model__train="last_k", model__last_k=3)


def test_an_encoder_of_ones_own_needs_numbered_blocks():
    custom = {"model__encoder": "custom", "data__label": "label"}
    last = {**custom, "model__train": "last_k", "model__last_k": 1}
    made = experiment_of(own("layer0", "layer1"), **last)
    kept = [name for name in made.parameter_names if "encoder" in name]
    assert {name.split("'")[3] for name in kept} == {"layer1"}
    with pytest.raises(ConfigError, match=r"`model.last_k` must .* of one name"):
        experiment_of(own("first", "second"), **last)
    made = experiment_of(own("first", "second"), **custom, optimizer__layer_decay=0.5)
    with pytest.raises(ConfigError, match=r"`optimizer.layer_decay` must be 1 for an"):
        jax.eval_shape(made.init)


@pytest.mark.parametrize(
    "changes", [*slow({"parallel": "pmap"}, {"steps_per_dispatch": 2})]
)
def test_a_run_whose_head_is_first_is_audited_and_evaluated(tmp_path, changes):
    config = small(
        audit_every=2, eval_every=2, model__head_steps=2, model__average=0.9, **changes
    )
    report = jaxcl.train(config, tmp_path, quiet=True)
    assert report["run"]["steps"] == 6
    assert jaxcl.evaluate(tmp_path, quiet=True)["evaluation"] == report["evaluation"]
