"""The images of a run: chosen by a rule, with the neighbors that they have."""

import base64
import io
import json
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from small_runs import small

import jaxcl
from jaxcl.augment import augment_batch, sample_keys
from jaxcl.config import ModelConfig
from jaxcl.data import from_arrays, open_data, read_images
from jaxcl.evaluation import Embedded
from jaxcl.experiment._looks import find_neighbors, make_looks
from jaxcl.experiment._neighbors import agreement
from jaxcl.experiment._thumbnails import draw_evenly, thumbnail


def an_experiment(**changes):
    config = small(**changes)
    return SimpleNamespace(config=config, data=open_data(config.data, config.seed))


def embedded(split, seed, dim=5):
    rows = np.random.default_rng(seed).normal(size=(len(split), dim))
    places = np.arange(len(split))
    return Embedded(rows.astype(np.float32), None, None, places, places)


def all_embedded(experiment):
    data = experiment.data
    tests = {
        name: embedded(test, 1 + i) for i, (name, test) in enumerate(data.tests.items())
    }
    return embedded(data.train, 0), tests


def decoded(uri):
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def cosine(a, b):
    return sum(a * b) / (sum(a * a) ** 0.5 * sum(b * b) ** 0.5)


def nearest(query, rows, count, own=None):
    """By a loop over all rows, the nearest first."""
    found = sorted(((-cosine(query, row), i) for i, row in enumerate(rows) if i != own))
    return [i for _, i in found[:count]], [-value for value, _ in found[:count]]


@pytest.fixture(scope="module")
def experiment():
    return an_experiment()


def test_neighbors_are_those_of_a_loop_over_all_images(experiment):
    train, tests = all_embedded(experiment)
    found = find_neighbors(experiment, train, tests)
    assert len(found["queries"]) == 12
    assert {query["split"] for query in found["queries"]} == set(tests)
    for query in found["queries"]:
        row = tests[query["split"]].embeddings[query["row"]]
        rows, cosines = nearest(row, train.embeddings, 5)
        assert query["rows"] == rows
        np.testing.assert_allclose(query["similarities"], cosines, atol=1e-5)


def test_without_test_splits_an_image_is_not_its_own_neighbor():
    experiment = an_experiment(data__test_splits=())
    train, _ = all_embedded(experiment)
    # The last two are equal to the first.
    train.embeddings[-2:] = train.embeddings[0]
    found = find_neighbors(experiment, train, {})
    assert len(found["queries"]) == 12
    for query in found["queries"]:
        assert query["split"] == experiment.config.data.train_split
        own = train.embeddings[query["row"]]
        assert query["row"] not in query["rows"]
        _, cosines = nearest(own, train.embeddings, 5, query["row"])
        np.testing.assert_allclose(query["similarities"], cosines, atol=1e-5)
    looks = make_looks(experiment, 1, found, found)
    assert looks["queries"][0]["before"] == looks["queries"][0]["after"]


def test_shares_are_those_of_a_double_loop():
    draw = np.random.default_rng(0)
    train = {key: draw.integers(-1, 3, 40) for key in ("label", "domain")}
    asked = {key: draw.integers(-1, 4, 30) for key in ("label", "domain")}
    near = draw.integers(0, 40, (30, 6))
    found = agreement(asked, train, near)
    for end, columns in (("", near), ("_chance", np.tile(np.arange(40), (30, 1)))):
        counts, total = (
            dict.fromkeys(("label", "domain", "only_label", "only_domain"), 0),
            0,
        )
        for i in range(30):
            label, domain = asked["label"][i], asked["domain"][i]
            if -1 in (label, domain) or 3 in (label, domain):
                continue  # unknown, or in no training image
            for j in columns[i]:
                if -1 in (train["label"][j], train["domain"][j]):
                    continue
                same = train["label"][j] == label, train["domain"][j] == domain
                total += 1
                counts["label"] += same[0]
                counts["domain"] += same[1]
                counts["only_label"] += same == (True, False)
                counts["only_domain"] += same == (False, True)
        for key, count in counts.items():
            assert found[key + end] == pytest.approx(count / total)


@pytest.mark.parametrize("known", [{}, {"label": np.full(4, -1)}])
def test_without_names_there_are_no_shares(known):
    assert agreement(known, known, np.zeros((4, 2), int)) is None


def test_labels_alone_have_shares():
    asked, train = {"label": np.array([0])}, {"label": np.array([0, 1, 0, 0])}
    found = agreement(asked, train, np.array([[0, 1]]))
    assert (found["label"], found["label_chance"]) == (0.5, 0.75)
    assert "domain" not in found and "only_label" not in found


