"""The registry agrees with the builders of its data sets."""

import re
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxcl.data import _builders
from jaxcl.data._registry import REGISTRY, DatasetEntry, read_registry
from jaxcl.data._stored import check_stored

BUILDERS = {
    kind.name: kind
    for kind in vars(_builders).values()
    if isinstance(kind, type) and issubclass(kind, tfds.core.DatasetBuilder)
}
OWN = {name for name, entry in REGISTRY.items() if entry.kind == "own"}
# What it holds is known when the user's folder is.
LOOKED_UP = sorted(set(REGISTRY) - {"image_folder"})
ROLES = ("label", "domain", "bias", "instance")
ENTRY = """
[digits]
summary = "digits"
kind = "own"
image = "8x8x1"
label = "label"
domain = ""
bias = ""
instance = ""
needs_tensorflow = false
download = "automatic"
size = "1 MB"
terms = "not stated"
homepage = "https://example.org"
citation = ""
checked = "made archives"
splits = {train = 3}
columns = {label = "digit"}
"""


@pytest.fixture(scope="module")
def builders(tmp_path_factory):
    """A builder of every data set, in its default config."""
    data_dir = tmp_path_factory.mktemp("nothing-is-built")
    return {name: tfds.builder(name, data_dir=data_dir) for name in LOOKED_UP}


def flat(features, prefix=""):
    columns = {}
    for name, feature in features.items():
        if isinstance(feature, tfds.features.FeaturesDict):
            columns |= flat(feature, f"{prefix}{name}.")
        else:
            columns[prefix + name] = feature
    return columns


def columns_of(builder):
    """All but images: a config cannot name them."""
    return {
        name: feature
        for name, feature in flat(builder.info.features).items()
        if not isinstance(feature, tfds.features.Image)
    }


def test_every_own_builder_has_an_entry_and_every_own_entry_a_builder():
    assert set(BUILDERS) == OWN


def test_official_entries_are_those_of_tensorflow_datasets():
    official = set(tfds.list_builders(with_community_datasets=False))
    assert set(REGISTRY) - OWN <= official


@pytest.mark.parametrize("name", LOOKED_UP)
def test_columns_are_those_of_the_builder(builders, name):
    builder, entry = builders[name], REGISTRY[name]
    columns = set(columns_of(builder))
    if name == "utk_face":
        biased = tfds.builder("utk_face/race_bias", data_dir=builder.data_dir)
        assert set(columns_of(biased)) - columns == {"bias"}
        columns |= {"bias"}
    if entry.join:
        assert entry.join not in columns
        columns |= {entry.join}
    assert set(entry.columns) == columns


@pytest.mark.parametrize("name", LOOKED_UP)
def test_files_of_every_set_name_types_that_are_read(builders, name, tmp_path):
    folder = tmp_path / "stored" / "1.0.0"
    folder.mkdir(parents=True)
    builders[name].info.write_to_directory(folder)
    check_stored("stored", tmp_path)


@pytest.mark.parametrize("name", LOOKED_UP)
def test_images_have_the_shape_that_is_said(builders, name):
    shape = builders[name].info.features["image"].shape
    said = "any" if None in shape else "x".join(map(str, shape))
    assert REGISTRY[name].image == said


@pytest.mark.parametrize("name", LOOKED_UP)
def test_roles_name_columns_of_whole_numbers_or_categories(builders, name):
    entry, columns = REGISTRY[name], columns_of(builders[name])
    assert entry.label
    for role in ROLES:
        column = getattr(entry, role)
        if column and column != entry.join:
            feature = columns[column]
            kind = np.dtype(feature.np_dtype).kind
            assert isinstance(feature, tfds.features.ClassLabel) or kind in "iub"


@pytest.mark.parametrize("name", LOOKED_UP)
def test_domains_are_named_as_the_builder_names_them(builders, name):
    builder, entry = builders[name], REGISTRY[name]
    if entry.join:
        configs = type(builder).BUILDER_CONFIGS
        assert list(entry.domains) == [config.name for config in configs]
    elif entry.domain:
        assert list(entry.domains) == columns_of(builder)[entry.domain].names
    else:
        assert entry.domains == ()


@pytest.mark.parametrize("name", LOOKED_UP)
def test_every_split_has_samples(name):
    splits = REGISTRY[name].splits
    assert splits
    assert all(type(count) is int and count > 0 for count in splits.values())


@pytest.mark.parametrize(
    "name",
    [
        *("fashion_mnist", "cifar10", "cifar10_1", "celeb_a"),
        *("shapes3d", "dsprites", "patch_camelyon"),
    ],
)
def test_counts_are_those_of_the_description_by_tensorflow_datasets(builders, name):
    # Before it is built, a data set knows its splits in words only.
    info, config = builders[name].info, builders[name].builder_config
    text = info.description + (config.description if config else "")
    numbers = {re.sub(r"[.,]", "", n) for n in re.findall(r"\d[\d.,]*\d", text)}
    counts = REGISTRY[name].splits.values()
    assert {str(sum(counts))} <= numbers or set(map(str, counts)) <= numbers


def test_counts_of_what_we_build_are_those_the_builders_expect():
    from jaxcl.data._builders import caltech256, camelyon17, utk_face, waterbirds

    groups = waterbirds.COUNTS
    totals = {split: sum(counts.values()) for split, counts in groups.items()}
    assert REGISTRY["waterbirds"].splits == totals
    assert REGISTRY["camelyon17"].splits == camelyon17.COUNTS
    assert REGISTRY["utk_face"].splits == {"train": utk_face.COUNT}
    assert REGISTRY["caltech256"].splits == {"train": caltech256.COUNT}


