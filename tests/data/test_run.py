import dataclasses

import jax
import numpy as np
import pytest

from jaxcl.config import (
    ConfigError,
    CorruptionConfig,
    DataConfig,
    SamplerConfig,
    SelectionConfig,
)
from jaxcl.data import (
    DataError,
    _controls,
    channel_statistics,
    open_data,
    open_split,
    read_images,
)
from jaxcl.data._batches import BadRecords

DIGITS = DataConfig(
    name="colored_digits/rho_0.9", domain="domain", batch_size=30, test_splits=()
)


def config(**changes):
    return dataclasses.replace(DIGITS, **changes)


def run(start=0, stop=3, **changes):
    return list(open_data(config(**changes), seed=1).batches(start, stop))


def test_held_out_domains_are_tested_on_and_never_trained_on():
    selection = SelectionConfig(
        held_out_domains=("red", "sky"),
        validation_domains=("gray",),
        validation_fraction=0.1,
    )
    tests = ("held_out", "validation_domains", "validation", "ood_test")
    data = open_data(config(selection=selection, test_splits=tests))
    names = data.train.names["domain"]

    def colors(split):
        return {names[i] for i in split.values("domain")}

    assert colors(data.train) == set(names) - {"red", "sky", "gray"}
    assert colors(data.tests["held_out"]) == {"red", "sky"}
    assert colors(data.tests["validation_domains"]) == {"gray"}
    seen = [data.train, *(data.tests[name] for name in tests[:3])]
    ids = np.concatenate([split.instances() for split in seen])
    assert len(ids) == len(set(ids.tolist())) == 1197
    for batch in data.batches(0, 60):
        assert not {names[i] for i in batch.domain} & {"red", "sky", "gray"}


@pytest.mark.parametrize("test", ["train", "train[:10%]", "train[50%:]", "train[-5:]"])
def test_a_test_sample_cannot_be_trained_on(test):
    with pytest.raises(DataError, match="trained on too"):
        open_data(config(train_split="train[5%:]", test_splits=(test,)))


def test_slices_apart_are_no_leak():
    data = open_data(config(train_split="train[:50%]", test_splits=("train[50%:]",)))
    together = np.concatenate(
        [data.train.instances(), data.tests["train[50%:]"].instances()]
    )
    assert len(set(together.tolist())) == 1197


def test_the_same_digit_in_another_split_is_a_leak():
    data = config(train_split="ood_test[:50%]", test_splits=("ood_test[50%:]",))
    # Every digit stands in this split in ten colors: other positions, the same digits.
    whole = open_split(data, "ood_test")
    assert len(set(whole.instances().tolist())) == 300
    with pytest.raises(DataError, match="trained on too"):
        open_data(data)


def test_an_empty_selection_cannot_be_tested_on():
    with pytest.raises(ConfigError, match=r"selection.held_out_domains"):
        open_data(config(test_splits=("held_out",)))


def test_hidden_labels_are_unknown_in_every_batch_and_the_rest_is_right():
    hidden = run(0, 39, selection=SelectionConfig(labeled_per_class=5))
    shown = run(0, 39)
    labels = {}
    for with_hidden, without in zip(hidden, shown, strict=True):
        np.testing.assert_array_equal(with_hidden.instance, without.instance)
        known = with_hidden.label >= 0
        np.testing.assert_array_equal(with_hidden.label[known], without.label[known])
        labels |= dict(zip(without.instance[known], without.label[known], strict=True))
    # Three epochs' worth of batches would show each of the fifty labels.
    assert np.bincount(list(labels.values())).max() == 5


def test_corrupted_metadata_reaches_training_and_no_test():
    shuffle = CorruptionConfig(mode="shuffle", column="domain", seed=3)
    data = open_data(config(corruption=shuffle, test_splits=("id_test",)))
    clean = open_data(config(test_splits=("id_test",)))
    changed, true = data.train.values("domain"), clean.train.values("domain")
    assert (changed != true).mean() > 0.7
    np.testing.assert_array_equal(np.bincount(changed), np.bincount(true))
    np.testing.assert_array_equal(
        data.tests["id_test"].values("domain"), clean.tests["id_test"].values("domain")
    )
    batch = next(data.batches(0, 1))
    np.testing.assert_array_equal(batch.domain, changed[batch.position])


