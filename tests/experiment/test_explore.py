"""The page of embeddings shows each image with what is known of it."""

import base64
import io
import json
import sys

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from small_runs import small

import jaxcl
from jaxcl.cli import main
from jaxcl.config import ConfigError, ModelConfig
from jaxcl.data import open_data, read_images
from jaxcl.experiment import explore_run
from jaxcl.experiment._explore_columns import describe_columns

pytest.importorskip("bokeh")

HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture(autouse=True)
def without_umap(monkeypatch):
    # It compiles for a minute.
    monkeypatch.setitem(sys.modules, "umap", None)


def data_of(page):
    text = page.read_text()
    start = text.index('id="data">') + len('id="data">')
    return json.loads(text[start : text.index("</script>", start)])


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def picture(i, size=8):
    return np.random.default_rng(i).integers(0, 255, (size, size, 3), np.uint8)


@pytest.fixture
def file(tmp_path):
    """A table of twelve images, of which one is lost and one lies elsewhere."""
    rows = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    paths = [f"{i:02}.png" for i in range(12)]
    for i in range(11):
        Image.fromarray(picture(i)).save(tmp_path / paths[i])
    Image.fromarray(picture(0)).save(tmp_path.parent / "outside.png")
    paths[10] = "../outside.png"
    columns = {
        "path": paths,
        "instance": np.arange(12),
        "label": [HOSTILE if i % 2 else "b" for i in range(12)],
        "age": [None, np.nan, *range(10)],
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 4),
    }
    parquet.write_table(pa.table(columns), tmp_path / "all.parquet")
    return tmp_path / "all.parquet", rows


def test_a_file_of_embeddings_becomes_a_page(file, capsys):
    source, rows = file
    main(["explore", str(source)])
    assert "all.html: 12 images, 1." in capsys.readouterr().out
    page = source.with_suffix(".html")
    found = data_of(page)
    assert found["origin"][-1] == "2 images were not found"
    assert [image is None for image in found["images"]] == [False] * 10 + [True] * 2
    # Enlarged by whole pixels.
    shown = decoded(found["images"][3])
    np.testing.assert_array_equal(shown[3::6, 3::6], picture(3))
    for i, near in enumerate(found["neighbors"]):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        cosines = [(-(unit[i] @ unit[j]), j) for j in range(12) if j != i]
        assert near == [j for _, j in sorted(cosines)[:5]]
    (place,) = found["maps"].values()
    assert np.shape(place) == (2, 12)
    label, age = found["columns"][:2]
    assert [label["levels"][i] for i in label["values"][:2]] == ["b", HOSTILE]
    assert age["values"] == [None, None, *range(10)]
    assert HOSTILE not in page.read_text()


def test_few_images_are_drawn_evenly(file):
    source, _ = file
    out = source.parent / "few.html"
    assert explore_run(source, out, most=4, quiet=True) == 4
    found = data_of(out)
    assert sorted(found["columns"][0]["values"]) == [0, 0, 1, 1]
    assert found["origin"][0] == "4 of 12 images"


def test_a_run_shows_the_images_of_its_splits(tmp_path):
    config = small(
        num_steps=1,
        eval_every=0,
        data__name="colored_digits/rho_0.9",
        model=ModelConfig(encoder="mlp", width=8, stages=1, head_layers=0),
    )
    jaxcl.train(config, tmp_path, quiet=True)
    main(["explore", str(tmp_path), "--max", "60", "--quiet"])
    found = data_of(tmp_path / "explore.html")
    assert len(found["images"]) == 60 and None not in found["images"]
    opened = open_data(config.data, config.seed)
    splits = {one.name: one for one in (opened.train, *opened.tests.values())}
    words = {
        column["name"]: [
            column["levels"][i] if "levels" in column else i for i in column["values"]
        ]
        for column in found["columns"]
    }
    for i, uri in enumerate(found["images"]):
        split = splits[words["split"][i]]
        shown = decoded(uri)[1::3, 1::3]
        names = split.names["domain"]
        # The same digit is in the split in several colors, under one instance.
        (row,) = [
            row
            for row in np.flatnonzero(split.instances() == int(words["instance"][i]))
            if names[split.values("domain")[row]] == words["domain"][i]
        ]
        image = read_images(split.take(np.array([row])), opened.bad)[0]
        np.testing.assert_array_equal(shown, image)
        assert words["label"][i] == str(split.values("label")[row])


def test_columns_are_categories_numbers_or_texts():
    table = pa.table(
        {
            "path": [f"{i}.png" for i in range(6)],
            "bias": [10, 9, 10, 9, None, 9],
            "sick": [True, False, None, True, True, True],
            "empty": pa.nulls(6),
            "age": [1.5, float("nan"), float("inf"), 2.0, None, 0.1],
        }
    )
    found = {column["name"]: column for column in describe_columns(table)}
    assert list(found) == ["bias", "sick", "age", "path"]
    assert found["bias"]["levels"] == ["9", "10"]
    assert found["bias"]["values"] == [1, 0, 1, 0, None, 0]
    assert found["sick"]["levels"] == ["False", "True"]
    assert found["path"]["kind"] == "text"
    assert found["age"]["values"] == [1.5, None, None, 2.0, None, 0.1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"out": "a.htm"}, r"`out` must be a file \*\.html"),
        ({"most": 2}, "`most` must be at least 3"),
        ({"step": 3}, "must come with a run, got a file"),
    ],
)
def test_wrong_options_are_refused(file, options, words):
    with pytest.raises(ConfigError, match=words):
        explore_run(file[0], **{"out": "a.html", **options}, quiet=True)


def test_another_file_is_refused(tmp_path):
    file = tmp_path / "a.parquet"
    file.write_text("no table")
    with pytest.raises(ConfigError, match="must be a file that `jaxcl embed` wrote"):
        explore_run(file, tmp_path / "a.html", quiet=True)
    for columns in ({"a": [1, 2, 3]}, {"embedding": [1, 2, 3]}):
        parquet.write_table(pa.table(columns), file)
        with pytest.raises(ConfigError, match="embed"):
            explore_run(file, tmp_path / "a.html", quiet=True)
