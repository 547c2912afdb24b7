"""Trains with levanter's `Trainer`, as its own `train_lm` loads, saves and resumes."""

# pyright: reportMissingImports=false

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import haliax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from faults import Faults, digest, parse
from levanter.checkpoint import CheckpointerConfig
from levanter.data.dataset import ListAsyncDataset
from levanter.distributed import DistributedConfig
from levanter.tracker.json_logger import JsonLoggerConfig
from levanter.trainer import Trainer, TrainerConfig

BATCH, EVERY = 16, {"every": 2}


def make_data(key: Any) -> Any:
    """160 noisy images, shuffled and repeated."""
    images = np.random.default_rng(7).standard_normal((160, 64)).astype(np.float32)
    samples = [
        {"index": np.array(index), "view": images[index], "label": np.array(index % 8)}
        for index in range(160)
    ]

    def add_noise(sample: Any, *, key: Any) -> Any:
        noise = 0.1 * np.asarray(jax.random.normal(key, (64,)))
        named = {**sample, "view": sample["view"] + noise}
        return {
            name: haliax.named(values, ("pixel",) * values.ndim)
            for name, values in named.items()
        }

    order, noise = jax.random.split(key)
    return ListAsyncDataset(samples).shuffle(order).map(add_noise, key=noise)


class Classifier(eqx.Module):
    """Two layers."""

    first: jax.Array
    second: jax.Array


def loss_fn(model: Classifier, batch: Any, key: Any = None) -> Any:
    hidden = jax.nn.relu(plain(batch["view"]) @ model.first)
    losses = optax.softmax_cross_entropy_with_integer_labels(
        hidden @ model.second, plain(batch["label"])
    )
    return haliax.named(losses.mean(), ())


def plain(values: Any) -> Any:
    """The array of a value that may have names for its axes."""
    return getattr(values, "array", values)


def watched(batches: Any, faults: Faults, first: int) -> Iterator[Any]:
    """The batches from a step on, with notes."""
    for step, batch in enumerate(batches, first + 1):
        index, view = plain(batch["index"]), plain(batch["view"])
        if np.isnan(faults.loss_factor(step)):
            batch = {**batch, "view": batch["view"] * jnp.nan}
        faults.note(
            step=step,
            samples=shards(index).tolist(),
            views=digest([shards(view)]),
        )
        yield batch


def shards(array: Any) -> np.ndarray:
    """What this process holds of an array."""
    pieces = sorted(array.addressable_shards, key=lambda shard: str(shard.index))
    return np.concatenate([np.asarray(piece.data) for piece in pieces])


def digest_of(state: Any) -> str:
    leaves = jax.tree.leaves(eqx.filter(state, eqx.is_array))
    return digest(np.asarray(leaf) for leaf in leaves)


def make_config(arguments: Any) -> TrainerConfig:
    distributed = DistributedConfig(initialize_jax_distributed=False)
    if arguments.processes > 1:
        distributed = DistributedConfig(
            f"127.0.0.1:{arguments.port}", arguments.processes, arguments.rank
        )
    directory = arguments.directory.absolute()
    return TrainerConfig(
        id="run",
        seed=arguments.seed,
        num_train_steps=arguments.steps,
        train_batch_size=BATCH,
        checkpointer=CheckpointerConfig(str(directory / "checkpoints"), keep=[EVERY]),
        tracker=JsonLoggerConfig(),
        log_dir=directory / "logs",
        log_jaxprs=False,
        log_xla_hlo=False,
        require_accelerator=False,
        distributed=distributed,
    )


def main() -> None:
    arguments = parse(__doc__ or "")
    config = make_config(arguments)
    config.initialize()
    faults = Faults(arguments, jax.process_index())
    data, model, training = jax.random.split(jax.random.PRNGKey(config.seed), 3)
    samples = make_data(data)
    first, second = jax.random.split(model)
    width = arguments.width

    def init() -> Classifier:
        return Classifier(
            jax.random.normal(first, (64, width)) / 8,
            jax.random.normal(second, (width, 8)) / 16,
        )

    trainer = Trainer(config, optax.adam(arguments.rate), loss_fn)
    # Before the hook that saves, which the trainer has added already.
    trainer.add_hook(lambda info: faults.at_step(int(info.step) + 1), every=1)
    trainer.hooks.hooks.insert(0, trainer.hooks.hooks.pop())
    with trainer:
        state = trainer.initial_state(training, model_init=init)
        done = int(state.step)
        faults.note(resumed=done, state=digest_of(state))
        loader = trainer.data_loader(samples).iter_from_step(done)
        for info in trainer.training_steps(state, watched(loader, faults, done)):
            faults.note(
                reached=int(info.state.step),
                loss=float(info.loss),
                state=digest_of(info.state),
                rate=arguments.rate,
            )
        trainer.run_hooks(info, force=True)
    trainer.tracker.finish()


if __name__ == "__main__":
    main()