def test_colors_can_be_inferred_from_the_images_alone():
    infer = CorruptionConfig(mode="infer", column="domain")
    data = open_data(config(corruption=infer))
    true = open_data(DIGITS).train.values("domain")
    found = data.train.values("domain")
    # Each cluster is nearly one color: backgrounds are most of these images.
    purity = sum(np.bincount(true[found == c]).max() for c in set(found.tolist()))
    assert purity / len(true) > 0.9
    assert data.train.names["domain"][0] == "cluster_0"


def test_whole_numbers_are_corrupted_as_numbers_and_roles_as_ids():
    split = open_data(DIGITS).train
    celsius = np.arange(len(split), dtype=np.int32) % 9 - 4
    split = dataclasses.replace(split, metadata=(*split.metadata, "celsius"))
    split = split.replace("celsius", celsius)
    found = {
        key: _controls.corrupt(split, CorruptionConfig("drop", key), BadRecords())
        for key in ("celsius", "domain")
    }
    assert np.isnan(found["celsius"].values("celsius")).all()
    assert set(found["domain"].values("domain").tolist()) == {-1}


def test_what_is_corrupted_must_be_known():
    with pytest.raises(ConfigError, match="'hospital'"):
        open_data(config(corruption=CorruptionConfig(mode="drop", column="hospital")))


def test_a_domain_can_be_a_product_of_columns():
    data = open_data(config(domain="label * domain"))
    names = data.train.names["domain"]
    assert len(names) == 100
    plain = open_data(config())
    batch, other = next(data.batches(0, 1)), next(plain.batches(0, 1))
    digits, colors = plain.train.names["label"], plain.train.names["domain"]
    for product, label, color in zip(
        batch.domain, other.label, other.domain, strict=True
    ):
        assert digits[label] in names[product]
        assert colors[color] in names[product]


def test_a_sampler_that_needs_a_column_gets_it():
    batches = run(0, 5, sampler=SamplerConfig("domain_balanced"))
    for batch in batches:
        assert np.bincount(batch.domain, minlength=10).tolist() == [3] * 10
    with pytest.raises(ConfigError, match="bias"):
        run(sampler=SamplerConfig("importance"))


def test_images_on_the_device_are_those_of_the_batches():
    data = open_data(config(keep_on_device=True), seed=1)
    images = read_images(data.train, data.bad)
    for kept, sent in zip(data.batches(0, 3), run(0, 3), strict=True):
        assert kept.image is None
        np.testing.assert_array_equal(images[kept.position], sent.image)
        np.testing.assert_array_equal(kept.instance, sent.instance)
        np.testing.assert_array_equal(kept.epoch, sent.epoch)


def test_the_first_epoch_is_the_epoch_zero_of_every_sample():
    batches = run(0, 80)
    assert {int(e) for batch in batches[:39] for e in batch.epoch} == {0}
    assert {int(e) for batch in batches[39:78] for e in batch.epoch} == {1}


def test_statistics_are_those_of_the_training_images_alone():
    data = open_data(config(train_split="train[:200]"))
    mean, deviation = channel_statistics(data.train)
    pixels = read_images(data.train, data.bad).reshape(-1, 3) / 255.0
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(deviation, pixels.std(0), rtol=1e-12)


def test_a_damaged_image_ends_the_run_and_is_named(damaged):
    with pytest.raises(
        DataError,
        match=r"record (4|11) of split 'train' \(file (04|11).png\) cannot be read: ",
    ):
        list(open_data(dataclasses.replace(damaged, workers=1)).batches(0, 2))


def test_a_damaged_image_can_be_left_out_without_changing_a_shape(damaged):
    skip = dataclasses.replace(damaged, bad_records="skip")
    data = open_data(skip)
    batches = list(data.batches(0, 2))
    assert [batch.image.shape for batch in batches] == [(10, 8, 8, 3)] * 2
    out = np.concatenate([batch.instance[~batch.where] for batch in batches])
    assert sorted(out.tolist()) == [4, 11]
    assert set(data.bad.found) == {("damaged:train", 4), ("damaged:train", 11)}
    kept = dataclasses.replace(skip, keep_on_device=True)
    data = open_data(kept)
    images = read_images(data.train, data.bad)
    for batch, other in zip(data.batches(0, 2), batches, strict=True):
        np.testing.assert_array_equal(batch.where, other.where)
        np.testing.assert_array_equal(images[batch.position], other.image)


def test_counting_ends_the_run_behind_the_limit(damaged):
    count = dataclasses.replace(damaged, bad_records="count")
    assert (
        len(
            list(open_data(dataclasses.replace(count, max_bad_records=2)).batches(0, 4))
        )
        == 4
    )
    with pytest.raises(DataError, match="that makes 2, more than"):
        list(open_data(dataclasses.replace(count, max_bad_records=1)).batches(0, 2))


