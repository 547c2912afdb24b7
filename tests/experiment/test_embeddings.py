"""The embeddings of a run leave it as a table that names what is known."""

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from small_runs import last_state, small

import jaxcl
from jaxcl.cli import main
from jaxcl.config import ConfigError, ModelConfig
from jaxcl.experiment import embed_run, make_experiment
from jaxcl.runtime import find_workdir
from jaxcl.training import make_devices


def picture(i):
    return np.random.default_rng(i).integers(0, 255, (8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of forty images, and its table."""
    place = tmp_path_factory.mktemp("embed")
    rows = ["path,label,hospital,age,sick,note"]
    for i in range(40):
        Image.fromarray(picture(i)).save(place / f"{i:02}.png")
        label, hospital = "ab"[i % 2], ("north", "south", "")[i % 3]
        age = "" if i == 3 else 20.5 + i
        rows.append(f"{i:02}.png,{label},{hospital},{age},{i % 4 == 0},patient {i}")
    table = place.with_suffix(".csv")
    table.write_text("\n".join(rows))
    return place, table


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    """A run on them, which sees wrong hospitals and few labels."""
    folder, table = photos
    config = small(
        num_steps=1,
        eval_every=0,
        data__path=str(folder),
        data__table=str(table),
        data__image_size=8,
        data__domain="hospital",
        data__batch_size=8,
        data__train_split="train",
        data__test_splits=("validation",),
        data__selection__validation_fraction=0.25,
        data__selection__labeled_fraction=0.5,
        data__corruption__mode="shuffle",
        model=ModelConfig(encoder="mlp", width=16, stages=1, head_layers=0),
    )
    workdir = tmp_path_factory.mktemp("run")
    jaxcl.train(config, workdir, quiet=True)
    return workdir


def check(rows):
    """The rows are in the order of the paths, and say what the table says."""
    for i, row in enumerate(rows):
        assert row["path"] == f"{i:02}.png"
        assert row["label"] == "ab"[i % 2]
        hospital = ("north", "south", None)[i % 3]
        assert row["domain"] == row["hospital"] == hospital
        assert row["age"] == (None if i == 3 else 20.5 + i)
        assert row["sick"] == (i % 4 == 0)
        assert row["note"] == f"patient {i}"


def test_a_run_gives_its_splits_with_all_that_is_known(run, tmp_path):
    out = tmp_path / "deep" / "splits.parquet"
    embed_run(run, out, quiet=True)
    table = parquet.read_table(out)
    assert table.column_names[:3] == ["path", "instance", "split"]
    assert table.column_names[-1] == "embedding"
    splits = table["split"].to_pylist()
    assert (splits.count("train"), splits.count("validation")) == (30, 10)
    # True values, though the run saw others.
    check(table.to_pylist())


def test_the_embedding_is_that_of_the_encoder(run, photos, tmp_path):
    embed_run(run, tmp_path / "all.parquet", folder=photos[0], quiet=True)
    table = parquet.read_table(tmp_path / "all.parquet")
    assert table.num_rows == 40 and set(table["split"].to_pylist()) == {"train"}
    check(table.to_pylist())
    experiment = make_experiment(find_workdir(run)[1], make_devices())
    images = np.stack([picture(i) for i in range(40)])
    expected = experiment.encode(last_state(run), images.astype(np.float32) / 255)
    assert str(table["embedding"].type) == "fixed_size_list<element: float>[16]"
    found = np.array(table["embedding"].to_pylist())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_another_folder_is_embedded_at_the_size_of_the_run(run, tmp_path, capsys):
    for i in range(5):
        place = tmp_path / "new" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 30), (50 * i, 0, 0)).save(place / f"{i}.png")
    out = tmp_path / "new.parquet"
    main(["embed", str(run), str(tmp_path / "new"), "--out", str(out), "--quiet"])
    assert capsys.readouterr().out == ""
    table = parquet.read_table(out)
    assert table["label"].to_pylist() == ["a", "a", "a", "b", "b"]
    paths = ["a/0.png", "a/2.png", "a/4.png", "b/1.png", "b/3.png"]
    assert table["path"].to_pylist() == paths
    assert len(table["embedding"][0]) == 16
    # Without a folder, and said how many.
    main(["embed", str(run), "--out", str(out)])
    assert f"{out}: 40 rows, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"out": "a.csv"}, r"`out` must be a file \*\.parquet, got 'a\.csv'"),
        ({"table": "a.csv"}, "`table` must come with a folder"),
    ],
)
def test_wrong_files_are_refused_before_anything_is_opened(tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        embed_run(tmp_path, **{"out": "a.parquet", **options})
