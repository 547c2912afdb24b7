"""The check of devices finds what is wrong with a loss, and passes what is right."""

import functools
import importlib
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from long_tests import long, long_only

from jaxcl import losses
from jaxcl.testing import MAPPINGS, check_devices, count_multiplications

FOUR = jax.devices()[:4]
MAPPED = ("pmap", "shard_map")
MEAN, TIMES = "a device's own mean", "gradient 4 times too large"
RNG = np.random.default_rng(0)
W = np.float32(RNG.normal(size=(5, 3)))
U, V = np.float32(RNG.normal(size=(2, 16, 5)))
LABELS = np.int32(RNG.integers(0, 3, 16))

check_four = functools.partial(check_devices, devices=FOUR)


def units(x):
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def contrast(anchors, candidates, targets):
    """The mean cross-entropy of finding one candidate among all."""
    logits = units(anchors) @ units(candidates).T / 0.5
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()


def gathered(rows, axis_name):
    return rows if axis_name is None else lax.all_gather(rows, axis_name, tiled=True)


def own_targets(rows, axis_name):
    """Where the positives of a device's rows are among the rows of all devices."""
    first = 0 if axis_name is None else lax.axis_index(axis_name) * rows
    return jnp.arange(rows) + first


def correct(w, u, v, axis_name=None):
    """Gathers candidates, and averages over devices."""
    u, v = u @ w, v @ w
    loss = contrast(u, gathered(v, axis_name), own_targets(len(u), axis_name))
    return loss if axis_name is None else lax.pmean(loss, axis_name)


def own_mean(w, u, labels):
    return optax.softmax_cross_entropy(u @ w, jax.nn.one_hot(labels, 3)).mean()


def gathered_not_averaged(w, u, v, axis_name=None):
    u, v = u @ w, v @ w
    return contrast(u, gathered(v, axis_name), own_targets(len(u), axis_name))


def forgotten_gather(w, u, v, axis_name=None):
    return contrast(u @ w, v @ w, jnp.arange(len(u)))


def local_negatives(w, u, v, axis_name=None):
    loss = contrast(u @ w, v @ w, jnp.arange(len(u)))
    return loss if axis_name is None else lax.pmean(loss, axis_name)


def first_targets(w, u, v, axis_name=None):
    """Every device takes the rows of the first for its own."""
    return contrast(u @ w, gathered(v @ w, axis_name), jnp.arange(len(u)))


def gathered_without_gradient(w, u, v, axis_name=None):
    u, v = u @ w, v @ w
    others = v if axis_name is None else lax.stop_gradient(gathered(v, axis_name))
    loss = contrast(u, others, own_targets(len(u), axis_name))
    return loss if axis_name is None else lax.pmean(loss, axis_name)


def summed(w, u, v, axis_name=None):
    loss = gathered_not_averaged(w, u, v, axis_name)
    return loss if axis_name is None else lax.psum(loss, axis_name)


def broken(w, u, v, axis_name=None):
    if axis_name is not None:
        raise RuntimeError("no rows\nof others")
    return contrast(u @ w, v @ w, jnp.arange(len(u)))


PLANTED = {
    correct: ("exact", "exact"),
    gathered_not_averaged: (MEAN, TIMES),
    forgotten_gather: ("own rows only", f"own rows only, {TIMES}"),
    local_negatives: ("own rows only", "own rows only"),
    first_targets: ("differs between devices", "differs between devices"),
    gathered_without_gradient: ("wrong gradient", "wrong gradient"),
    summed: ("wrong value", "wrong value"),
    broken: ("fails: RuntimeError: no rows",) * 2,
}


@pytest.mark.slow
@pytest.mark.parametrize("loss", PLANTED, ids=lambda loss: loss.__name__)
def test_each_way_to_be_wrong_has_its_verdict(loss):
    report = check_four(loss, W, U, V, mappings=MAPPED)
    assert tuple(report.verdicts().values())[1:] == PLANTED[loss]
    assert report.ok == (loss is correct)


def test_a_mean_over_own_rows_is_right_but_for_the_gradient_of_shard_map():
    report = check_four(own_mean, W, U, LABELS)
    expected = dict.fromkeys(["one device", *MAPPINGS], "exact")
    expected |= {"pmap": MEAN, "shard_map": TIMES, "shard_map, unchecked": MEAN}
    named = {"jit, auto axes, named", "jit, explicit axes, named"}
    assert report.verdicts() == {k: v for k, v in expected.items() if k not in named}
    wrong = next(f for f in report.findings if f.mapping == "shard_map")
    np.testing.assert_allclose(wrong.times, 4, rtol=1e-5)
    assert not report.ok


