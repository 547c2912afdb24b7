import numpy as np
import pytest
from peers.equivalence import check_migration, find_missing, make_sample
from peers.migrations import MIGRATIONS, check_migrations


def name(migration):
    return f"{migration.ours.name}-{migration.library.name}"


@pytest.mark.parametrize("migration", MIGRATIONS, ids=name)
def test_a_loss_of_another_library_is_ours_as_the_table_says(migration):
    missing = find_missing(migration.library)
    if missing is not None:
        pytest.skip(f"{missing} is not installed; pip install 'jaxcl[bench]'")
    row = check_migration(migration, seeds=(0,))
    assert row["status"] == "equal", row


def test_a_definition_that_differs_is_found_out():
    first = MIGRATIONS[2]

    def scaled(u, v, sample, temperature):
        return 1.001 * first.their_loss(u, v, sample, temperature)

    def constant(u, v, sample, temperature):
        return 0.0 * first.their_loss(u, v, sample, temperature) / 0.0

    for wrong in (scaled, constant):
        row = check_migration(first._replace(their_loss=wrong), seeds=(0,))
        assert row["status"] == "different"


def test_a_missing_library_is_named_and_has_no_version(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("peers.migrations.MIGRATIONS", MIGRATIONS[:1])
    (row,) = check_migrations()
    assert (row["status"], row["reason"]) == ("not installed", "no torch")
    assert (row["library"], row["version"]) == ("lightly", "–")


def test_batches_have_unequal_classes_and_a_row_without_positive():
    sizes = np.bincount(make_sample(0, lonely_row=True).labels)
    assert len(set(sizes)) > 3
    assert sizes.min() == 1
    assert np.bincount(make_sample(0, lonely_row=False).labels).min() > 1
