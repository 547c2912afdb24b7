import hashlib
import json

import numpy as np
import pytest

from jaxcl.config import ConfigError, SelectionConfig
from jaxcl.data._selection import Selection, select
from jaxcl.data._selection_file import (
    check_selection,
    name_samples,
    read_selection,
    write_selection,
)

DOMAIN = np.random.RandomState(0).randint(0, 4, 1000)
INSTANCES = np.random.RandomState(1).permutation(50_000)[:1000]


def cut(**fields):
    columns = {"label": np.arange(1000) % 5, "domain": DOMAIN}
    names = ("art", "cartoon", "photo", "sketch")
    config = SelectionConfig(**fields)
    return select(config, size=1000, domain_names=names, **columns)


def test_what_was_written_is_read(tmp_path):
    chosen = cut(held_out_domains=("art",), validation_fraction=0.1, per_class=4)
    path = tmp_path / "selection.json"
    write_selection(path, chosen, INSTANCES)
    stored = read_selection(path)
    for name, rows in chosen._asdict().items():
        expected = sorted(INSTANCES[row] for row in rows)
        assert getattr(stored, name).tolist() == expected
    check_selection(stored, name_samples(chosen, INSTANCES))
    assert [file.name for file in tmp_path.iterdir()] == ["selection.json"]


def test_the_digest_is_that_of_the_list_as_it_is_written(tmp_path):
    none = np.empty(0, np.int64)
    path = tmp_path / "selection.json"
    write_selection(path, Selection(np.array([1, 0]), *[none] * 4), np.array([12, 7]))
    entry = json.loads(path.read_text())["train"]
    digest = hashlib.sha256(b"[7,12]").hexdigest()
    assert entry == {"count": 2, "sha256": digest, "instances": [7, 12]}


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "selection.json"
    write_selection(path, cut(), INSTANCES)
    before = path.read_bytes()

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_selection(path, cut(fraction=0.5), INSTANCES)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["selection.json"]


def test_a_file_that_was_changed_is_refused(tmp_path):
    path = tmp_path / "selection.json"
    write_selection(path, cut(held_out_domains=("art",)), INSTANCES)
    tree = json.loads(path.read_text())
    tree["held_out"]["instances"][0] += 1
    path.write_text(json.dumps(tree))
    with pytest.raises(ConfigError, match="changed: `held_out` has another digest"):
        read_selection(path)
    for text in ("", "[]", "{}", '{"train": 3}', path.read_text()[:-9], "\xff"):
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(ConfigError, match="is not one"):
            read_selection(path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_selection(tmp_path / "nowhere.json")


def test_sets_that_differ_are_named():
    stored = name_samples(cut(validation_fraction=0.1), INSTANCES)
    now = name_samples(cut(validation_fraction=0.1, fraction=0.9), INSTANCES)
    message = r"got `train` with 0 samples more and 90 missing, `labeled` with"
    with pytest.raises(ConfigError, match=message) as raised:
        check_selection(stored, now)
    assert "validation" not in str(raised.value)
