"""An encoder of one's own takes the place of the config's."""

import jax.numpy as jnp
import pytest
from flax import linen as nn
from small_runs import small

import jaxcl
from jaxcl.config import ConfigError
from jaxcl.models import from_linen


class Small(nn.Module):
    @nn.compact
    def __call__(self, images, train):
        rows = nn.Conv(4, (3, 3))(images)
        rows = nn.BatchNorm(use_running_average=not train)(rows)
        return jnp.mean(nn.relu(rows), (1, 2))


@pytest.mark.slow
def test_a_linen_module_trains_and_is_evaluated(tmp_path):
    config = small(num_steps=2, eval_every=0, model__encoder="custom")
    report = jaxcl.train(config, tmp_path, encoder=from_linen(Small()), quiet=True)
    again = jaxcl.evaluate(tmp_path, encoder=from_linen(Small()), quiet=True)
    assert again["evaluation"] == report["evaluation"]
    with pytest.raises(ConfigError, match="got 'custom' and no encoder"):
        jaxcl.evaluate(tmp_path, quiet=True)


def test_a_config_that_names_another_encoder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"`model\.encoder` must be 'custom'"):
        jaxcl.train(small(), tmp_path, encoder=from_linen(Small()), quiet=True)
