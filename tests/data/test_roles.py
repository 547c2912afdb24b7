"""Columns as ids and numbers: of the user's own tables, and of stored data sets."""

import dataclasses
import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxcl.config import DataConfig, SelectionConfig
from jaxcl.data import DataError, open_data, open_split


@pytest.fixture
def own(tmp_path):
    """The config of a folder with a table, from its header and rows."""

    def write(header, rows, **fields):
        folder = tmp_path / "photos"
        folder.mkdir(exist_ok=True)
        lines = [f"path,{header}"]
        for i, row in enumerate(rows):
            Image.new("RGB", (4, 4), (i, 0, 0)).save(folder / f"{i:02d}.png")
            lines.append(f"{i:02d}.png,{row}")
        table = tmp_path / "table.csv"
        table.write_text("\n".join(lines))
        places = {"path": str(folder), "table": str(table)}
        defaults = {"data_dir": str(tmp_path), "batch_size": 2, "test_splits": ()}
        return DataConfig(**{**places, **defaults, "image_size": 4, **fields})

    return write


def first_batch(config):
    """All samples, in the order of the table."""
    data = open_data(dataclasses.replace(config, batch_size=len(open_all(config))))
    batch = next(data.batches(0, 1))
    order = np.argsort(batch.instance)
    sides = {"label": batch.label, "domain": batch.domain, **batch.metadata}
    return data.train, {k: v[order] for k, v in sides.items() if v is not None}


def in_order(split, role="domain"):
    """Values in the order of the table."""
    return split.values(role)[np.argsort(split.instances())].tolist()


def open_all(config):
    return open_split(config, "train")


@pytest.mark.parametrize(
    ("cells", "names", "ids"),
    [
        ("-2 1 -1 0 -2", "-2 -1 0 1", [0, 3, 1, 2, 0]),
        ("20240102 20240101 20240102", "20240101 20240102", [1, 0, 1]),
        ("10 9 10 -5000000000", "-5000000000 9 10", [2, 1, 2, 0]),
        ("7  7.0 NA 3", "3 7", [1, -1, 1, -1, 0]),
        ("2024-02-29 1969-12-31 2024-02-29", "1969-12-31 2024-02-29", [1, 0, 1]),
        ("2024-02-29  1969-12-31", "1969-12-31 2024-02-29", [1, -1, 0]),
        ("true FALSE true", "false true", [1, 0, 1]),
        ("b a  c", "a b c", [1, 0, -1, 2]),
    ],
)
def test_a_role_is_contiguous_ids_in_the_order_of_its_names(own, cells, names, ids):
    config = own("label,key", [f"x,{cell}" for cell in cells.split(" ")], domain="key")
    split, batch = first_batch(config)
    assert split.names["domain"] == tuple(names.split(" "))
    assert batch["domain"].tolist() == ids
    assert batch["domain"].dtype == np.int32


def test_fractions_are_no_domains(own):
    config = own("label,dose", ["x,1", "x,2.5"], domain="dose")
    with pytest.raises(
        DataError, match=r"'dose' must be whole .* got 2.5: make classes"
    ):
        open_all(config)


def test_the_type_of_a_column_does_not_depend_on_the_batch(own):
    rows = [f"x,{'' if i == 5 else i},{i},{i / 2 if i else 0}" for i in range(6)]
    data = open_data(own("label,age,count,dose", rows))
    for batch in data.batches(0, 6):
        kinds = {name: values.dtype for name, values in batch.metadata.items()}
        assert kinds == {"age": np.float32, "count": np.int32, "dose": np.float32}


def test_ids_of_all_splits_of_a_run_are_in_one_order(own):
    rows = ["x,100,train", "y,30,train", "x,7,test", "y,100,test"]
    config = own("label,day,split", rows, domain="day", test_splits=("test",))
    data = open_data(config)
    assert data.train.names["domain"] == ("7", "30", "100")
    assert in_order(data.train) == [2, 1]
    assert data.tests["test"].names["domain"] == ("7", "30", "100")
    assert in_order(data.tests["test"]) == [0, 2]


