"""What the cells of a table are taken for, and what is refused with its place."""

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
import tensorflow_datasets as tfds
from pyarrow import parquet

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
        (("-1", "0", "2147483647"), np.int32, [-1, 0, 2**31 - 1]),
        (("3.0", "4.00", "1e3"), np.int32, [3, 4, 1000]),
        (("1970-01-02", "2024-02-29"), np.int32, [1, 19782]),
        (("2024-02-29 00:00", "1970-01-01T00:00:00"), np.int32, [19782, 0]),
        (("1970-01-02 12:00", "1969-12-31T18:00"), np.float32, [1.5, -0.25]),
        (("1970-01-01T02:00+02:00", "1970-01-01T06:00Z"), np.float32, [0.0, 0.25]),
        (("3", "0.5", "1e3", ".5", "7."), np.float32, [3.0, 0.5, 1000.0, 0.5, 7.0]),
        (("true", "FALSE", "True"), np.bool_, [True, False, True]),
    ],
)
def test_numbers_and_truths_stay_what_they_are(tmp_path, cells, dtype, values):
    found = column(tmp_path, "a", *cells)
    assert type(found.feature) is tfds.features.Scalar
    assert found.feature.np_dtype == dtype
    assert found.values == values


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (("0.5", "", "nan"), [0.5, np.nan, np.nan]),
        (("16777216", "NA", "-1"), [2.0**24, np.nan, -1]),
        (("1970-01-03", "None", ""), [2, np.nan, np.nan]),
    ],
)
def test_an_unknown_number_is_nan(tmp_path, cells, values):
    found = column(tmp_path, "a", *cells)
    assert found.feature.np_dtype == np.float32
    np.testing.assert_array_equal(found.values, values)


PANDAS = "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL"


@pytest.mark.parametrize("name", ["age", "label", "domain", "city"])
def test_the_same_words_are_missing_in_every_column(tmp_path, name):
    known = ["rome", "rome"] if name == "city" else ["1", "2"]
    words = ["", *PANDAS.split("|"), "NaN", "None", "n/a", "nan", "null"]
    found = column(tmp_path, name, *known, *words)
    if name == "age":
        assert found.values[:2] == [1, 2]
        assert all(map(math.isnan, found.values[2:]))
    else:
        assert found.values[2:] == [-1] * len(words)
        assert len(found.feature.names) == len(set(known))


def test_other_words_for_missing_replace_the_table(tmp_path):
    file = csv_of(tmp_path, "path,a,label", "x.png,-999.0,NA", "y.png,3,", "z.png,4,b")
    table = read_table(file, missing=["-999"])
    np.testing.assert_array_equal(table.columns["a"].values, [np.nan, 3, 4])
    assert table.columns["label"].feature.names == ["NA", "b"]
    assert table.columns["label"].values == [0, -1, 1]
    lines = ['{"path": "x", "a": -999}', '{"path": "y", "a": 1}']
    file = csv_of(tmp_path, *lines, suffix="jsonl")
    values = read_table(file, missing=["-999"]).columns["a"].values
    np.testing.assert_array_equal(values, [np.nan, 1])


@pytest.mark.parametrize(
    ("cells", "names", "reason"),
    [
        (
            ("3000000002", "3000000001", "", "3000000002"),
            ["3000000001", "3000000002"],
            "line 2: 3000000002 is beyond 32 bits",
        ),
        (("-2147483649", "7"), ["-2147483649", "7"], "line 2: -2147483649 is beyond"),
        (("9007199254740993.0", f"{2**53}"), [f"{2**53}", f"{2**53 + 1}"], "line 2"),
        (("16777217", "", "5"), ["5", "16777217"], "line 2: 16777217 is beyond 2^24"),
        (("1700000000.5", "1700000000.5", "1700000000.25"), None, "differ by too lit"),
        (("1e300", "0.5", "0.5"), ["0.5", "1e300"], "too large"),
    ],
)
def test_what_32_bits_cannot_keep_is_a_name(tmp_path, cells, names, reason):
    found = column(tmp_path, "a", *cells)
    names = names or ["1700000000.25", "1700000000.5"]
    assert found.feature.names == names
    assert [names[i] if i >= 0 else "" for i in found.values] == [
        cell.removesuffix(".0") for cell in cells
    ]
    assert reason in found.no_number


