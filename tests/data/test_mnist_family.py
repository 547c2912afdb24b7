import functools
import gzip
import hashlib
import http.server
import json
import struct
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxcl.data import _draws
from jaxcl.data._builders import (
    BiasedMnist,
    ColoredMnist,
    RotatedMnist,
    StyledMnist,
    _mnist,
    biased_mnist,
    colored_mnist,
    rotated_mnist,
    styled_mnist,
)
from jaxcl.data._registry import REGISTRY

REAL = Path(__file__).parents[2] / "../shared/data/mnist"
needs_mnist = pytest.mark.skipif(
    not REAL.is_dir(), reason="needs the archives of MNIST in ../shared/data/mnist"
)
# How many images of each digit MNIST has.
TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
TEST_COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
TRAIN_LABELS = np.repeat(np.arange(10), TRAIN_COUNTS)
TEST_LABELS = np.repeat(np.arange(10), TEST_COUNTS)


def pairs(labels, colors):
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, colors), 1)
    return counts


# The rule of BiasedMNIST.


@pytest.mark.parametrize(
    ("rho", "aligned", "conflicting", "cells"),
    [
        (0.999, 59937, 63, 73),
        (0.997, 59816, 184, 94),
        (0.995, 59695, 305, 90),
        (0.99, 59394, 606, 99),
        (0.95, 56994, 3006, 100),
        (0.9, 53994, 6006, 100),
    ],
)
def test_pairs_of_digit_and_color_are_as_many_as_published(
    rho, aligned, conflicting, cells
):
    counts = pairs(TRAIN_LABELS, biased_mnist.assign_colors(TRAIN_LABELS, rho, "train"))
    assert np.trace(counts) == aligned
    assert counts.sum() - np.trace(counts) == conflicting
    assert (counts > 0).sum() == cells


def test_the_unbiased_test_set_has_every_pair_about_as_often():
    counts = pairs(TEST_LABELS, biased_mnist.assign_colors(TEST_LABELS, 0.1, "test"))
    assert np.trace(counts) == 996
    assert counts.sum() - np.trace(counts) == 9004
    assert (counts > 0).all()
    # The last chunk may be short by up to eight.
    assert (np.abs(counts - counts.mean(axis=1, keepdims=True)) <= 9).all()


def test_at_the_strongest_bias_six_or_seven_of_every_digit_conflict():
    colors = biased_mnist.assign_colors(TRAIN_LABELS, 0.999, "train")
    conflicting = np.bincount(TRAIN_LABELS[colors != TRAIN_LABELS], minlength=10)
    assert set(conflicting.tolist()) == {6, 7}


@pytest.mark.parametrize("rho", biased_mnist.RHOS)
def test_other_colors_come_in_chunks_that_are_equal_but_for_the_last(rho):
    counts = pairs(TRAIN_LABELS, biased_mnist.assign_colors(TRAIN_LABELS, rho, "train"))
    for digit, total in enumerate(TRAIN_COUNTS):
        rest = list(range(int(total * rho), total))
        chunk = int(np.ceil(len(rest) / 9))
        expected = [0] * 9
        for turn in range(9):
            expected[turn], rest = len(rest[:chunk]), rest[chunk:]
        others = np.delete(counts[digit], digit)
        assert sorted(others.tolist()) == sorted(expected)


def test_images_that_conflict_go_on_conflicting_when_the_bias_gets_weaker():
    conflicting = set()
    for rho in sorted(biased_mnist.RHOS, reverse=True):
        colors = biased_mnist.assign_colors(TRAIN_LABELS, rho, "train")
        larger = set(np.flatnonzero(colors != TRAIN_LABELS).tolist())
        assert conflicting < larger
        conflicting = larger


