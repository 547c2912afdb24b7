"""Notes of the log when training teaches nothing."""

import math

import jax.numpy as jnp
import numpy as np
from small_runs import small

import jaxcl
from jaxcl.training import CollapseWatch
from jaxcl.training._live import live_statistics, participation_ratio

FINE = {"loss": 3.0, "rank": 9.0, "negative_variance": 0.1}


def notes_of(lines, **arguments):
    said = []
    watch = CollapseWatch(math.log(255), said.append, **arguments)
    for step, line in enumerate(lines):
        watch(step, {**FINE, **line})
    return said


def test_a_run_that_learns_gets_no_note():
    assert notes_of([{}] * 50) == []
    assert notes_of([{"loss": math.log(255) * 0.98}] * 50) == []


def test_a_loss_that_stays_that_of_no_information_gets_one_note():
    (note,) = notes_of([{"loss": math.log(255) + 0.001}] * 50)
    assert "since step 0 the loss is 5.542" in note
    assert "learning_rate" in note
    # The loss alone, without penalties.
    (note,) = notes_of([{"loss": 9.0, "contrastive_loss": math.log(255)}] * 50)
    assert "5.541" in note


def test_projections_on_one_line_get_one_note():
    (note,) = notes_of([{"rank": 1.01}] * 50)
    assert "collapsed" in note
    (note,) = notes_of([{"negative_variance": 1e-9}] * 50)
    assert "collapsed" in note


def test_the_warm_up_and_a_short_time_are_no_sign():
    flat = {"rank": 1.0}
    assert notes_of([flat] * 9) == []
    assert notes_of([flat] * 20 + [{}] * 20, after=20) == []
    assert notes_of([{}, *[flat] * 9, {}, *[flat] * 9]) == []


def test_the_note_of_a_real_run_is_said(tmp_path, capsys):
    # So little moves that all pairs stay as they were: near enough to alike.
    config = small(
        num_steps=12,
        checkpoint_every=12,
        eval_every=0,
        objective__temperature=50.0,
        optimizer__learning_rate=1e-9,
    )
    jaxcl.train(config, tmp_path)
    assert "cannot tell one image from another" in capsys.readouterr().err


def test_the_rank_counts_directions():
    rows = jnp.concatenate([jnp.eye(4), -jnp.eye(4)])
    kept = jnp.ones(8, bool)
    assert np.isclose(participation_ratio(rows, kept), 4.0)
    assert np.isclose(participation_ratio(rows, kept & (jnp.arange(8) % 4 < 2)), 2.0)
    assert participation_ratio(rows, ~kept) == 0.0


def test_live_statistics_are_those_of_the_first_two_views():
    from jaxcl.metrics import similarity_statistics
    from jaxcl.objectives import Outputs

    views = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3, 4)), jnp.float32)
    kept = jnp.arange(6) < 5
    live = live_statistics(Outputs(views, views), kept, None)
    expected = similarity_statistics(views[:, 0], views[:, 1], where=kept)
    np.testing.assert_allclose(live["negative_variance"], expected.negative_variance)
    np.testing.assert_allclose(live["positive_similarity"], expected.positive_mean)
