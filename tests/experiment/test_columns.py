"""Columns that an objective names are numbers or ids, or are refused by name."""

import jax
import numpy as np
import pytest
from PIL import Image

from jaxcl.config import (
    ConfigError,
    DataConfig,
    ModelConfig,
    ObjectiveConfig,
    TrainConfig,
)
from jaxcl.data import open_data
from jaxcl.experiment import fit_columns, make_experiment
from jaxcl.training import make_devices

HEADER = "path,label,floor,age,size,day,dose,patient,city,note,old,blank"
ROWS = [
    '{}.png,3,-1,,"20,5",2024-01-05,0.5,3000000001,rome,x,true,',
    '{}.png,4,0,40,"20,5",2024-01-07,1.5,3000000002,oslo,y,false,2',
    '{}.png,4,-1,41,"21,5",2024-01-09,2.5,3000000001,rome,z,true,2',
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    for i in range(len(ROWS)):
        Image.new("RGB", (4, 4)).save(folder / f"{i}.png")
    table = folder.parent / "own.csv"
    rows = [row.format(i) for i, row in enumerate(ROWS)]
    table.write_text("\n".join([HEADER, *rows]))
    places = {"path": str(folder), "table": str(table), "data_dir": f"{folder}/data"}
    return open_data(DataConfig(**places, batch_size=3, image_size=4, test_splits=()))


def in_order(split, column):
    """Values in the order of the table."""
    return split.values(column)[np.argsort(split.instances())].tolist()


def numbers(*columns):
    return ObjectiveConfig("y_aware", metadata=columns)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("size", "line 2: '20,5' has a comma"),
        ("patient", "line 3: 3000000002 is beyond 32 bits: subtract"),
        ("city", "line 2: 'rome' is no number"),
        ("note", "line 2: 'x' is no number"),
        ("label", "a column named 'label' holds classes"),
        ("instance", "its values are names or ids"),
        ("agge", "batches have no column of this name; they have label, instance, "),
    ],
)
def test_what_is_no_number_is_refused_by_name_and_place(data, column, reason):
    match = (
        f"`objective.metadata` must be a column of numbers, got '{column}': {reason}"
    )
    with pytest.raises(ConfigError, match=match):
        fit_columns(numbers("age", column), data)


def test_numbers_dates_and_whole_numbers_are_numbers(data):
    kept = fit_columns(numbers("age", "day", "dose", "floor"), data)
    assert in_order(kept.train, "floor") == [-1, 0, -1]
    assert np.diff(in_order(kept.train, "day")).tolist() == [2, 2]


def test_truths_are_0_and_1_where_numbers_are_needed(data):
    kept = fit_columns(numbers("old"), data).train
    assert kept.values("old").dtype == np.float32
    assert in_order(kept, "old") == [1.0, 0.0, 1.0]
    features = ObjectiveConfig("soft_bias_contrastive", metadata=("floor", "old"))
    kept = fit_columns(features, data).train
    assert {kept.values(name).dtype for name in ("floor", "old")} == {np.dtype("f4")}


def test_minus_one_is_an_id_where_a_relation_takes_ids(data):
    pairs = ObjectiveConfig("pairwise", positives="same(floor) & same(blank)")
    kept = fit_columns(pairs, data).train
    assert in_order(kept, "floor") == [0, 1, 0]
    assert kept.names["floor"] == ("-1", "0")
    assert in_order(kept, "blank") == [-1, 0, 0]


@pytest.mark.parametrize(
    ("positives", "match"),
    [
        ("rbf(city, bandwidth=1)", "`objective.positives` must be a column of numbers"),
        (
            "same(note)",
            "column of ids, got 'note': it holds texts, of which `data.meta",
        ),
        ("same(floor) & within(floor, 1)", "'floor' must be numbers or ids .* both"),
        (
            "different(town)",
            "`objective.positives` .* ids, got 'town': batches have no",
        ),
    ],
)
def test_a_relation_reads_columns_of_its_kind(data, positives, match):
    with pytest.raises(ConfigError, match=match):
        fit_columns(ObjectiveConfig("pairwise", positives=positives), data)


def test_levels_are_ids(data):
    levels = ObjectiveConfig("hierarchical_supcon", metadata=("city", "floor"))
    assert fit_columns(levels, data).train.kind("floor") == "category"


def test_a_run_is_refused_before_its_first_step(data):
    model = ModelConfig(encoder="mlp")
    config = TrainConfig(data=data.config, objective=numbers("size"), model=model)
    with pytest.raises(ConfigError, match="line 2: '20,5' has a comma"):
        make_experiment(config, make_devices("pmap", jax.devices()[:1]))