LOSSES = {
    "nt_xent": lambda w, u, v, axis_name=None: losses.nt_xent_loss(
        u @ w, v @ w, axis_name=axis_name
    ),
    "sigmoid": lambda w, u, v, axis_name=None: losses.sigmoid_loss(
        u @ w, v @ w, axis_name=axis_name
    ),
    "variance": lambda w, u, v, axis_name=None: losses.negative_variance_penalty(
        u @ w, v @ w, num_instances=99, axis_name=axis_name
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nt_xent", *long_only("sigmoid", "variance")])
def test_losses_of_this_library_are_exact_and_shared_in_every_mapping(name):
    report = check_devices(LOSSES[name], W, U, V)
    assert set(report.verdicts().values()) == {"exact"}, report
    assert list(report.verdicts()) == ["one device", *MAPPINGS]
    assert all(finding.work <= 2.5 / 8 for finding in report.findings[2:]), report


@pytest.mark.slow
def test_nt_xent_of_optax_compares_a_devices_own_rows_only():
    def loss(w, u, v, pairs):
        rows, pairs = jnp.concatenate([u, v]) @ w, jnp.concatenate([pairs, pairs])
        return optax.losses.ntxent(rows, pairs)

    pairs = np.arange(16)
    report = check_four(loss, W, U, V, pairs, mappings=["jit, auto axes", *MAPPED])
    assert list(report.verdicts().values()) == [
        *("exact", "exact", "own rows only"),
        f"own rows only, {TIMES}",
    ]


def test_work_says_whether_devices_share_it():
    def everywhere(w, u, v, axis_name=None):
        u, v = gathered(u @ w, axis_name), gathered(v @ w, axis_name)
        return contrast(u, v, jnp.arange(len(u)))

    big = np.tile(U, (16, 1)), np.tile(V, (16, 1))
    alike = {
        loss: check_four(loss, W, *big, mappings=["pmap"]).findings[1]
        for loss in (everywhere, correct)
    }
    assert alike[everywhere].verdict == alike[correct].verdict == "exact"
    assert alike[everywhere].work > 0.9
    assert 0.2 < alike[correct].work < 0.35


def test_multiplications_of_products_in_loops_are_counted_trip_by_trip():
    def fn(a, b):
        return lax.scan(lambda a, _: (a @ b + 1, None), a, length=7)[0]

    program = jax.jit(fn).lower(np.ones((3, 4), "f"), np.ones((4, 4), "f"))
    assert count_multiplications(program.compile().as_text()) == 7 * 3 * 4 * 4

    def until(a):
        return lax.while_loop(lambda a: a[0, 0] < 9, lambda a: a * a, a)

    program = jax.jit(until).lower(np.ones((3, 4), "f"))
    assert np.isnan(count_multiplications(program.compile().as_text()))


def test_parameters_are_any_tree_and_rows_are_trees_too():
    def loss(params, batch, axis_name=None):
        x = params["act"](batch["x"] @ params["w"]) * params["scale"]
        return correct(params["w"] @ params["w"].T, x @ params["w"].T, batch["v"])

    params = {"w": W, "act": jnp.tanh, "scale": 2, "name": "encoder"}
    report = check_four(loss, params, {"x": U, "v": V}, mappings=["jit, auto axes"])
    assert report.ok, report


def test_a_loss_that_always_communicates_is_compared_with_one_mapped_device():
    def loss(w, u, v, axis_name):
        u, v = u @ w, lax.all_gather(v @ w, axis_name, tiled=True)
        return lax.pmean(
            contrast(u, v, own_targets(len(u), axis_name)), axis_name=axis_name
        )

    report = check_four(loss, W, U, V, mappings=["pmap"])
    first, second = report.verdicts().values()
    assert first.startswith("fails: ") and second == "exact"


def test_the_table_has_a_row_for_each_mapping():
    report = check_four(own_mean, W, U, LABELS, mappings=MAPPED)
    head, line, *rows = str(report).splitlines()
    assert re.split(r"  +", head)[0] == "mapping" and set(line) == {"-", " "}
    assert [re.split(r"  +", row)[0] for row in rows] == ["one device", *MAPPED]
    assert re.split(r"  +", rows[2])[-1] == TIMES
    assert "shared" in rows[1]


REFUSED = [
    ({"devices": jax.devices()[:1]}, (U,), "`devices` must be two or more, got 1"),
    ({}, (U[:6],), "the 4 devices divide, got shape (6, 5)"),
    ({}, (), "`rows` must be given"),
    ({"mappings": ["vmap"]}, (U,), "got ['vmap']"),
    ({"params": {"w": 1.0}}, (U,), "`params` must hold a floating array"),
]


@pytest.mark.parametrize(("options", "rows", "message"), REFUSED)
def test_arguments_that_cannot_be_checked_are_refused(options, rows, message):
    params = options.pop("params", W)
    with pytest.raises(ValueError, match=re.escape(message)):
        check_devices(own_mean, params, *rows, **{"devices": FOUR, **options})


@pytest.mark.parametrize("fn", [lambda w: jnp.log(-jnp.sum(w**2)), jnp.zeros_like])
def test_a_loss_that_teaches_nothing_on_one_device_is_refused(fn):
    with pytest.raises(ValueError, match="must be finite, and the gradient not zero"):
        check_four(lambda w, u: jnp.sum(fn(w)) + u.sum(), W, U)


@long
@pytest.mark.slow
def test_the_verdicts_of_the_page_are_those_of_the_losses(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    monkeypatch.setattr(sys, "argv", ["devices.py", "--check"])
    devices = importlib.import_module("devices")
    outcome = devices.main()
    assert outcome == 0, f"run `python scripts/devices.py`\n{capsys.readouterr().out}"
    page = devices.PAGE.read_text().replace("a device's own mean", "exact")
    assert len(devices.wrong_lines(page)) == 2
