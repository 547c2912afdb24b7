"""The config of a run of seconds, for tests that need a whole run."""

import dataclasses

from jaxcl.config import (
    AugmentationConfig,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)

SMALL = TrainConfig(
    num_steps=6,
    checkpoint_every=2,
    eval_every=3,
    log_every=1,
    data=DataConfig(
        name="colored_digits", domain="domain", batch_size=16, train_split="train[:160]"
    ),
    augmentation=AugmentationConfig(jitter=0.5),
    model=ModelConfig(width=4, stages=2, head_hidden=16, head_dim=8),
    optimizer=OptimizerConfig(warmup_steps=2),
    evaluation=EvaluationConfig(batch_size=40, max_train=80, max_test=80, max_pairs=40),
)


def small(**changes):
    """The small config with dotted fields replaced: ``small(data__batch_size=8)``."""
    config = SMALL
    for name, value in changes.items():
        config = _replace(config, name.split("__"), value)
    return config


def _replace(config, path, value):
    name, *rest = path
    if rest:
        value = _replace(getattr(config, name), rest, value)
    return dataclasses.replace(config, **{name: value})


def last_state(workdir):
    """Everything in the newest checkpoint, with its step."""
    from jaxcl.experiment import make_experiment
    from jaxcl.runtime import Checkpoints, find_workdir
    from jaxcl.training import make_devices

    _, config = find_workdir(workdir)
    template = make_experiment(config, make_devices()).init()
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        return checkpoints.restore(template)


# Of a run whose encoder is taken elsewhere.
TAKEN = small(
    num_steps=3,
    checkpoint_every=2,
    eval_every=0,
    data__normalization="train",
    data__test_splits=(),
    evaluation__max_train=40,
)