@pytest.mark.parametrize("name", ["pacs", "vlcs", "office_home", "terra_incognita"])
def test_counts_of_domains_add_up(builders, name):
    counts = next(iter(type(builders[name]).COUNTS.values()))
    assert REGISTRY[name].splits == {"train": sum(counts)}


def test_joined_counts_are_sums_over_the_configs():
    # As tensorflow-datasets publishes them for each domain.
    train = (120_906, 50_416, 33_525, 120_750, 36_023, 48_212)
    test = (52_041, 21_850, 14_604, 51_750, 15_582, 20_916)
    splits = REGISTRY["domainnet"].splits
    assert splits == {"train": sum(train), "test": sum(test)}
    assert sum(splits.values()) == 586_575
    assert REGISTRY["cifar10_corrupted"].splits == {"test": 19 * 5 * 10_000}


def test_factors_of_synthetic_images_multiply_to_their_number():
    assert REGISTRY["shapes3d"].splits["train"] == 10 * 10 * 10 * 8 * 4 * 15
    assert REGISTRY["dsprites"].splits["train"] == 3 * 6 * 40 * 32 * 32
    assert REGISTRY["smallnorb"].splits["train"] == 5 * 5 * 9 * 18 * 6


def test_no_column_of_toys_or_texts_is_taken_for_the_number_of_a_sample():
    assert REGISTRY["smallnorb"].instance == ""
    assert REGISTRY["cifar10"].instance == ""
    assert all(REGISTRY[name].instance == "instance" for name in OWN)


@pytest.mark.parametrize("name", LOOKED_UP)
def test_homepage_citation_and_terms_are_those_of_the_builder(builders, name):
    entry, info = REGISTRY[name], builders[name].info
    assert entry.homepage == info.homepage
    if name in OWN:
        assert entry.citation.strip() == info.citation
        assert entry.terms == info.redistribution_info.license


@pytest.mark.parametrize("name", LOOKED_UP)
def test_the_citation_is_bibtex(name):
    citation = REGISTRY[name].citation
    works = re.findall(r"^@(\w+)\{([\w:-]+),$", citation, re.MULTILINE)
    assert works
    assert citation.count("{") == citation.count("}")
    for work in re.split(r"^@", citation, flags=re.MULTILINE)[1:]:
        for field in ("author", "title", "year"):
            assert re.search(
                rf"^  {field} = \{{.+\}},$", work, re.MULTILINE | re.DOTALL
            )


@pytest.mark.parametrize("name", REGISTRY)
def test_every_field_says_something_that_can_be_true(name):
    entry = REGISTRY[name]
    assert entry.name == name
    for field in ("summary", "size", "terms", "homepage"):
        assert getattr(entry, field).strip()
        assert "\n" not in getattr(entry, field)
    assert all(meaning.strip() for meaning in entry.columns.values())
    assert set(filter(None, (getattr(entry, role) for role in ROLES))) <= set(
        entry.columns
    )
    assert entry.needs_tensorflow == (entry.kind == "official")
    assert re.fullmatch(
        r"(real files|made archives)( \(.+\))?|not built here", entry.checked
    )
    if entry.download == "manual":
        assert entry.manual.strip()
    assert entry.homepage.startswith("http") or name == "image_folder"


@pytest.mark.parametrize(
    "name", sorted(n for n in OWN - {"image_folder"} if REGISTRY[n].manual)
)
def test_manual_instructions_name_the_folder_and_the_archives(builders, name):
    said = builders[name].MANUAL_DOWNLOAD_INSTRUCTIONS
    assert said == REGISTRY[name].manual
    module = sys.modules[type(builders[name]).__module__]
    if hasattr(module, "_LAYOUT"):
        assert module._LAYOUT.folders[0] in said
        assert all(file in said for file in module._LAYOUT.archives)
        assert all(md5 in said for md5 in module._LAYOUT.archives.values())
    elif hasattr(builders[name], "ROOTS"):
        assert builders[name].ROOTS[0] in said


def test_only_the_digits_of_scikit_learn_need_nothing():
    assert [n for n, entry in REGISTRY.items() if entry.embedded] == ["colored_digits"]


def test_entries_can_be_written_as_json():
    import json

    for entry in REGISTRY.values():
        assert json.loads(json.dumps(entry._asdict()))["name"] == entry.name


def test_an_entry_is_read_with_its_defaults():
    entry = read_registry(ENTRY)["digits"]
    assert isinstance(entry, DatasetEntry)
    assert (entry.name, entry.splits, entry.domains) == ("digits", {"train": 3}, ())
    assert (entry.join, entry.manual, entry.embedded) == ("", "", False)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('terms = "not stated"', "", r"'digits' in the registry must have `terms`"),
        ('label = "label"', "label = 3", "`label` of .* must be str, got 3"),
        ("splits = {train = 3}", "splits = 3", "`splits` of .* must be Mapping, got 3"),
        ('"automatic"', '"by hand"', "must be one of embedded, automatic, manual, got"),
        ('kind = "own"', 'kind = "ours"', "must be one of own, official, got 'ours'"),
        ('bias = ""', 'bias = ""\ncolour = "red"', "must not have `colour`"),
    ],
)
def test_an_entry_that_is_wrong_is_named(old, new, message):
    with pytest.raises(ValueError, match=message):
        read_registry(ENTRY.replace(old, new, 1))