def test_fine_steps_far_from_zero_are_kept_or_refused(tmp_path):
    """Days as float32 tell 6 h of 2024 apart, but not 10 s."""
    hours = [f"2024-01-{d:02d}T{h:02d}:00" for d in range(1, 5) for h in (0, 6, 12, 18)]
    found = column(tmp_path, "a", *hours)
    kept = np.asarray(found.values, np.float32)
    np.testing.assert_allclose(np.diff(kept), 0.25, atol=2 * 84 / 86400)
    seconds = [f"2024-01-01T00:00:{10 * i:02d}" for i in range(6)]
    assert "differ by too little" in column(tmp_path, "a", *seconds).no_number
    # All differ in float32, whose steps of 169 s are a tenth of their range.
    minutes = [f"2024-01-01T00:{4 * i:02d}" for i in range(8)]
    assert "differ by too little" in column(tmp_path, "a", *minutes).no_number
    # A year is wide enough, but two times in it are one in float32.
    twins = ("2024-01-01 10:00", "2024-12-01 10:00:00", "2024-12-01 10:00:10")
    assert "differ by too little" in column(tmp_path, "a", *twins).no_number
    # Noise of a computation is no information.
    noise = column(tmp_path, "a", "0.3", "0.30000000000000004", "1.5")
    assert noise.feature.np_dtype == np.float32


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (("20,5", "20,5"), "line 2: '20,5' has a comma"),
        (("20", "21", "20,5"), "line 4: '20,5' has a comma"),
        (("1 234", "1 234"), "line 2: '1 234' has a space"),
        (("12", "12 kg"), "line 3: '12 kg' has more than a number"),
        (("12", "007"), "line 3: '007' is a name, as no number begins with 0"),
        (("31.12.2024", "31.12.2024"), "line 2: '31.12.2024' is no date such as"),
        (("12/31/2024", "12/31/2024"), "line 2: '12/31/2024' is no date such as"),
        (("2024-02-30", "2024-02-28"), "line 2: '2024-02-30' is no date such as"),
        (("2024-02-03", "3.2.24"), "line 3: '3.2.24' is no date such as"),
        (("1", "2", "2024-02-03"), "line 4: '2024-02-03' is a date, where others"),
        (("2024-02-03T10:00Z", "2024-02-03T10:00"), "line 2: '2024-02-03T10:00Z' is"),
        (("0.5", "inf", "-inf"), "line 3: 'inf' is not finite"),
        (("old", "1"), "line 2: 'old' is no number"),
        (("true", "1"), "line 2: 'true' is no number"),
    ],
)
def test_a_column_of_words_says_why_it_is_no_number(tmp_path, cells, reason):
    quoted = [f'"{cell}"' for cell in cells]
    # Words that occur once are texts, which nothing takes for ids.
    found = column(tmp_path, "a", *quoted, *quoted)
    assert len(found.feature.names) == len(set(cells))
    assert found.no_number.startswith(reason)


def test_numbers_with_few_words_among_them_are_logged(tmp_path, caplog):
    column(tmp_path, "age", "30", "40", "50", "unknown")
    assert "'age'" in caplog.text
    assert "line 5: 'unknown' is no number" in caplog.text
    assert "data.missing" in caplog.text


@pytest.mark.parametrize("name", ["label", "domain", "kind"])
def test_a_value_is_one_class_however_it_is_written(tmp_path, name):
    cells = ("3", "3.0", "+3", "True", "TRUE", "true", "x", "007", "7", "x", "1e3")
    found = column(tmp_path, name, *cells, "1000")
    names = [found.feature.names[i] for i in found.values]
    assert names == [*"333", "true", "true", "true", "x", "007", "7", "x", *NAMES]


NAMES = ("1e3", "1000")


