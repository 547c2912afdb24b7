"""What the tiles promise beside right numbers: memory, derivatives, no retracing."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from long_tests import long_only, slow
from losses.test_contract import RECIPES, TELLING, enable_x64

from jaxcl import losses
from jaxcl.kernels import Bank, LogSumExp, PairSum, Params, pair_statistics
from jaxcl.pairs import different, everyone, same

ROWS, DIM, BLOCK = 480, 8, 32
STREAMING = [case for case, recipe in RECIPES.items() if recipe.streams]


def arguments(recipe, rows=ROWS):
    """Shapes of a call on many rows."""
    data = tuple(jax.ShapeDtypeStruct((rows, DIM), "float32") for _ in recipe.arguments)
    side = tuple(
        jax.ShapeDtypeStruct(
            (rows, *ids.shape[1:]), "float32" if ids.dtype.kind == "f" else "int32"
        )
        for ids in recipe.side.values()
    )
    where = jax.ShapeDtypeStruct((rows,), "bool")
    return data, side, where


def gradient_program(recipe, block_size=BLOCK):
    def loss(data, side, where, temperature):
        return recipe(
            data, side, where=where, temperature=temperature, block_size=block_size
        )

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 3)))


@pytest.mark.parametrize(
    "case",
    [case if case in TELLING else slow(case)[0] for case in STREAMING],
)
def test_nothing_in_a_program_is_as_large_as_rows_times_rows(case):
    """Not forward and not backward, for any relation, weight or mask."""
    recipe = RECIPES[case]
    text = gradient_program(recipe).lower(*arguments(recipe), 0.2).as_text()
    shapes = re.findall(r"tensor<((?:\d+x)+)[a-z]", text)
    sizes = {
        shape: np.prod([int(n) for n in shape.split("x")[:-1]]) for shape in shapes
    }
    pairs = len(recipe.arguments) * ROWS
    # Rows × block for the losses that look at a whole row at a time; the differences of
    # distances (× dim) are summed as they are made.
    assert max(sizes.values()) <= pairs * BLOCK * DIM
    assert not [shape for shape in sizes if shape.count(f"{ROWS}x") > 1]


@pytest.mark.parametrize(
    "loss",
    [
        lambda u, v: losses.nt_xent_loss(u, v, block_size=256),
        lambda u, v: losses.info_nce_loss(u, v, block_size=256),
        lambda u, v: losses.supcon_loss(
            jnp.concatenate([u, v]), jnp.arange(8192) % 10, block_size=256
        ),
        lambda u, v: losses.sigmoid_loss(u, v, block_size=256),
        lambda u, v: losses.negative_variance_penalty(u, v, num_instances=50_000),
    ],
    ids=["nt_xent", "info_nce", "supcon", "sigmoid", "variance"],
)
@pytest.mark.slow
def test_temporaries_are_a_few_times_the_rows_and_a_few_tiles(loss):
    rows = jax.ShapeDtypeStruct((4096, 64), "float32")
    program = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    memory = program.lower(rows, rows).compile().memory_analysis()
    whole, tile = 8192 * 64 * 4, 256 * 256 * 4
    assert memory.temp_size_in_bytes <= 6 * whole + 12 * tile


def problem(rows=40, dim=6):
    generator = np.random.default_rng(1)
    u = generator.normal(size=(rows, dim))
    return (
        u,
        u + 0.3 * generator.normal(size=(rows, dim)),
        generator.normal(size=u.shape),
    )


def second_order_losses():
    labels = jnp.arange(40) % 5
    _, v, _ = problem()
    return {
        "nt_xent": lambda u, b: losses.nt_xent_loss(u, jnp.asarray(v), block_size=b),
        "supcon": lambda u, b: losses.supcon_loss(u, labels, block_size=b),
        "epsilon": lambda u, b: losses.epsilon_sup_info_nce_loss(
            u, labels, epsilon=0.3, block_size=b
        ),
        "fair_kl": lambda u, b: losses.fair_kl_penalty(
            u, labels, jnp.arange(40) % 2, block_size=b
        ),
        "variance": lambda u, b: losses.negative_variance_penalty(
            u, jnp.asarray(v), num_instances=50, block_size=b
        ),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["fair_kl", *long_only("nt_xent", "supcon", "epsilon", "variance")]
)
def test_second_derivatives_through_tiles_are_those_of_the_dense_form(name):
    """Forward over reverse and reverse over reverse."""
    u, _, direction = problem()
    with enable_x64(True):
        loss = second_order_losses()[name]

        @functools.partial(jax.jit, static_argnums=2)
        def forward(u, direction, block):
            gradient = jax.grad(lambda x: loss(x, block))
            return jax.jvp(gradient, (u,), (direction,))[1]

        @jax.jit
        def reverse(u, direction):
            def slope(x):
                return jnp.vdot(jax.grad(lambda y: loss(y, 16))(x), direction)

            return jax.grad(slope)(u)

        dense = np.asarray(forward(u, direction, None))
        found = [forward(u, direction, 16), reverse(u, direction)]
    for product in found:
        np.testing.assert_allclose(product, dense, atol=1e-12 * np.abs(dense).max())


@pytest.mark.slow
def test_one_piece_has_a_forward_mode_and_tiles_refuse_it_in_words():
    u, v, direction = map(jnp.float32, problem())

    def loss(u, block_size):
        return losses.nt_xent_loss(u, v, block_size=block_size)

    _, slope = jax.jvp(lambda x: loss(x, None), (u,), (direction,))
    expected = jnp.vdot(jax.grad(loss)(u, 16), direction)
    np.testing.assert_allclose(slope, expected, rtol=1e-5)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda x: loss(x, 16), (u,), (direction,))


def test_new_values_do_not_trace_again():
    traces = []

    @jax.jit
    def step(u, v, temperature, where, labels):
        traces.append(1)
        frame = {"temperature": temperature, "where": where, "block_size": 16}
        return losses.nt_xent_loss(u, v, **frame) + losses.supcon_loss(
            u, labels, **frame
        )

    for seed in range(3):
        generator = np.random.default_rng(seed)
        u, v = np.float32(generator.normal(size=(2, 40, 4)))
        where = generator.random(40) > 0.3
        step(u, v, np.float32(0.1 * (seed + 1)), where, generator.integers(0, 4, 40))
    assert len(traces) == 1


@pytest.mark.parametrize("block_size", [3, *slow(None, 5)])
def test_only_visited_banks_are_compared(block_size):
    """Three banks of unequal size, one of which has no anchors."""
    generator = np.random.default_rng(0)
    sizes, anchored = (7, 4, 9), (True, True, False)
    rows = [np.float32(generator.normal(size=(n, 3))) for n in sizes]
    labels = [generator.integers(0, 3, n) for n in sizes]
    keep = [generator.random(n) > 0.2 for n in sizes]
    visits = [(0, 0), (0, 2), (1, 2)]
    banks = [
        Bank(jnp.asarray(x), {"label": jnp.asarray(y)}, jnp.asarray(k), anchored=a)
        for x, y, k, a in zip(rows, labels, keep, anchored, strict=True)
    ]
    (found,), (sums,) = pair_statistics(
        banks,
        [LogSumExp(different("label")), PairSum(same("label"))],
        visits=visits,
        block_size=block_size,
    )
    levels, totals = [], []
    for a in (0, 1):
        for i in range(sizes[a]):
            terms, total = [], 0.0
            for b in range(3):
                if (a, b) not in visits and (b, a) not in visits:
                    continue
                for j in range(sizes[b]):
                    if (a, i) == (b, j) or not keep[b][j]:
                        continue
                    logit = float(rows[a][i] @ rows[b][j])
                    if labels[a][i] != labels[b][j]:
                        terms.append(logit)
                    else:
                        total += logit
            levels.append(np.log(np.sum(np.exp(terms))) if terms else -np.inf)
            totals.append(total)
    np.testing.assert_allclose(found, levels, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sums, totals, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_inputs_of_a_statistic_get_their_gradient():
    """A value an anchor and a scalar, in tiles as in one piece."""
    rows = jnp.asarray(np.float32(problem(12, 3)[0]))

    def total(vector, scalar, block_size):
        statistic = PairSum(everyone(), lambda x, r, c: jnp.sin(r * x + c))
        ((sums,),) = pair_statistics(
            [Bank(rows)],
            [statistic],
            [Params((vector,), (scalar,))],
            block_size=block_size,
        )
        return jnp.sum(sums * jnp.arange(12.0))

    values = jnp.linspace(-1.0, 1.0, 12), jnp.float32(0.3)
    dense, tiles = (
        jax.grad(total, argnums=(0, 1))(*values, block) for block in (None, 5)
    )
    for found, expected in zip(tiles, dense, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1e-3, 1.0, 100.0])
def test_a_running_maximum_survives_any_logit(size):
    """Rows of very different length: fixed shifts would overflow or vanish."""
    generator = np.random.default_rng(3)
    rows = (
        size
        * generator.normal(size=(30, 4))
        * 10.0 ** generator.uniform(-1, 1, (30, 1))
    )
    bank = Bank(jnp.asarray(np.float32(rows)))
    products = np.float64(np.float32(rows)) @ np.float64(np.float32(rows)).T
    np.fill_diagonal(products, -np.inf)
    top = products.max(axis=1)
    expected = top + np.log(np.exp(products - top[:, None]).sum(axis=1))
    for block_size in (None, 7):
        ((found,),) = pair_statistics(
            [bank], [LogSumExp(everyone())], block_size=block_size
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
