"""What the cells of a table are taken for, and what is refused with its place."""

import math

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxcl.data import DataError
from jaxcl.data._builders._folder_table import read_table


def csv_of(tmp_path, *lines, suffix="csv"):
    file = tmp_path / f"table.{suffix}"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def column(tmp_path, name, *cells):
    """The column of a CSV whose cells are these, as it is stored."""
    rows = [f"{i}.png,{cell}" for i, cell in enumerate(cells)]
    table = read_table(csv_of(tmp_path, f"path,{name}", *rows))
    return table.columns[name]


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (("3", "-4", "+5"), np.int32, [3, -4, 5]),
        (("3", "", "0"), np.int32, [3, -1, 0]),
        (("3", "2147483648"), np.int64, [3, 2**31]),
        (("3", "0.5", "1e3", ".5", "7."), np.float32, [3.0, 0.5, 1000.0, 0.5, 7.0]),
        (("true", "FALSE", "True"), np.bool_, [True, False, True]),
    ],
)
def test_numbers_and_truths_stay_what_they_are(tmp_path, cells, dtype, values):
    found = column(tmp_path, "a", *cells)
    assert type(found.feature) is tfds.features.Scalar
    assert found.feature.np_dtype == dtype
    assert found.values == values


def test_an_unknown_number_is_nan(tmp_path):
    values = column(tmp_path, "a", "0.5", "", "nan").values
    assert values[0] == 0.5
    assert [math.isnan(value) for value in values[1:]] == [True, True]


@pytest.mark.parametrize(
    ("name", "cells", "names", "values"),
    [
        ("a", ("x", "b", "x", ""), ["b", "x"], [1, 0, 1, -1]),
        # Codes keep their zeros, and are no numbers.
        ("a", ("120", "007", "007"), ["007", "120"], [1, 0, 0]),
        ("a", ("true", "", "false"), ["false", "true"], [1, -1, 0]),
        ("label", ("10", "9", "", "9"), ["9", "10"], [1, 0, -1, 0]),
        ("domain", ("1.5", "-2", "x"), ["-2", "1.5", "x"], [1, 0, 2]),
        ("label", ("a", "b", "c"), ["a", "b", "c"], [0, 1, 2]),
    ],
)
def test_words_become_categories_with_sorted_names(
    tmp_path, name, cells, names, values
):
    found = column(tmp_path, name, *cells)
    assert found.feature.names == names
    assert found.values == values


def test_words_that_are_all_different_are_texts(tmp_path):
    found = column(tmp_path, "note", "fine", "blurred, a bit"[:7], "")
    assert isinstance(found.feature, tfds.features.Text)
    assert found.values == ["fine", "blurred", ""]


def test_quotes_marks_and_blank_lines_of_a_csv_are_read(tmp_path):
    file = csv_of(tmp_path, '\ufeffpath,"a b"', '"x, y.png", 1', "", "z.png,2", "")
    table = read_table(file)
    assert table.paths == ["x, y.png", "z.png"]
    assert table.columns["a b"].values == [1, 2]
    assert table.rows == ["line 2", "line 4"]