@pytest.mark.parametrize(
    ("name", "cells", "names", "values"),
    [
        # é is one letter, or e and an accent.
        ("a", ("caf\u00e9", "cafe\u0301", "x", "x"), ["caf\u00e9", "x"], [0, 0, 1, 1]),
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
    lines = ('\ufeffpath,"a b",', '"x, y.png", 1,', "", "z.png,2,", ",,", " , ,", "")
    file = csv_of(tmp_path, *lines)
    table = read_table(file)
    assert table.paths == ["x, y.png", "z.png"]
    assert table.columns["a b"].values == [1, 2]
    assert table.rows == ["line 2", "line 4"]


REFUSED = {
    "a,b\n1,2": "must have a column `path`.* it has a, b",
    "path;a\nx.png;1": "line 1: must have commas .* got semicolons \\(';'\\): 'path;a'",
    "path\ta\nx.png\t1": "line 1: must have commas .* got tabs",
    "x.png,cat\ny.png,dog": "its first line must name the columns, got x.png, cat",
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
    "path,split\nx.png,my train": "line 2: split 'my train' must be letters",
    "path,split\nx.png,all": "line 2: split 'all'",
    "path,split\nx.png,train\ny.png,Train": "'Train' and 'train' are one split",
    "path,split\nx.png,val\ny.png,valid": "'valid' and 'val' are one split",
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
    assert found.no_number == "line 1: '5' is a text, in quotes"


def test_json_says_what_is_missing_and_when_it_was(tmp_path):
    lines = [
        '{"path": "x", "a": "NA", "t": "1970-01-03", "m": 1, "f": NaN}',
        '{"path": "y", "a": null, "t": "1970-01-02", "m": "b", "f": 3.0}',
        '{"path": "z", "a": 7, "t": "1970-01-01", "m": true, "f": 1}',
    ]
    found = read_table(
        csv_of(tmp_path, "\ufeff" + lines[0], *lines[1:], suffix="jsonl")
    )
    np.testing.assert_array_equal(found.columns["a"].values, [np.nan, np.nan, 7])
    np.testing.assert_array_equal(found.columns["f"].values, [np.nan, 3, 1])
    assert found.columns["t"].values == [2, 1, 0]
    assert found.columns["m"].values == ["1", "b", "True"]


def test_parquet_keeps_its_kinds_and_refuses_others(tmp_path):
    file = tmp_path / "table.parquet"
    day, noon = dt.date(1970, 1, 3), dt.datetime(1970, 1, 1, 12)
    columns = {
        "path": ["x", "y", "z"],
        # Other programs make 3 to 3.0 where a label is missing.
        "label": [3.0, None, 12.0],
        "weight": [1, None, 3],
        "old": [True, False, True],
        "big": pa.array([2**63, 1, 2**63], pa.uint64()),
        "exact": [Decimal("2.50"), Decimal("7"), Decimal("-1.25")],
        "day": [day, None, day],
        "time": pa.array([noon] * 3, pa.timestamp("ns")),
        "zone": pa.array([noon] * 3, pa.timestamp("ms", "UTC")),
        "kind": pa.array(["b", "a", "b"]).dictionary_encode(),
        "gone": [math.nan, 2.0, None],
    }
    parquet.write_table(pa.table(columns), file)
    found = read_table(file).columns
    assert found["label"].feature.names == ["3", "12"]
    assert found["label"].values == [0, -1, 1]
    assert found["big"].feature.names == ["1", f"{2**63}"]
    expected = {
        "weight": [1, np.nan, 3],
        "old": [True, False, True],
        "exact": [2.5, 7, -1.25],
        "day": [2, np.nan, 2],
        "time": [0.5, 0.5, 0.5],
        "zone": [0.5, 0.5, 0.5],
        "kind": [1, 0, 1],
        "gone": [np.nan, 2, np.nan],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].values, values)
    parquet.write_table(pa.table({"path": ["x"], "t": [[1]]}), file)
    with pytest.raises(DataError, match="column 't', row 1: holds a list"):
        read_table(file)
    file.write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"table\.parquet' cannot be read"):
        read_table(file)


def test_files_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"must be one of \.csv, .* `CSV UTF-8`"):
        read_table(tmp_path / "table.xlsx")
    with pytest.raises(DataError, match=r"cannot be read: .*No such file"):
        read_table(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    ("encoding", "line", "guess"), [("latin-1", 2, "Latin-1"), ("utf-16", 1, "UTF-16")]
)
def test_other_encodings_are_named(tmp_path, encoding, line, guess):
    file = tmp_path / "table.csv"
    file.write_bytes("path,a\nx.png,é\n".encode(encoding))
    match = f"line {line}: must be encoded as UTF-8, .* looks like {guess}"
    with pytest.raises(DataError, match=match):
        read_table(file)


def test_a_class_that_is_named_as_missing_values_are_is_noted(tmp_path, caplog):
    rows = ["a.png,None", "b.png,tumor", "c.png,"]
    read_table(csv_of(tmp_path, "path,label", *rows))
    assert "1 of 3 cells are unknown, as 'None' stands for a missing" in caplog.text
