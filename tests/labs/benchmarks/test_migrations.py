import importlib.util

import numpy as np
import pytest

from jaxcl.labs.benchmarks._equivalence import check_migration, make_sample
from jaxcl.labs.benchmarks._migrations import MIGRATIONS
from jaxcl.labs.benchmarks._ours import PendingError

INSTALLED = [
    migration
    for migration in MIGRATIONS
    if importlib.util.find_spec(migration.library.package)
]


def name(migration):
    return f"{migration.ours.name}-{migration.library.name}"


@pytest.mark.parametrize("migration", INSTALLED, ids=name)
def test_a_loss_of_another_library_is_ours_as_the_table_says(migration):
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


def test_what_is_missing_is_named():
    first = MIGRATIONS[2]
    library = first.library._replace(package="a_package_of_nobody")
    row = check_migration(first._replace(library=library))
    assert row["status"] == "not installed"

    def missing(u, v, sample, temperature):
        raise PendingError("not yet")

    row = check_migration(first._replace(ours=first.ours._replace(loss=missing)))
    assert (row["status"], row["reason"]) == ("pending", "not yet")


def test_batches_have_unequal_classes_and_a_row_without_positive():
    sizes = np.bincount(make_sample(0, lonely_row=True).labels)
    assert len(set(sizes)) > 3
    assert sizes.min() == 1
    assert np.bincount(make_sample(0, lonely_row=False).labels).min() > 1
