import sys

import numpy as np
import pytest

from jaxcl.config import DataConfig
from jaxcl.data import REGISTRY, build, open_split
from jaxcl.data._builders.colored_digits import split_colors
from jaxcl.data._decode import decode_image

SPLITS = {"train": 1197, "id_test": 300, "ood_test": 3000}


@pytest.fixture(scope="module")
def columns():
    config = DataConfig(name="colored_digits", domain="domain")
    read = {}
    for name in SPLITS:
        split = open_split(config, name)
        records = [
            {**record, "image": decode_image(record["image"], (16, 16, 3), "crop")}
            for record in split.read(range(len(split)))
        ]
        read[name] = {
            key: np.array([record[key] for record in records]) for key in records[0]
        }
    return read


def test_counts_are_those_that_are_documented(columns):
    counts = {name: len(read["label"]) for name, read in columns.items()}
    assert counts == SPLITS == REGISTRY["colored_digits"].splits


def test_no_digit_stands_in_two_splits(columns):
    digits = [set(read["instance"].tolist()) for read in columns.values()]
    assert sum(map(len, digits)) == len(set.union(*digits)) == 1797


@pytest.mark.parametrize("split", ["train", "id_test"])
def test_color_goes_with_the_label_at_the_configured_rate(columns, split):
    label, domain = columns[split]["label"], columns[split]["domain"]
    for digit in range(10):
        members = label == digit
        aligned = (domain[members] == digit).sum()
        assert aligned == round(0.9 * members.sum())


def test_color_says_nothing_about_the_label_out_of_distribution(columns):
    label, domain = columns["ood_test"]["label"], columns["ood_test"]["domain"]
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (label, domain), 1)
    assert (counts == counts[:, :1]).all()
    assert counts.sum() == 3000


def test_other_colors_are_dealt_evenly():
    labels = np.repeat(np.arange(10), 100)
    colors = dict(split_colors(labels, "train", 0.1))
    of_zeros = np.bincount([colors[i] for i in range(100)], minlength=10)
    assert of_zeros.tolist() == [10] * 10


def test_images_are_the_scans_of_scikit_learn(columns):
    from sklearn.datasets import load_digits

    digits = load_digits()
    read = columns["train"]
    for i in range(20):
        instance = read["instance"][i]
        assert read["label"][i] == digits.target[instance]
        # Where the scan is white the image is; the corners blend in.
        image = read["image"][i].astype(float).mean(axis=-1)
        scan = digits.images[instance]
        image = image.reshape(8, 2, 8, 2).mean(axis=(1, 3))
        assert np.corrcoef(image.ravel(), scan.ravel())[0, 1] > 0.9


def test_it_looks_like_any_tfds_data_set(data_dir):
    import tensorflow_datasets as tfds

    build("colored_digits/rho_0.9", str(data_dir))
    builder = tfds.builder("colored_digits/rho_0.9", data_dir=data_dir)
    assert set(builder.info.features) == {"domain", "image", "instance", "label"}
    assert builder.info.features["domain"].num_classes == 10
    assert builder.info.splits["ood_test"].num_examples == 3000
    assert len(builder.as_data_source("train[:10%]")) == 120


def test_nothing_loaded_tensorflow(columns):
    assert "tensorflow" not in sys.modules
