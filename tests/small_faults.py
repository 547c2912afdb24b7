"""Inserts faults into the programs that tests start."""

import jax
import numpy as np


def before(owner, name, action):
    """Calls `action` before every call of a function."""
    function = getattr(owner, name)

    def acting(*arguments, **keywords):
        action(*arguments)
        return function(*arguments, **keywords)

    setattr(owner, name, acting)


def flip_bit(array, device, bit=0):
    """A replicated array whose first value has a flipped bit on one device."""

    def copy_of(shard):
        data = np.array(shard.data)
        if shard.device == device:
            data.reshape(-1).view(f"uint{8 * data.dtype.itemsize}")[0] ^= 1 << bit
        return jax.device_put(data, shard.device)

    copies = [copy_of(shard) for shard in array.addressable_shards]
    return jax.make_array_from_single_device_arrays(array.shape, array.sharding, copies)


def flip_in_step(owner, at):
    """Makes the last device of this process flip a bit of a parameter in one step."""
    parallelize, calls = owner.parallelize, [0]

    def spoiled(*arguments, **keywords):
        parallel = parallelize(*arguments, **keywords)

        def step(state, batch):
            state, metrics = parallel.step(state, batch)
            calls[0] += 1
            if calls[0] == at:
                leaves, tree = jax.tree.flatten(state.params)
                leaves[0] = flip_bit(leaves[0], jax.local_devices()[-1])
                params = jax.tree.unflatten(tree, leaves)
                state = type(state)(**{**vars(state), "params": params})
            return state, metrics

        return parallel._replace(step=step)

    owner.parallelize = spoiled