def test_every_digit_has_its_own_order_of_other_colors():
    counts = pairs(
        TRAIN_LABELS, biased_mnist.assign_colors(TRAIN_LABELS, 0.999, "train")
    )
    gaps = [
        tuple(sorted((np.flatnonzero(row == 0) - digit) % 10))
        for digit, row in enumerate(counts)
    ]
    assert len(set(gaps)) > 5


def test_the_palette_is_that_of_the_paper():
    assert list(biased_mnist.PALETTE.values()) == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (225, 225, 0),
        (225, 0, 225),
        (0, 255, 255),
        (255, 128, 0),
        (255, 0, 128),
        (128, 0, 255),
        (128, 128, 128),
    ]


def test_ink_becomes_white_however_faint():
    image = np.array([[0, 1], [128, 0]], np.uint8)
    white = [255, 255, 255]
    painted = biased_mnist.paint(image, 6)
    assert painted.tolist() == [[[255, 128, 0], white], [white, [255, 128, 0]]]


# The draws of Colored MNIST.


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(0)
    return colored_mnist.draw_environments(rng.permutation(TRAIN_LABELS))


def test_the_first_images_are_dealt_to_two_environments_and_the_last_are_the_test(
    draws,
):
    assert np.bincount(draws.domain).tolist() == [25000, 25000, 10000]
    assert (draws.domain[50000:] == 2).all()
    assert (draws.domain[:50000] < 2).all()
    # Shuffled: the environments are no halves and no alternation.
    assert abs(draws.domain[:25000].mean() - 0.5) < 0.02
    assert abs((draws.domain[:50000:2]).mean() - 0.5) < 0.02


def test_labels_and_colors_are_flipped_at_the_rates_of_the_paper(draws):
    for domain, rate in enumerate((0.2, 0.1, 0.9)):
        rows = draws.domain == domain
        deviation = 0.5 / np.sqrt(rows.sum())
        noisy = (draws.label != draws.clean_label)[rows]
        turned = (draws.bias != draws.label)[rows]
        assert abs(noisy.mean() - 0.25) < 4 * deviation
        assert abs(turned.mean() - rate) < 4 * deviation
        # Independent: where the label is wrong, color follows the label all the same.
        assert abs(turned[noisy].mean() - rate) < 4 * deviation / np.sqrt(0.25)


def test_digits_below_five_are_the_label_one():
    clean = colored_mnist.draw_environments(np.arange(10)).clean_label
    assert clean.tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert colored_mnist.LABELS == ("digits_5_to_9", "digits_0_to_4")


def test_every_second_pixel_stands_in_the_channel_of_its_color():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    red, green = colored_mnist.paint(image, 0), colored_mnist.paint(image, 1)
    assert red[..., 0].tolist() == green[..., 1].tolist() == [[0, 2], [8, 10]]
    assert not red[..., 1:].any()
    assert not green[..., ::2].any()


# The angles of Rotated MNIST.


def test_images_are_dealt_evenly_to_six_angles():
    angles = rotated_mnist.draw_angles(70_000, continuous=False)
    values, counts = np.unique(angles, return_counts=True)
    assert values.tolist() == [0, 15, 30, 45, 60, 75]
    assert counts.tolist() == [11667, 11667, 11667, 11667, 11666, 11666]
    of_test = np.unique(angles[60_000:], return_counts=True)[1]
    assert (np.abs(of_test - 10_000 / 6) < 160).all()


def test_continuous_angles_are_even_and_below_ninety():
    angles = rotated_mnist.draw_angles(70_000, continuous=True)
    assert angles.dtype == np.float32
    assert 0 <= angles.min() < 0.01
    assert 89.99 < angles.max() < 90
    ranks = np.sort(angles) / 90
    distance = np.abs(ranks - (np.arange(70_000) + 0.5) / 70_000).max()
    assert distance < 1.95 / np.sqrt(70_000)  # Kolmogorov: one seed in a thousand