def test_an_even_draw_takes_every_value_equally_often():
    labels = np.repeat(np.arange(10), [1, 5, 50, 500, 9, 9, 9, 9, 9, 9])
    domains = np.random.default_rng(0).integers(0, 3, len(labels))
    drawn = draw_evenly([labels, domains], 12)
    assert len(set(drawn.tolist())) == 12
    assert np.bincount(labels[drawn], minlength=10).min() == 1
    many = draw_evenly([labels, domains], 100)
    counts = np.bincount(labels[many])
    # Rare labels give all that they have; the others the same number.
    assert counts[0] == 1 and counts[1] == 5 and set(counts[4:]) == {9}
    assert np.bincount(domains[many[labels[many] == 3]]).tolist().count(0) == 0
    np.testing.assert_array_equal(many, draw_evenly([labels, domains], 100))
    np.testing.assert_array_equal(np.sort(draw_evenly([labels], 1000)), np.arange(610))


def test_of_hundreds_of_labels_no_two_are_the_same():
    labels = np.arange(900) % 300
    drawn = draw_evenly([labels], 12)
    assert len(set(labels[drawn].tolist())) == 12


def test_small_images_are_kept_bit_for_bit():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    np.testing.assert_array_equal(decoded(thumbnail(image)), image)
    gray = image[..., :1]
    expected = np.repeat(gray, 3, axis=2)
    np.testing.assert_array_equal(decoded(thumbnail(gray)), expected)


def test_the_images_and_views_are_those_of_the_run(experiment):
    train, tests = all_embedded(experiment)
    found = find_neighbors(experiment, train, tests)
    looks = make_looks(experiment, 7, found, found)
    assert json.loads(json.dumps(looks)) == looks
    assert looks["step"] == 7 and looks["pixelated"]
    data, config = experiment.data, experiment.config
    images = read_images(data.train, data.bad)
    labels, names = data.train.values("label"), data.train.names["domain"]
    assert len(looks["views"]) == 8
    instances = data.train.instances()
    for one in looks["views"]:
        shown = decoded(one["image"])
        (place,) = np.flatnonzero((images == shown).all((1, 2, 3)))
        assert one["label"] == str(labels[place])
        assert one["domain"] == names[data.train.values("domain")[place]]
        keys = sample_keys(config.seed, jnp.int32(0), instances[[place]])
        views = augment_batch(keys, images[[place]], 2, config.augmentation)
        for view, expected in zip(one["views"], np.asarray(views)[0], strict=True):
            np.testing.assert_allclose(decoded(view), expected * 255, atol=1)
    for shown, query in zip(looks["queries"], found["queries"], strict=True):
        test = data.tests[query["split"]]
        assert shown["label"] == str(test.values("label")[query["row"]])
        for near, row in zip(shown["after"], query["rows"], strict=True):
            np.testing.assert_array_equal(decoded(near["image"]), images[row])
            assert near["label"] == str(labels[row])


def test_large_gray_images_without_names_are_small_files(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 224, 224), np.uint8)
    name = from_arrays(image=noise, data_dir=str(tmp_path))
    experiment = an_experiment(
        data__name=name,
        data__data_dir=str(tmp_path),
        data__train_split="train",
        data__test_splits=(),
        data__label="",
        data__domain="",
    )
    found = find_neighbors(experiment, embedded(experiment.data.train, 0), {})
    looks = make_looks(experiment, 1, found, found)
    assert looks["columns"] == {} and not looks["pixelated"]
    assert list(found["shares"].values()) == [None]
    for one in (looks["views"][0], looks["queries"][0]):
        assert max(decoded(one["image"]).shape) == 64
        assert "label" not in one
    assert len(json.dumps(looks)) < 1_000_000


def test_an_evaluation_renews_the_images(tmp_path):
    config = small(
        num_steps=1,
        eval_every=0,
        model=ModelConfig(encoder="mlp", width=8, stages=1, head_layers=0),
    )
    jaxcl.train(config, tmp_path, quiet=True)
    looks, page = (tmp_path / name for name in ("looks.json", "report.html"))
    first, shown = looks.read_text(), page.read_text()
    assert json.loads(first)["step"] == 1
    assert shown.count("<img ") == 8 * 3 + 12 * 11
    looks.unlink()
    page.unlink()
    jaxcl.evaluate(tmp_path, quiet=True)
    assert looks.read_text() == first and page.read_text().count("<img ") == 156
    # A run of an older version has none.
    looks.unlink()
    from jaxcl.cli import main

    main(["report", str(tmp_path), "--quiet"])
    assert "<img " not in page.read_text()
