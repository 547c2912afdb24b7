"""What is refused: with the argument, the rule and the value."""

import functools
import inspect
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.pairs import (
    Relation,
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

SMALL = jnp.zeros((2,), jnp.int32)


def refused(make, *parts):
    """`make` raises a ValueError that has all these parts."""
    with pytest.raises(ValueError) as caught:
        make()
    for part in parts:
        assert part in str(caught.value), str(caught.value)


@pytest.mark.parametrize("bad", [-1, -0.1, float("nan"), float("inf"), "1", None, True])
def test_a_number_out_of_range_is_refused(bad):
    shown = f"got {bad!r}"
    refused(lambda: same("x", missing=bad), "`missing` must", shown)
    refused(lambda: table("x", [[1.0]], missing=bad), "`missing` must", shown)
    refused(lambda: rbf("x", bandwidth=bad), "`bandwidth` must", shown)
    refused(lambda: within("x", bad), "`radius` must", shown)
    refused(lambda: bad * same("x"), "`*` must", shown)
    refused(lambda: same("x") * bad, "`*` must", shown)


def test_zero_is_no_bandwidth_and_no_depth():
    refused(lambda: rbf("x", bandwidth=0), "`bandwidth` must be a positive", "got 0")
    for depth in (0, -1, 1.0, True, "2", None):
        refused(lambda depth=depth: prefix("x", depth=depth), "`depth` must", "got")
    assert within("x", 0) == within("x", -0.0)
    assert str(-0.0 * same("x", missing=-0.0)) == "0.0 * same(x)"


@pytest.mark.parametrize("name", ["", 3, None, b"x"])
def test_a_name_is_a_string(name):
    for make in (
        same,
        different,
        unknown_anchor,
        lambda name: rbf(name, bandwidth=1),
        lambda name: within(name, 1),
        lambda name: table(name, [[1.0]]),
        lambda name: prefix(name, depth=1),
    ):
        refused(lambda make=make: make(name), "`name` must", f"got {name!r}")


@pytest.mark.parametrize(
    "matrix",
    [
        [],
        [[]],
        [1.0],
        [[1.0, 2.0]],
        [[1.0], [2.0, 3.0]],
        [[-1.0]],
        [[float("nan")]],
        [[float("inf")]],
        [["1"]],
        [[None]],
        [[1j]],
        "x",
        np.ones((2, 2, 2)),
    ],
)
def test_a_table_is_square_and_of_weights(matrix):
    refused(lambda: table("x", matrix), "`matrix` must", "got")


def test_a_traced_table_is_refused():
    @jax.jit
    def weigh(matrix):
        return table("x", matrix).weights({"x": SMALL})

    refused(lambda: weigh(jnp.eye(2)), "`matrix` must", "concrete", "got")
    refused(
        lambda: jax.jit(lambda s: (s * same("x")).weights({"x": SMALL}))(1.0), "`*`"
    )


def test_only_weights_up_to_one_have_a_complement():
    for relation in (
        2 * same("x"),
        same("x", missing=1.5),
        table("x", [[1.0, 1.5], [0.0, 1.0]]),
        same("x") + same("y"),
        everyone() | 3 * same("x"),
        rbf("x", bandwidth=1, missing=2),
    ):
        refused(lambda relation=relation: ~relation, "`~` must", f"got {relation}")
    for relation in (
        functools.reduce(operator.add, [0.1 * same("x")] * 10),  # 1.0000001 in float32
        functools.reduce(operator.add, [0.05 * same("x")] * 20),  # 1 + 2e-16 in Python
        2 * same("x") & 0.5 * same("x"),
        0.25 * table("x", [[4.0]]),
        ~~same("x"),
        ~everyone(),
    ):
        weights = (~relation).weights({name: SMALL for name in "xyz"})
        assert np.all((np.asarray(weights) >= 0) & (np.asarray(weights) <= 1))


def test_relations_are_joined_with_relations_alone():
    for join in (
        lambda: same("x") & 1.0,
        lambda: 1.0 | same("x"),
        lambda: same("x") + 1,
    ):
        with pytest.raises(TypeError):
            join()
    refused(lambda: same("x") * same("y"), "`*` must", "got same(y)")
    refused(lambda: same("x") * np.ones(2), "`*` must")
    refused(lambda: np.ones(2) * same("x"), "`*` must")


def test_a_column_that_is_not_there_is_named():
    rows = {"label": SMALL, "instance": SMALL}
    expected = "`rows` must contain 'domain' for same(domain), got label, instance"
    relation = different("label") & ~same("domain")
    refused(lambda: relation(rows, rows), expected)
    refused(lambda: relation.weights(rows), expected)
    refused(lambda: relation.check(rows, "rows"), expected)
    full = {**rows, "domain": SMALL}
    refused(
        lambda: relation.weights(full, rows), expected.replace("rows", "candidate_rows")
    )
    refused(lambda: relation(full, rows), expected.replace("rows", "columns"))
    refused(lambda: same("x").check({}, "queue"), "`queue` must contain 'x'", "nothing")
    # The function itself: in use the type checks of the tests are not there.
    check = inspect.unwrap(Relation.check)
    refused(lambda: check(same("x"), SMALL, "rows"), "`rows` must map names to arrays")
    refused(lambda: everyone().weights({}), "`rows` must hold an array of rows")


def shaped(shape, dtype):
    return {"x": jax.ShapeDtypeStruct(shape, dtype)}


SERVES = [
    (same("x"), [((4,), np.int32), ((4,), np.bool_), ((4,), np.float32)]),
    (different("x"), [((4,), np.uint8), ((4,), jnp.bfloat16)]),
    (table("x", [[1.0]]), [((4,), np.int32), ((4,), np.bool_)]),
    (unknown_anchor("x"), [((4,), np.int32), ((4,), np.bool_)]),
    (
        rbf("x", bandwidth=1),
        [((4,), np.int32), ((4,), np.float16), ((4, 3), np.float32)],
    ),
    (within("x", 1), [((4,), np.int32), ((4,), np.float32)]),
    (prefix("x", depth=2), [((4, 2), np.int32), ((4, 3), np.uint8)]),
]
FAILS = [
    (same("x"), [((), np.int32), ((4, 1), np.int32), ((4,), np.complex64)]),
    (table("x", [[1.0]]), [((4,), np.float32), ((4, 1), np.int32)]),
    (unknown_anchor("x"), [((4,), np.float32), ((4, 1), np.int32)]),
    (
        rbf("x", bandwidth=1),
        [((4, 3, 2), np.float32), ((4, 0), np.float32), ((), np.float32)],
    ),
    (rbf("x", bandwidth=1), [((4,), np.bool_), ((4,), np.complex64)]),
    (within("x", 1), [((4, 1), np.float32), ((4,), np.bool_)]),
    (
        prefix("x", depth=2),
        [((4,), np.int32), ((4, 1), np.int32), ((4, 2), np.float32)],
    ),
]


def test_columns_that_serve_pass_the_check():
    for relation, columns in SERVES:
        for shape, dtype in columns:
            relation.check(shaped(shape, dtype), "rows")
            jax.eval_shape(relation, *[shaped(shape, dtype)] * 2)


def test_columns_that_cannot_serve_are_refused_before_they_have_values():
    for relation, columns in FAILS:
        word = str(relation).split("(")[0]
        for shape, dtype in columns:
            data = shaped(shape, dtype)
            parts = ("`rows['x']` must be", f"for {word}(x)", f"got {np.dtype(dtype)}")
            refused(lambda r=relation, d=data: r.check(d, "rows"), *parts)
            refused(lambda r=relation, d=data: jax.eval_shape(r, d, d), *parts)


def test_strings_are_no_ids():
    refused(lambda: same("x").weights({"x": ["a", "b"]}), "`rows['x']` must be integer")
    assert same("x").weights({"x": [1, 2]}).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_columns_of_different_length_are_refused():
    rows = {"x": SMALL, "y": jnp.zeros(3, jnp.int32)}
    refused(lambda: (same("x") & same("y")).weights(rows), "`rows` must", "x: 2, y: 3")
    same("x").weights(rows)


def test_metadata_of_different_width_are_refused():
    rows, columns = {"m": jnp.zeros((2, 3))}, {"m": jnp.zeros((2, 4))}
    refused(lambda: rbf("m", bandwidth=1)(rows, columns), "'m' must", "(3,) and (4,)")


@pytest.mark.parametrize(
    ("text", "offender", "hint"),
    [
        ("sme(label)", "sme", "did you mean 'same'?"),
        ("same(a) & SAME(b)", "SAME", "did you mean 'same'?"),
        ("same(a) | xyzzy(b)", "xyzzy", "known are different, everyone"),
        ("rbf(age, bandwith=5)", "bandwith", "did you mean 'bandwidth'?"),
        ("rbf(age, **more)", "**", "known are name"),
        ("rbf(age, missing=1, missing=2)", "missing=2", "one missing"),
        ("same(a) & label", "label", "relations such as"),
        ("rbf(a, bandwidth=1) & same", "same", "brackets"),
        ("same(a) and same(b)", "same(a) and same(b)", "& | ~"),
        ("not same(a)", "not same(a)", "& | ~"),
        ("same(a) - same(b)", "same(a) - same(b)", "& | ~"),
        ("é(a)", "é", "known"),
        ("same('é') & 3", "3", "relations such as"),
        ("  same(a) & 3", "3", "relations such as"),
        ("same(a) &\n\t3", "3", "relations such as"),
        ("2 * 3 * same(a)", "2 * 3 * same(a)", "number on one side"),
        ("same(a) * same(b)", "same(a) * same(b)", "number on one side"),
        ("-1 * same(a)", "-1 * same(a)", "`*` must"),
        ("1e999 * same(a)", "1e999 * same(a)", "`*` must"),
        ("same(a) | ~(2 * same(b))", "~(2 * same(b)", "`~` must"),
        ("same(a) | rbf(b)", "rbf(b)", "rbf(name, *, bandwidth, missing=0.0)"),
        ("same(a) | rbf(b, 5.0)", "rbf(b, 5.0)", "too many positional"),
        ("same(a) | rbf(b, bandwidth=-5)", "rbf(b, bandwidth=-5)", "`bandwidth` must"),
        ("same(a) | rbf(b, bandwidth=wide)", "rbf(b, ", "got 'wide'"),
        ("same(a) | same(3)", "same(3)", "`name` must"),
        ("same(a) | same('')", "same('')", "`name` must"),
        ("table(d, [[1, 2]])", "table(d, [[1, 2]])", "`matrix` must"),
        ("same(a.b)", "a.b", "names, numbers or lists"),
        ("same(None)", "None", "names, numbers or lists"),
        ("same(True)", "True", "names, numbers or lists"),
        ("same(b'a')", "b'a'", "names, numbers or lists"),
        ("same(f'{a}')", "f'{a}'", "names, numbers or lists"),
        ("same(*a)", "*a", "names, numbers or lists"),
        ("same(__import__('os'))", "__import__('os')", "names, numbers or lists"),
        ("(lambda: same(a))()", "(lambda: same(a))()", "relations such as"),
        ("[same(a)][0]", "[same(a)][0]", "relations such as"),
        ("same(a) # & same(b)", "# & same(b)", "comment"),
        ("same(a) same(b)", "same(b)", "invalid syntax"),
        ("same(a)) | (same(b)", ") | (same(b)", "unmatched"),
        ("same(a", "(a", "never closed"),
    ],
)
def test_words_that_make_no_relation_are_refused_with_their_place(text, offender, hint):
    place = text.replace("\n", " ").find(offender)
    refused(lambda: parse(text), offender, f"at position {place}", hint)


@pytest.mark.parametrize(
    "text", ["", "   ", "same(a) &", "same(a) | ~", "\0", "\ud800"]
)
def test_unfinished_words_are_refused(text):
    refused(lambda: parse(text), "`text` must be relations", "at position")


def test_what_is_no_text_is_refused():
    refused(lambda: inspect.unwrap(parse)(None), "`text` must be a string", "got None")
    refused(
        lambda: parse("~" * 5000 + "same(a)"), "nested less deeply", "at position 0"
    )


def test_words_of_python_between_relations_are_refused():
    first, second = same("patient"), different("visit")
    for use in (
        lambda: first and second,
        lambda: first or second,
        lambda: not first,
        lambda: bool(first & second),
        lambda: [x for x in (first, second) if x],
    ):
        with pytest.raises(TypeError, match=r"a & b, a \| b and ~a"):
            use()