def test_texts_become_categories_and_empty_ones_are_missing(damaged):
    texts = dataclasses.replace(damaged, domain="kind", bad_records="skip")
    data = open_data(texts)
    assert data.train.names["domain"] == ("fox", "owl")
    assert data.train.values("domain").tolist() == [0, -1, 1] * 6 + [0, -1]
    batch = next(data.batches(0, 1))
    np.testing.assert_array_equal(
        batch.domain, np.array([0, -1, 1])[batch.position % 3]
    )


def test_what_was_read_of_all_samples_is_kept_beside_them(damaged, monkeypatch):
    texts = dataclasses.replace(damaged, domain="kind")
    first = open_split(texts, "train").values("domain")

    def fail(*_):
        raise AssertionError("the records were read again")

    monkeypatch.setattr("jaxcl.data._columns.Columns._read", fail)
    np.testing.assert_array_equal(open_split(texts, "train").values("domain"), first)


def test_batches_of_a_run_are_the_same_wherever_it_starts():
    for sampler in ("uniform", "domain_balanced", "label_domain"):
        whole = run(0, 6, sampler=SamplerConfig(sampler))
        late = run(4, 6, sampler=SamplerConfig(sampler))
        for batch, other in zip(whole[4:], late, strict=True):
            jax.tree.map(np.testing.assert_array_equal, batch, other)


def test_what_was_selected_is_stored_and_other_data_is_refused(tmp_path):
    file = tmp_path / "selection.json"
    chosen = config(selection=SelectionConfig(labeled_per_class=2, fraction=0.5))
    open_data(chosen).keep_selection(file)
    open_data(chosen).keep_selection(file)
    changed = dataclasses.replace(chosen, train_split="train[:90%]")
    with pytest.raises(ConfigError, match="train"):
        open_data(changed).keep_selection(file)
    open_data(config()).keep_selection(tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()


def test_texts_mean_the_same_in_every_split(damaged):
    # "fox", "", "owl" in turn: the last three samples hold no fox before an owl.
    texts = dataclasses.replace(
        damaged,
        domain="kind",
        train_split="train[:2]",
        batch_size=2,
        bad_records="skip",
    )
    data = open_data(
        dataclasses.replace(texts, test_splits=("train[2:3]", "train[3:4]"))
    )
    names = data.train.names["domain"]
    assert set(names) == {"fox", "owl"}
    for name, kind in (("train[2:3]", "owl"), ("train[3:4]", "fox")):
        split = data.tests[name]
        assert split.names["domain"] == names
        assert [names[i] for i in split.values("domain")] == [kind]
    assert [names[i] if i >= 0 else "" for i in data.train.values("domain")] == [
        "fox",
        "",
    ]


def test_a_bad_record_of_one_split_is_none_of_another(damaged):
    halves = dataclasses.replace(
        damaged, train_split="train[10:]", keep_on_device=True, bad_records="skip"
    )
    data = open_data(dataclasses.replace(halves, test_splits=("train[:10]",)))
    list(data.evaluation_batches(data.tests["train[:10]"], 10, 10))
    # The fifth of the test split is bad, and the fifth of the training split is not.
    assert set(data.bad.found) == {("damaged:train", 4)}
    read_images(data.train, data.bad)
    batch = next(data.batches(0, 1))
    assert batch.instance[~batch.where].tolist() == [11]


def test_colors_of_images_can_be_metadata():
    data = open_data(config(colors=2))
    pixels = read_images(data.train, data.bad) / 255.0
    blocks = pixels.reshape(len(pixels), 2, 8, 2, 8, 3).mean(axis=(2, 4))
    colors = data.train.values("colors")
    assert colors.dtype == np.float32
    # Pillow means along one axis and then the other, and rounds each time.
    assert np.abs(colors - blocks.reshape(len(pixels), -1)).max() <= 1.01 / 255
    batch = next(data.batches(0, 1))
    assert np.array_equal(batch.metadata["colors"], colors[batch.position])
    stacked = data.stacked_batches(0, 2)
    assert stacked.metadata["colors"].shape == (2, DIGITS.batch_size, 12)


def test_colors_take_no_column_of_that_name():
    data = open_data(DIGITS)
    taken = dataclasses.replace(data.train, metadata=("colors",))
    with pytest.raises(ConfigError, match=r"`data\.colors` must be 0 here, got 3"):
        _controls.add_colors(taken, 3, data.bad)
