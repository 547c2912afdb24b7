import itertools

import numpy as np
import pytest

from jaxcl.config import ConfigError
from jaxcl.data._metadata import cross


def test_a_product_has_an_id_for_every_combination_in_order():
    names = [("a", "b"), ("x", "y", "z"), ("0", "1")]
    every = np.array(list(itertools.product(range(2), range(3), range(2))))
    ids, products = cross(list(every.T), names)
    assert ids.tolist() == list(range(12))
    assert ids.dtype == np.int32
    assert list(products) == [" * ".join(one) for one in itertools.product(*names)]


def test_ids_of_a_product_agree_between_splits():
    names = [("a", "b", "c"), ("x", "y")]
    here, names_here = cross([np.array([2, 0]), np.array([0, 1])], names)
    there, names_there = cross([np.array([2]), np.array([0])], names)
    assert here[0] == there[0]
    assert names_here == names_there


def test_a_missing_value_makes_the_product_missing():
    columns = [np.array([0, -1, 1, -1]), np.array([-1, 1, 1, -1])]
    assert cross(columns, [("a", "b"), ("x", "y")])[0].tolist() == [-1, -1, 3, -1]


def test_a_product_of_one_is_itself():
    for kind in (np.int8, np.int64, np.uint64):
        ids, names = cross([np.array([1, 0, 1], kind)], [("a", "b")])
        assert (ids.tolist(), names) == ([1, 0, 1], ("a", "b"))
        assert ids.dtype == np.int32


@pytest.mark.parametrize(
    ("columns", "names", "message"),
    [
        ([], [], "at least one, and have names each, got 0 with 0"),
        ([[0]], [("a",), ("b",)], "got 1 with 2"),
        ([[0, 1], [0]], [("a", "b")] * 2, r"`columns\[1\]` must be ids, one a sample"),
        ([[0, 2]], [("a", "b")], r"`columns\[0\]` must be ids below the 2 names"),
        ([[0, -2]], [("a", "b")], "or -1, got -2 to 0"),
        ([[0.5]], [("a",)], "must be ids, one a sample, got float64"),
        ([[0], [0]], [["a"] * 2000] * 2, "at most 1048576 combinations"),
    ],
)
def test_columns_that_have_no_product_are_refused(columns, names, message):
    with pytest.raises(ConfigError, match=message):
        cross([np.array(column) for column in columns], names)
