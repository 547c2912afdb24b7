"""Relations: the weights of plain double loops, booleans where they are logical."""

import contextlib
import functools
import math
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.pairs import (
    different,
    everyone,
    parse,
    prefix,
    rbf,
    same,
    table,
    unknown_anchor,
    within,
)

NAN = math.nan
ROWS = {
    "label": [0, 0, -2, 1, 2, -1, 1],
    "domain": [0, 1, 0, 1, -1, 2, -7],
    "age": [30.0, 35.0, NAN, 31.5, 80.0, 30.0, -4.0],
    "place": [[0, 0], [3, 4], [0, NAN], [1, 1], [NAN, 2], [-1.0, 0.5], [2, 2]],
    "time": [0, 3, 5, -1, -6, 100, 2],
    "path": [
        [0, 1, 5],
        [0, 1, 6],
        [0, 2, -1],
        [-3, 1, 5],
        [0, -1, 5],
        [0, 2, 5],
        [0, 1, 5],
    ],
}
COLUMNS = {
    "label": [1, -1, 0, -2],
    "domain": [-7, 0, -1, 9],
    "age": [33.0, NAN, 30.0, -4.0],
    "place": [[0, 0], [1, NAN], [3, 3], [2, 2]],
    "time": [-4, 0, -1, 97],
    "path": [[0, 1, 5], [0, -1, 5], [0, 2, 7], [-3, 1, -1]],
}
MATRIX = [[1.0, 0.5, 0.25], [0.0, 1.0, 0.75], [0.125, 0.5, 1.0]]


def arrays(side):
    return {
        name: np.asarray(values, np.float32 if name in ("age", "place") else np.int32)
        for name, values in side.items()
    }


def gone(value, is_id):
    """Whether a value is missing: an id that is −1, and NaN."""
    if isinstance(value, list):
        return any(gone(entry, is_id) for entry in value)
    return (is_id and value == -1) or math.isnan(value)


def loop(weight, rows=ROWS, columns=COLUMNS):
    """`weight(row, column)` of every pair, by two loops."""

    def pick(side, i):
        return {name: values[i] for name, values in side.items()}

    return [
        [
            float(weight(pick(rows, i), pick(columns, j)))
            for j in range(len(columns["age"]))
        ]
        for i in range(len(rows["age"]))
    ]


def guarded(relation, name, missing, weight):
    """`weight` of two values, `missing` when one of them is."""
    is_id = "same" in str(relation) or "different" in str(relation)
    is_id = is_id and name != "age"  # floats have no sign of absence but NaN

    def of_pair(row, column):
        if gone(row[name], is_id) or gone(column[name], is_id):
            return missing
        return weight(row[name], column[name])

    return of_pair


def lookup(matrix, missing):
    def of_pair(row, column):
        i, j = row["domain"], column["domain"]
        if not (0 <= i < len(matrix) and 0 <= j < len(matrix)):
            return missing
        return matrix[i][j]

    return of_pair


def alike(depth, missing):
    def of_pair(row, column):
        a, b = row["path"][:depth], column["path"][:depth]
        return missing if gone(a, True) or gone(b, True) else a == b

    return of_pair


def gauss(bandwidth):
    return lambda a, b: math.exp(
        -sum((x - y) ** 2 for x, y in zip(np.ravel(a), np.ravel(b), strict=True))
        / (2 * bandwidth**2)
    )


def equal(a, b):
    return a == b


def unequal(a, b):
    return a != b


def near(radius):
    return lambda a, b: abs(a - b) <= radius


def words(missing):
    """Every word as a relation, with its loop."""
    known = {"missing": missing}
    comparisons = [
        (same("label", **known), "label", equal),
        (same("age", **known), "age", equal),
        (different("domain", **known), "domain", unequal),
        (different("age", **known), "age", unequal),
        (rbf("age", bandwidth=5.0, **known), "age", gauss(5.0)),
        (rbf("place", bandwidth=1.5, **known), "place", gauss(1.5)),
        (rbf("time", bandwidth=2, **known), "time", gauss(2)),
        (within("age", 3.0, **known), "age", near(3.0)),
        (within("time", 3.5, **known), "time", near(3.5)),
    ]
    others = [
        (table("domain", MATRIX, **known), lookup(MATRIX, missing)),
        (prefix("path", depth=1, **known), alike(1, missing)),
        (prefix("path", depth=2, **known), alike(2, missing)),
        (prefix("path", depth=3, **known), alike(3, missing)),
        (unknown_anchor("domain"), lambda row, column: row["domain"] == -1),
        (everyone(), lambda row, column: 1),
    ]
    guards = [(r, guarded(r, name, missing, w)) for r, name, w in comparisons]
    return guards + others