def test_domains_are_held_out_by_the_names_of_their_numbers(own):
    chosen = SelectionConfig(held_out_domains=("-1", "2024"))
    rows = ["x,-1", "x,5", "x,2024.0", "x,5", "x,6"]
    data = open_data(own("label,floor", rows, domain="floor", selection=chosen))
    assert sorted(data.instances[data.selection.held_out]) == [0, 2]


def test_a_label_of_numbers_is_there_as_numbers_too(own):
    split, batch = first_batch(own("age", ["30", "-1", "60"], label="age"))
    assert split.names["label"] == ("-1", "30", "60")
    assert batch["label"].tolist() == [1, 0, 2]
    assert batch["age"].tolist() == [30, -1, 60]


def test_a_column_with_the_name_of_a_role_does_not_replace_it(own, caplog):
    rows = ["a,y,7", "b,x,8", "a,x,9"]
    config = own("domain,hospital,label", rows, domain="hospital")
    split, batch = first_batch(config)
    assert split.names["domain"] == ("x", "y")
    assert batch["domain"].tolist() == [1, 0, 0]
    assert split.metadata == ()
    assert "columns 'domain' are in no batch" in caplog.text
    with pytest.raises(DataError, match="must not name 'domain', which is the domain"):
        open_all(dataclasses.replace(config, metadata=("domain",)))


def test_a_product_takes_the_names_of_its_columns(own):
    rows = ["p,a,y", "p,b,x", "q,a,x"]
    config = own("label,domain,hospital", rows, domain="hospital", bias="domain*label")
    split = open_all(config)
    assert split.names["bias"] == ("a * p", "a * q", "b * p", "b * q")
    assert in_order(split, "bias") == [0, 2, 1]
    assert split.names["domain"] == ("x", "y")


def test_a_wrong_column_is_answered_with_all_columns(own):
    config = own("label,hospital,age", ["x,a,1"], domain="hopital")
    match = "'hopital'; did you mean `hospital`. Known are `age`, `hospital`, `image`,"
    with pytest.raises(DataError, match=match):
        open_all(config)


def test_an_instance_must_be_a_whole_number(own):
    with pytest.raises(DataError, match=r"`data.instance` must .* numbers, got 'note'"):
        open_all(own("label,note", ["x,a", "x,b"], instance="note"))


class Wide(tfds.core.GeneratorBasedBuilder):
    """Six images with whole numbers of 64 bits."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        whole = tfds.features.Scalar(np.int64)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(4, 4, 3)),
                    "label": whole,
                    "patient": whole,
                    "celsius": whole,
                    "visits": tfds.features.Scalar(np.uint32),
                    "corner": tfds.features.Tensor(shape=(2,), dtype=np.int64),
                }
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(6):
            file = io.BytesIO()
            Image.new("RGB", (4, 4)).save(file, "png")
            yield (
                i,
                {
                    "image": io.BytesIO(file.getvalue()),
                    "label": (20240101, -1, -7)[i % 3],
                    "patient": 3_000_000_001 + i // 2 if i else -1,
                    "celsius": -i,
                    "visits": 2**31 - 1 - i,
                    "corner": [i, -(2**31)],
                },
            )


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide")
    Wide(data_dir=folder, file_format="array_record").download_and_prepare()
    return DataConfig(name="wide", data_dir=str(folder), batch_size=2, test_splits=())


def test_stored_whole_numbers_fit_32_bits_or_are_ids(wide):
    split, batch = first_batch(wide)
    assert split.names["label"] == ("-7", "20240101")
    assert batch["label"].tolist() == [1, -1, 0, 1, -1, 0]
    assert split.names["patient"] == ("3000000001", "3000000002", "3000000003")
    assert batch["patient"].tolist() == [-1, 0, 1, 1, 2, 2]
    assert batch["celsius"].tolist() == [0, -1, -2, -3, -4, -5]
    assert batch["visits"].tolist() == [2**31 - 1 - i for i in range(6)]
    assert batch["corner"].tolist() == [[i, -(2**31)] for i in range(6)]
    assert {values.dtype for values in batch.values()} == {np.dtype(np.int32)}
    assert split.kind("patient") == "category"
    assert split.types.no_number["patient"] == "3000000003 is beyond 32 bits"
