"""Trains a loop of one's own with Orbax's `CheckpointManager` and a Grain iterator.

Saved asynchronously every two steps, as both documentations show.
"""

import sys
from typing import Any

import grain
import jax
import numpy as np
import optax
import orbax.checkpoint as ocp
from faults import Faults, digest, parse
from jax.sharding import Mesh, NamedSharding, PartitionSpec

BATCH = 16


def make_batches(seed: int) -> Any:
    """An iterator of batches of noisy images, in an order of its own each epoch."""
    images = np.random.default_rng(7).standard_normal((160, 64)).astype(np.float32)

    def add_noise(index: int, rng: np.random.Generator) -> dict[str, Any]:
        noise = 0.1 * rng.standard_normal(64).astype(np.float32)
        return {"index": index, "view": images[index] + noise, "label": index % 8}

    return iter(
        grain.MapDataset.range(160)
        .seed(seed)
        .shuffle()
        .repeat()
        .random_map(add_noise)
        .to_iter_dataset()
        .batch(BATCH)
    )


def make_step(optimizer: optax.GradientTransformation) -> Any:
    def loss_fn(params: Any, batch: Any, factor: Any) -> jax.Array:
        hidden = jax.nn.relu(batch["view"] @ params["first"])
        logits = hidden @ params["second"]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
        return factor * losses.mean()

    @jax.jit
    def step(state: Any, batch: Any, factor: Any) -> tuple[Any, jax.Array]:
        loss, gradient = jax.value_and_grad(loss_fn)(state["params"], batch, factor)
        updates, moments = optimizer.update(gradient, state["moments"])
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "moments": moments}, loss

    return step


def place(batch: Any, sharding: NamedSharding) -> Any:
    """The part of a batch that belongs to this process, as global arrays."""
    count, rank = jax.process_count(), jax.process_index()
    return {
        name: jax.make_array_from_process_local_data(
            sharding, np.split(np.asarray(values), count)[rank]
        )
        for name, values in batch.items()
    }


def digest_of(state: Any) -> str:
    return digest(np.asarray(leaf) for leaf in jax.tree.leaves(state))


def restore(
    manager: ocp.CheckpointManager, state: Any, batches: Any
) -> tuple[int, Any]:
    """The newest step and its state, or 0 and the first state."""
    newest = manager.latest_step()
    if newest is None:
        return 0, state
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
    found = manager.restore(
        newest,
        args=ocp.args.Composite(
            state=ocp.args.StandardRestore(abstract),
            data=grain.checkpoint.CheckpointRestore(batches),
        ),
    )
    return newest, found["state"]


def main() -> None:
    arguments = parse(__doc__ or "")
    # Also with one process: else nobody hears that the machine is to be taken away.
    jax.distributed.initialize(
        f"127.0.0.1:{arguments.port}", arguments.processes, arguments.rank
    )
    faults = Faults(arguments, jax.process_index())
    mesh = Mesh(np.array(jax.devices()), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    optimizer = optax.adam(arguments.rate)
    first, second = jax.random.split(jax.random.key(arguments.seed))
    params = {
        "first": jax.random.normal(first, (64, arguments.width)) / 8,
        "second": jax.random.normal(second, (arguments.width, 8)) / 16,
    }
    state = {"params": params, "moments": optimizer.init(params)}
    state = jax.device_put(state, NamedSharding(mesh, PartitionSpec()))
    options = ocp.CheckpointManagerOptions(save_interval_steps=2, max_to_keep=3)
    directory = arguments.directory.absolute() / "checkpoints"
    with ocp.CheckpointManager(directory, options=options) as manager:
        batches = make_batches(arguments.seed)
        done, state = restore(manager, state, batches)
        faults.note(resumed=done, state=digest_of(state))
        train_step = make_step(optimizer)
        for step in range(done + 1, arguments.steps + 1):
            batch = next(batches)
            factor = faults.loss_factor(step)
            state, loss = train_step(state, place(batch, rows), factor)
            faults.note(
                step=step,
                samples=np.asarray(batch["index"]).tolist(),
                views=digest([np.asarray(batch["view"])]),
                loss=float(loss),
                rate=arguments.rate,
            )
            faults.at_step(step)
            content = ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                data=grain.checkpoint.CheckpointSave(batches),
            )
            if manager.save(step, args=content):
                faults.note(reached=step, state=digest_of(state))
            if manager.reached_preemption(step):
                manager.wait_until_finished()
                sys.exit(143)
        manager.wait_until_finished()


if __name__ == "__main__":
    main()