def compose(generator, depth):
    """A random relation with its loop and its largest weight."""
    kind = generator.choice(["leaf"] if depth == 0 else ["leaf", *"&|~*+&|~*+"])
    if kind == "leaf":
        missing = generator.choice([0.0, 0.0, 1.0, 0.3, 2.5])
        relation, weight = generator.choice(words(missing))
        return relation, weight, max(1.0, missing)
    first, a, largest = compose(generator, depth - 1)
    if kind == "~":
        if largest > 1:
            first, a = (
                1 / largest * first,
                functools.partial(lambda a, row, column: a(row, column) / largest, a),
            )
        return ~first, lambda row, column: 1 - a(row, column), 1.0
    if kind == "*":
        number = generator.choice([0, 1, 0.25, 1e-3, 3])
        scaled = number * first if generator.random() < 0.5 else first * number
        return scaled, lambda row, column: number * a(row, column), number * largest
    second, b, other = compose(generator, depth - 1)
    if kind == "&":
        product = lambda row, column: a(row, column) * b(row, column)  # noqa: E731
        return first & second, product, largest * other
    if kind == "|":
        either = lambda row, column: max(a(row, column), b(row, column))  # noqa: E731
        return first | second, either, max(largest, other)
    total = lambda row, column: a(row, column) + b(row, column)  # noqa: E731
    return first + second, total, largest + other


def composed(seed):
    return compose(random.Random(seed), 1 + seed % 4)[:2]


each_word = pytest.mark.parametrize(
    "word", range(len(words(0.0))), ids=[str(word) for word, _ in words(0.0)]
)
each_composition = pytest.mark.parametrize("seed", range(60))


@each_word
@pytest.mark.parametrize("missing", [0.0, 1.0, 0.4, 3.0])
def test_a_word_weighs_pairs_as_a_double_loop_does(word, missing):
    relation, weight = words(missing)[word]
    got = relation.weights(arrays(ROWS), arrays(COLUMNS))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, loop(weight), rtol=2e-6, atol=1e-7)


@each_composition
def test_a_composition_weighs_pairs_as_a_double_loop_does(seed):
    relation, weight = composed(seed)
    got = relation.weights(arrays(ROWS), arrays(COLUMNS))
    np.testing.assert_allclose(got, loop(weight), rtol=1e-5, atol=1e-6)
    assert np.all(np.asarray(got) >= 0)


@each_composition
def test_the_words_of_a_relation_make_it_again(seed):
    relation, _ = composed(seed)
    again = parse(str(relation))
    assert again == relation
    assert hash(again) == hash(relation)
    assert repr(relation) == str(relation) == str(again)


@each_composition
def test_no_bracket_can_be_left_out(seed):
    relation, _ = composed(seed)
    text = str(relation)
    for opened, closed in plain_brackets(text):
        without = text[:opened] + text[opened + 1 : closed] + text[closed + 1 :]
        with contextlib.suppress(ValueError):
            assert parse(without) != relation, without


def plain_brackets(text):
    """Places of the brackets that are not those of a call."""
    open_places = []
    for place, character in enumerate(text):
        if character == "(":
            open_places.append(place)
        elif character == ")":
            opened = open_places.pop()
            if opened == 0 or text[opened - 1] in " ~(":
                yield opened, place


@each_composition
def test_the_symmetric_flag_is_right(seed):
    relation, _ = composed(seed)
    weights = np.asarray(relation.weights(arrays(ROWS)))
    if relation.symmetric:
        np.testing.assert_allclose(weights, weights.T, rtol=1e-6)


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_each_word_tells_its_symmetry(missing):
    for relation, _ in words(missing):
        weights = np.asarray(relation.weights(arrays(ROWS)))
        assert relation.symmetric == np.array_equal(weights, weights.T), relation
    assert table("domain", [[1.0, 0.5], [0.5, 1.0]]).symmetric
    assert not (same("label") & unknown_anchor("domain")).symmetric


@each_composition
def test_logical_relations_come_as_booleans_and_others_as_numbers(seed):
    relation, _ = composed(seed)
    tile = relation(arrays(ROWS), arrays(COLUMNS))
    assert tile.dtype == (jnp.bool_ if relation.logical else jnp.float32)
    whole = relation.weights(arrays(ROWS), arrays(COLUMNS))
    np.testing.assert_array_equal(np.broadcast_to(tile, whole.shape), whole)


def test_weights_are_the_same_under_jit_and_vmap():
    relation = parse(
        "same(label) & ~different(domain) | 0.5 * rbf(place, bandwidth=2.0)"
        " + table(domain, [[1.0, 0.2], [0.3, 1.0]]) & prefix(path, depth=2)"
    )
    rows, columns = arrays(ROWS), arrays(COLUMNS)
    expected = relation.weights(rows, columns)
    weigh = jax.jit(lambda relation, *sides: relation.weights(*sides), static_argnums=0)
    np.testing.assert_allclose(weigh(relation, rows, columns), expected, rtol=1e-6)
    twice = jax.tree.map(lambda x: np.stack([x, x[::-1]]), rows)
    mapped = jax.vmap(relation.weights, in_axes=(0, None))(twice, columns)
    np.testing.assert_allclose(mapped[0], expected, rtol=1e-6)
    np.testing.assert_allclose(mapped[1], expected[::-1], rtol=1e-6)