def test_the_turn_is_counterclockwise_about_the_center():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (28, 28), dtype=np.uint8)
    assert np.array_equal(rotated_mnist.turn(image, 0.0), image)
    assert np.array_equal(rotated_mnist.turn(image, 90.0), np.rot90(image))
    blob = np.zeros((28, 28), np.uint8)
    blob[13:15, 21:23] = 255  # eight pixels right of the center
    turned = np.asarray(rotated_mnist.turn(blob, 30.0), float)
    rows, columns = np.indices((28, 28)) - 13.5
    row, column = (turned * rows).sum(), (turned * columns).sum()
    angle = np.degrees(np.arctan2(-row, column))
    distance = np.hypot(row, column) / turned.sum()
    assert abs(angle - 30) < 2
    assert abs(distance - 8) < 0.25
    assert len(np.unique(turned)) > 4  # bilinear: there are grays


# The styles of Styled MNIST.


def test_images_are_dealt_evenly_to_four_styles_whatever_their_digit():
    styles = styled_mnist.deal_styles(70_000)
    assert np.bincount(styles).tolist() == [17_500] * 4
    counts = np.zeros((10, 4), int)
    np.add.at(counts, (TRAIN_LABELS, styles[:60_000]), 1)
    expected = counts.sum(axis=1, keepdims=True) / 4
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 54.05  # 27 degrees of freedom: one seed in a thousand


def test_styles_are_what_they_are_called():
    image = np.zeros((28, 28), np.uint8)
    image[14, 10:18] = 200
    plain, bold, soft, striped = (
        np.asarray(styled_mnist.restyle(image, style), float)
        for style in styled_mnist.STYLES
    )
    assert np.array_equal(plain, image)
    assert np.argwhere(bold == 200).tolist() == [
        [row, column] for row in (13, 14, 15) for column in range(9, 19)
    ]
    rows = (soft.sum(axis=1) * (np.arange(28) - 14.0) ** 2).sum() / soft.sum()
    assert abs(rows - 1.5**2) < 0.25  # the variance of the Gaussian
    assert (striped[14, 10:18] == 200).all()
    behind = np.delete(striped, 14, axis=0)
    assert np.unique(behind).tolist() == [0, 96]
    assert 0.45 < (behind == 96).mean() < 0.55
    assert np.array_equal(striped[0, :22], striped[6, :22])


def test_draws_are_below_one_as_float32_too(monkeypatch):
    ends = np.array([0, 2**64 - 1], dtype=np.uint64)
    monkeypatch.setattr(_draws, "raw_draws", lambda *_, **__: ends)
    draws = _draws.uniform(2, 0, stream=_draws.Stream.BUILDERS)
    assert draws[0] == 0
    assert draws.astype(np.float32)[1] < 1
    assert rotated_mnist.draw_angles(2, continuous=True)[1] < 90


# Archives.


