import jax
import numpy as np
import pytest

from jaxcl.config import DataConfig
from jaxcl.data import (
    DataError,
    EpochSampler,
    build,
    data_directory,
    evaluation_batches,
    load,
    open_split,
    training_batches,
)

CONFIG = DataConfig(name="colored_digits", domain="domain", batch_size=32)


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def test_an_epoch_sees_every_sample_at_most_once():
    sampler = EpochSampler(num_instances=103, batch_size=10, seed=0)
    epoch = np.concatenate([sampler.indices(step) for step in range(10)])
    assert len(set(epoch.tolist())) == 100
    assert set(epoch.tolist()) <= set(range(103))


def test_epochs_and_seeds_have_their_own_orders():
    def first(seed, step):
        return EpochSampler(100, 10, seed).indices(step).tolist()

    assert first(0, 0) != first(0, 10)
    assert first(0, 0) != first(1, 0)
    assert first(0, 0) == first(0, 0)


def test_the_order_is_the_one_that_was_always_drawn():
    # A change here would change every run that is continued from a checkpoint.
    drawn = EpochSampler(num_instances=20, batch_size=8, seed=7).indices(3)
    assert drawn.tolist() == [1, 6, 2, 5, 4, 8, 18, 0]


def test_a_batch_larger_than_the_split_is_refused():
    with pytest.raises(ValueError, match=r"at most the 5 samples .* got 8"):
        EpochSampler(num_instances=5, batch_size=8, seed=0)


def test_starting_at_a_step_gives_what_would_have_come_there():
    split = open_split(CONFIG, "train")
    sampler = EpochSampler(len(split), 32, seed=0)
    straight = take(training_batches(split, sampler, stop=50), 42)
    resumed = take(training_batches(split, sampler, start=40, stop=50), 2)
    for expected, batch in zip(straight[40:], resumed, strict=True):
        jax.tree.map(np.testing.assert_array_equal, expected, batch)


def test_batches_do_not_depend_on_the_number_of_threads():
    split = open_split(CONFIG, "train")
    sampler = EpochSampler(len(split), 32, seed=0)
    one = take(training_batches(split, sampler, stop=20, workers=1), 20)
    four = take(training_batches(split, sampler, stop=20, workers=4), 20)
    jax.tree.map(np.testing.assert_array_equal, one, four)


def test_hosts_share_the_batch_in_order(monkeypatch):
    split = open_split(CONFIG, "train")
    sampler = EpochSampler(len(split), 32, seed=0)
    whole = next(training_batches(split, sampler, stop=1))
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    parts = []
    for host in range(4):
        monkeypatch.setattr(jax, "process_index", lambda host=host: host)
        parts.append(next(training_batches(split, sampler, stop=1)))
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    jax.tree.map(np.testing.assert_array_equal, whole, joined)


def test_everything_a_sample_has_reaches_the_batch_by_name():
    batch = next(load(DataConfig(name="colored_digits", batch_size=8)))
    assert batch.domain is None
    assert set(batch.metadata) == {"domain"}
    batch = next(load(CONFIG))
    assert batch.metadata == {}
    assert batch.domain.shape == batch.label.shape == batch.instance.shape == (32,)
    assert batch.image.dtype == np.uint8
    assert batch.where.all()


def test_evaluation_sees_every_sample_once_in_batches_of_one_shape():
    split = open_split(CONFIG, "id_test")
    batches = list(evaluation_batches(split, 128, max_samples=1000))
    assert [batch.image.shape[0] for batch in batches] == [128] * 3
    kept = np.concatenate([batch.instance[batch.where] for batch in batches])
    assert len(set(kept.tolist())) == len(kept) == 300


def test_images_can_be_resized():
    config = DataConfig(name="colored_digits", batch_size=4, image_size=10)
    assert next(load(config)).image.shape == (4, 10, 10, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "colored_digit"}, "unknown data set 'colored_digit'; did you mean"),
        ({"name": "colored_digits/rho_2"}, "rho_2"),
        ({"domain": "color"}, "`data.domain` names no column"),
        ({"name": "mnist"}, "jaxcl data build mnist"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(change, message, data_dir):
    config = DataConfig(**{**vars(CONFIG), **change})
    with pytest.raises(DataError) as raised:
        open_split(config, "train")
    assert message in str(raised.value)


def test_an_unknown_split_is_answered_with_the_known_ones():
    with pytest.raises(DataError, match=r"no split 'trian'; did you mean `train`"):
        open_split(CONFIG, "trian")
    with pytest.raises(DataError, match="is empty"):
        open_split(CONFIG, "train[:0]")


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DataError, match="not writable"):
        build("colored_digits", str(blocked / "data"))


def test_the_data_directory_is_the_first_that_was_given(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "environment"))
    assert data_directory(str(tmp_path / "given")) == tmp_path / "given"
    assert data_directory() == tmp_path / "environment"
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_directory() == tmp_path / "cache" / "jaxcl" / "data"


def test_ids_beyond_32_bits_are_refused():
    from jaxcl.data._split import as_ids

    large = np.array([1, 1_700_000_000_000])
    with pytest.raises(DataError, match=r"'patient' holds .* 32 bits: 1700000000000"):
        as_ids(large, "patient")