REFUSED = {
    "a,b\n1,2": "must have a column `path`.* it has a, b",
    "path;a\nx.png;1": "must have a column `path`.* it has path;a",
    "path,\nx.png,1": "column 2 \\(''\\) has no name",
    "path,a,a\nx.png,1,2": "column 3 \\('a'\\) is there twice",
    "path,image\nx.png,1": "column 2 \\('image'\\) has a name that is taken",
    "path,a.b\nx.png,1": "column 2 \\('a.b'\\) must have a name without",
    "path,a\nx.png,1\ny.png,1,2": "line 3: has 3 fields, the header has 2",
    'path,a\n"x.png,1': "line 2: unexpected end of data",
    "path,a": "has no rows",
    "": "must have a column `path`",
    "path,a\n,1": "column 'path', line 2: must be a word, got None",
    "path,a\nx.png,\ny.png,": "column 'a' is empty",
    "path,a\nx.png,1\ny.png,old": (
        "column 'a', line 2: holds a number \\(1.0\\), line 3 a word \\('old'\\)"
    ),
    "path,a\nx.png,true\ny.png,1": "line 2: holds a word .*, line 3 a number",
    "path,a\nx.png,-1\ny.png,": "line 2: -1 would mean unknown, as in line 3",
    f"path,a\nx.png,{2**63}": "line 2: 9223372036854775808 is too large",
    "path,a\nx.png,1e300\ny.png,1": "line 2: 1e\\+300 is too large",
    "path,split\nx.png,my train": "line 2: split 'my train' must be letters",
    "path,split\nx.png,all": "line 2: split 'all'",
    "path,split\nx.png,": "column 'split', line 2: must be a word, got None",
    "path,instance\nx.png,7\ny.png,7": "line 3: 7 is there already, in line 2",
    "path,instance\nx.png,\ny.png,7": "line 2: must be in",
    "path,instance\nx.png,one": "line 2: must be in",
    'path,label\nx.png,"a\nb"': "line 3: must not have more than one line",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_clear_is_refused_with_its_place(tmp_path, text):
    with pytest.raises(DataError, match=REFUSED[text]) as caught:
        read_table(csv_of(tmp_path, text))
    assert "table.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"path": "x.png"}', "{"], "line 2: is no JSON"),
        (['["x.png"]'], "line 1: must be"),
        (['{"path": "x.png", "a": [1]}'], "line 1: holds a list"),
        (['{"path": "x", "a": 1}', '{"path": "y", "a": "b"}'], "line 2 a word"),
        (['{"path": "x", "a": 1}', '{"path": "y", "a": true}'], "line 2 a truth"),
        (['{"path": 3}'], "column 'path', line 1: must be a word, got 3"),
        ([""], "must have a column `path`"),
    ],
)
def test_wrong_lines_of_json_are_refused(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        read_table(csv_of(tmp_path, *lines, suffix="jsonl"))


def test_strings_of_json_are_words_even_where_they_look_like_numbers(tmp_path):
    lines = ['{"path": "x", "a": "5"}', '{"path": "y", "a": "5"}', '{"path": "z"}']
    found = read_table(csv_of(tmp_path, *lines, suffix="jsonl")).columns["a"]
    assert found.feature.names == ["5"]
    assert found.values == [0, 0, -1]


def test_parquet_keeps_its_kinds_and_refuses_others(tmp_path):
    import datetime

    import pyarrow as pa
    from pyarrow import parquet

    file = tmp_path / "table.parquet"
    columns = {
        "path": ["x", "y", "z"],
        # Other programs make 3 to 3.0 where a label is missing.
        "label": [3.0, None, 12.0],
        "weight": [1, None, 3],
        "old": [True, False, True],
    }
    parquet.write_table(pa.table(columns), file)
    found = read_table(file).columns
    assert found["label"].feature.names == ["3", "12"]
    assert [found[name].values for name in ("label", "weight", "old")] == [
        [0, -1, 1],
        [1, -1, 3],
        [True, False, True],
    ]
    parquet.write_table(
        pa.table({"path": ["x"], "t": [datetime.date(2020, 1, 1)]}), file
    )
    with pytest.raises(DataError, match="column 't', row 1: holds a date"):
        read_table(file)
    file.write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"table\.parquet' cannot be read"):
        read_table(file)


def test_files_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"must be one of \.csv, \.jsonl, \.parquet"):
        read_table(tmp_path / "table.xlsx")
    with pytest.raises(DataError, match=r"cannot be read: .*No such file"):
        read_table(tmp_path / "missing.csv")
    (tmp_path / "latin.csv").write_bytes(b"path,a\nx.png,\xe9\n")
    with pytest.raises(DataError, match=r"cannot be read: .*utf-8"):
        read_table(tmp_path / "latin.csv")