def idx_bytes(array):
    lengths = b"".join(struct.pack(">I", length) for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()


def describe(name, content, shape):
    return _mnist.Archive(
        name, len(content), hashlib.sha256(content).hexdigest(), shape
    )


def make_arrays():
    rng = np.random.default_rng(7)
    arrays = {}
    for split, size in {"train": 600, "test": 200}.items():
        images = rng.integers(1, 256, (size, 28, 28), dtype=np.uint8)
        images[rng.random(images.shape) < 0.8] = 0
        labels = rng.permutation(np.arange(size) % 10).astype(np.uint8)
        arrays[split] = (images, labels)
    return arrays


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Small archives in a manual directory, their table, and what is in them."""
    folder = tmp_path_factory.mktemp("manual") / "mnist"
    folder.mkdir()
    arrays, table = make_arrays(), {}
    for split, parts in arrays.items():
        table[split] = ()
        for official, array in zip(_mnist.ARCHIVES[split], parts, strict=True):
            content = gzip.compress(idx_bytes(array))
            (folder / official.name).write_bytes(content)
            table[split] += (describe(official.name, content, array.shape),)
    return folder, table, arrays


@pytest.fixture
def made_table(made, monkeypatch):
    monkeypatch.setattr(_mnist, "ARCHIVES", made[1])
    return made[1]


def manager(tmp_path, manual_dir=None):
    return tfds.download.DownloadManager(
        download_dir=tmp_path / "downloads",
        manual_dir=manual_dir,
        manual_dir_instructions=REGISTRY["biased_mnist"].manual,
        url_infos=_mnist.url_infos(),
    )


def copy_of(made, tmp_path):
    """The manual directory once more, to be spoiled."""
    manual = tmp_path / "manual"
    manual.mkdir()
    for path in made[0].iterdir():
        (manual / path.name).write_bytes(path.read_bytes())
    return manual


def test_archives_are_found_in_the_manual_directory_and_in_its_folder(
    made, made_table, tmp_path
):
    images, labels = made[2]["test"]
    for manual in (made[0], made[0].parent):
        read = _mnist.read_digits(manager(tmp_path, manual), "test")
        assert np.array_equal(read.images, images)
        assert np.array_equal(read.labels, labels)
        assert read.instances.tolist() == list(range(60_000, 60_200))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[:-1], r"official .* of \d+ bytes, got \d+"),
        (lambda content: content + b"x", r"official .* of \d+ bytes, got more"),
        # Its last bytes unpack wrongly, and yet it is the digest that complains.
        (lambda content: content[:-9] + bytes(9), "with SHA-256 .*, got"),
    ],
)
def test_an_archive_is_verified_before_it_is_unpacked(
    made, made_table, tmp_path, spoil, message
):
    manual = copy_of(made, tmp_path)
    path = manual / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as raised:
        _mnist.read_digits(manager(tmp_path, manual), "test")
    assert str(path) in str(raised.value)


def test_an_archive_that_unpacks_to_more_is_not_unpacked():
    bomb = gzip.compress(bytes(2**25), compresslevel=1)
    archive = describe("bomb.gz", bomb, (10, 10))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"bomb\.gz must hold 112 bytes, got more"):
        _mnist.parse_idx(bomb, archive)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive at all", "cannot be unpacked"),
        (gzip.compress(bytes(12))[:-8], "cannot be unpacked"),
        (gzip.compress(bytes(12))[:-8] + bytes(8), "cannot be unpacked"),
        (gzip.compress(bytes(12))[:10] + b"\xff" * 12, "cannot be unpacked"),
        (gzip.compress(bytes(11)), "must hold 12 bytes, got 11"),
        (gzip.compress(bytes(12)), "must begin with 0000080100000004"),
        (gzip.compress(bytes([0, 0, 8, 1, 4, 0, 0, 0, 1, 2, 3, 4])), "must begin"),
    ],
    # The archives hold the time they were made, which must not name a test.
    ids=["text", "cut", "sum", "body", "short", "zeros", "order"],
)
def test_what_is_no_array_of_the_expected_kind_is_named(content, message):
    archive = describe("labels.gz", content, (4,))
    with pytest.raises(ValueError, match=rf"labels\.gz {message}"):
        _mnist.parse_idx(content, archive)


# Downloads, from a server on this machine.


@pytest.fixture
def serve(monkeypatch):
    """Serves a folder as the mirror."""
    servers = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def start(folder):
        handler = functools.partial(Handler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        address = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(_mnist, "MIRROR", address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_what_is_missing_is_downloaded_and_kept(made, made_table, serve, tmp_path):
    serve(made[0])
    manual = copy_of(made, tmp_path)
    (manual / "train-labels-idx1-ubyte.gz").unlink()
    read = _mnist.read_digits(manager(tmp_path, manual), "train")
    assert np.array_equal(read.images, made[2]["train"][0])
    assert np.array_equal(read.labels, made[2]["train"][1])
    kept = [path.name for path in (tmp_path / "downloads").glob("*.gz")]
    assert len(kept) == 1


def test_a_builder_downloads_when_there_is_no_manual_directory(
    made, made_table, serve, tmp_path, monkeypatch
):
    serve(made[0])
    monkeypatch.setattr(BiasedMnist, "url_infos", _mnist.url_infos())
    builder = BiasedMnist(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    assert builder.info.splits["train"].num_examples == 600
    sizes = [archive.size for parts in made_table.values() for archive in parts]
    assert builder.info.download_size == sum(sizes)


def test_a_mirror_that_sends_other_bytes_is_refused(made, made_table, serve, tmp_path):
    folder = copy_of(made, tmp_path)
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    serve(folder)
    with pytest.raises(ValueError, match=r"is not the official archives of MNIST"):
        _mnist.read_digits(manager(tmp_path), "test")


def test_without_a_download_the_user_learns_where_to_put_the_archives(
    made_table, serve, tmp_path
):
    (tmp_path / "empty").mkdir()
    serve(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"cannot be downloaded.*404[^$]*`mnist/`"):
        _mnist.read_digits(manager(tmp_path), "test")


@needs_mnist
def test_the_mirror_and_sums_are_those_of_the_official_builder(tmp_path):
    from tensorflow_datasets.core.download import resource

    official = tfds.builder("mnist", data_dir=tmp_path).url_infos
    ours = _mnist.url_infos()
    assert ours == official
    for builder in (BiasedMnist, ColoredMnist, RotatedMnist, StyledMnist):
        assert builder.url_infos == official
    # So a download of the official builder serves ours.
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for url, info in ours.items():
        path = downloads / resource.get_dl_fname(url, info.checksum)
        path.write_bytes((REAL / info.filename).read_bytes())
        about = {"dataset_names": [], "original_fname": info.filename, "urls": [url]}
        Path(f"{path}.INFO").write_text(json.dumps(about))
    read = _mnist.read_digits(manager(tmp_path), "test")
    assert np.bincount(read.labels).tolist() == list(TEST_COUNTS)


# Data sets built of the small archives.


def build(builder_class, folder, manual_dir, config=None, **options):
    builder = builder_class(data_dir=folder, config=config, file_format="array_record")
    download = tfds.download.DownloadConfig(manual_dir=manual_dir, **options)
    builder.download_and_prepare(download_config=download)
    return builder


def read(builder, split):
    """Columns of a split, in the order of `instance`."""
    records = builder.as_data_source(split=split)
    records = sorted(records, key=lambda record: int(record["instance"]))
    return {name: np.array([r[name] for r in records]) for name in records[0]}


@pytest.fixture(scope="module")
def built(made, tmp_path_factory):
    had_tensorflow = "tensorflow" in sys.modules
    folder = tmp_path_factory.mktemp("built")
    tfds.disable_progress_bar()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_mnist, "ARCHIVES", made[1])
        builders = {
            name: build(builder, folder, made[0].parent, config)
            for name, builder, config in (
                ("biased", BiasedMnist, "rho_0.9"),
                ("colored", ColoredMnist, None),
                ("six", RotatedMnist, "six_angles"),
                ("continuous", RotatedMnist, "continuous"),
                ("styled", StyledMnist, None),
            )
        }
    columns = {
        name: {split: read(builder, split) for split in builder.info.splits}
        for name, builder in builders.items()
    }
    assert had_tensorflow or "tensorflow" not in sys.modules
    return builders, columns


def test_counts_and_columns_are_those_that_are_documented(built):
    builders, columns = built
    sizes = {
        name: {split: len(read["instance"]) for split, read in splits.items()}
        for name, splits in columns.items()
    }
    assert sizes == {
        "biased": {"train": 600, "test": 200, "biased_test": 200},
        "colored": {"train": 500, "test": 100},
        "six": {"train": 600, "test": 200},
        "continuous": {"train": 600, "test": 200},
        "styled": {"train": 600, "test": 200},
    }
    shapes = {name: read["train"]["image"].shape[1:] for name, read in columns.items()}
    assert shapes == {
        "biased": (28, 28, 3),
        "colored": (14, 14, 3),
        "six": (28, 28, 1),
        "continuous": (28, 28, 1),
        "styled": (28, 28, 1),
    }
    features = {name: set(builder.info.features) for name, builder in builders.items()}
    common = {"image", "label", "instance"}
    assert features["biased"] == common | {"bias"}
    assert features["colored"] == common | {"digit", "clean_label", "bias", "domain"}
    assert features["six"] == features["continuous"] == common | {"domain", "angle"}
    assert features["styled"] == common | {"domain"}


def test_defaults_are_the_documented_configs(tmp_path):
    for builder, default in ((BiasedMnist, "rho_0.99"), (RotatedMnist, "six_angles")):
        assert builder(data_dir=tmp_path).builder_config.name == default
    assert [config.name for config in BiasedMnist.BUILDER_CONFIGS] == [
        "rho_0.999",
        "rho_0.997",
        "rho_0.995",
        "rho_0.99",
        "rho_0.95",
        "rho_0.9",
        "rho_0.8",
        "rho_0.5",
        "rho_0.1",
    ]


def test_instances_number_the_images_of_mnist(built):
    numbers = {"train": range(600), "test": range(60_000, 60_200)}
    numbers["biased_test"] = numbers["test"]
    for name in ("biased", "six", "continuous", "styled"):
        for split, read in built[1][name].items():
            assert read["instance"].tolist() == list(numbers[split])
    assert built[1]["colored"]["train"]["instance"].tolist() == list(range(500))
    assert built[1]["colored"]["test"]["instance"].tolist() == list(range(500, 600))


def test_stored_images_are_white_digits_on_the_color_of_their_bias(built, made):
    palette = np.array(list(biased_mnist.PALETTE.values()))
    names = built[0]["biased"].info.features["bias"].names
    assert names == list(biased_mnist.PALETTE)
    for split, columns in built[1]["biased"].items():
        images, labels = made[2][split.removeprefix("biased_")]
        assert np.array_equal(columns["label"], labels)
        ink = images > 0
        assert (columns["image"][ink] == 255).all()
        background = np.broadcast_to(
            palette[columns["bias"]][:, None, None], (*images.shape, 3)
        )
        assert np.array_equal(columns["image"][~ink], background[~ink])


def test_stored_colors_follow_the_bias_of_each_split(built):
    columns = built[1]["biased"]
    rates = {"train": 0.9, "test": 0.1, "biased_test": 1.0}
    for split, rate in rates.items():
        label, bias = columns[split]["label"], columns[split]["bias"]
        for digit in range(10):
            assert (bias[label == digit] == digit).mean() == rate


def test_stored_colored_digits_are_gray_in_one_channel(built, made):
    images, digits = made[2]["train"]
    features = built[0]["colored"].info.features
    assert features["bias"].names == ["red", "green"]
    assert features["domain"].names == ["e_0.2", "e_0.1", "e_0.9"]
    for split, columns in built[1]["colored"].items():
        rows = columns["instance"]
        assert np.array_equal(columns["digit"], digits[rows])
        assert np.array_equal(columns["clean_label"] == 1, digits[rows] <= 4)
        assert ((columns["domain"] == 2) == (split == "test")).all()
        for image, color, row in zip(
            columns["image"], columns["bias"], rows, strict=True
        ):
            assert np.array_equal(image[..., color], images[row][0::2, 0::2])
            assert not np.delete(image, color, axis=-1).any()


def test_stored_turned_digits_know_their_angle_and_domain(built, made):
    from PIL import Image

    names = built[0]["six"].info.features["domain"].names
    assert names == [f"angle_{angle}" for angle in (0, 15, 30, 45, 60, 75)]
    for name in ("six", "continuous"):
        for split, columns in built[1][name].items():
            images, labels = made[2][split]
            assert np.array_equal(columns["label"], labels)
            lower = np.array([0, 15, 30, 45, 60, 75])[columns["domain"]]
            assert (lower <= columns["angle"]).all()
            assert (columns["angle"] < lower + 15).all()
            for row in range(0, len(labels), 20):
                picture = Image.fromarray(images[row])
                turned = picture.rotate(float(columns["angle"][row]), 2)
                assert np.array_equal(columns["image"][row, ..., 0], turned)
    assert set(built[1]["six"]["train"]["angle"].tolist()) == {0, 15, 30, 45, 60, 75}


# The real files.


@needs_mnist
def test_the_known_sums_are_those_of_the_real_files():
    digests = {
        "train-images-idx3-ubyte.gz": "f68b3c2d",
        "train-labels-idx1-ubyte.gz": "d53e105e",
        "t10k-images-idx3-ubyte.gz": "9fb629c4",
        "t10k-labels-idx1-ubyte.gz": "ec29112d",
    }
    archives = [archive for parts in _mnist.ARCHIVES.values() for archive in parts]
    assert [archive.name for archive in archives] == list(digests)
    for archive in archives:
        content = (REAL / archive.name).read_bytes()
        assert hashlib.md5(content).hexdigest().startswith(digests[archive.name])
        assert hashlib.sha256(content).hexdigest() == archive.sha256
        assert len(content) == archive.size


@needs_mnist
def test_real_digits_are_read_as_they_are_known(tmp_path):
    train = _mnist.read_digits(manager(tmp_path, REAL), "train")
    assert np.bincount(train.labels).tolist() == list(TRAIN_COUNTS)
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    # The first row of ink of the first image, as many a tutorial prints it.
    ink = [3, 18, 18, 18, 126, 136, 175, 26, 166, 255, 247, 127]
    assert train.images[0, 5].tolist() == [0] * 12 + ink + [0] * 4
    assert train.images.mean() == pytest.approx(0.1307 * 255, abs=0.00005 * 255)


@needs_mnist
def test_the_real_biased_mnist_has_the_published_counts(tmp_path):
    counts = {}
    for split, rho in (("train", 0.99), ("test", 0.1)):
        labels = _mnist.read_digits(manager(tmp_path, REAL), split).labels
        colors = biased_mnist.assign_colors(labels, rho, split)
        counts[split] = pairs(labels, colors)
    assert (np.trace(counts["train"]), (counts["train"] > 0).sum()) == (59394, 99)
    assert (np.trace(counts["test"]), (counts["test"] > 0).sum()) == (996, 100)


@needs_mnist
def test_the_first_real_image_is_stored_in_every_way(tmp_path):
    records = {}
    for builder_class in (BiasedMnist, ColoredMnist, RotatedMnist):
        builder = build(builder_class, tmp_path, REAL.parent, max_examples_per_split=1)
        (records[builder_class],) = builder.as_data_source(split="train")
        assert records[builder_class]["instance"] == 0
    record = records[BiasedMnist]
    color = list(biased_mnist.PALETTE.values())[int(record["bias"])]
    row = record["image"][5]
    assert (record["label"], row[12:24].min()) == (5, 255)
    assert (row[:12] == color).all()
    assert (row[24:] == color).all()
    record = records[ColoredMnist]
    assert (record["digit"], record["clean_label"]) == (5, 0)
    # Row 6 of the 28, from column 8:
    # 30 36 94 154 170 253 253 253 253 253 225 172 253 242 195 64.
    every_second = [0] * 4 + [30, 94, 170, 253, 253, 225, 253, 195] + [0] * 2
    assert record["image"][3, :, int(record["bias"])].tolist() == every_second
    record = records[RotatedMnist]
    assert record["label"] == 5
    assert record["angle"] == 15 * record["domain"]
