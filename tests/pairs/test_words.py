"""The words of relations, as they print and as they are read."""

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

A, B, C = same("a"), different("b"), everyone()
PRINTED = [
    (same("label") & ~same("domain"), "same(label) & ~same(domain)"),
    (same("label", missing=1), "same(label, missing=1.0)"),
    (rbf("age", bandwidth=5), "rbf(age, bandwidth=5.0)"),
    (rbf("age", bandwidth=0.1, missing=0.5), "rbf(age, bandwidth=0.1, missing=0.5)"),
    (within("time", 3), "within(time, 3.0)"),
    (prefix("taxonomy", depth=2), "prefix(taxonomy, depth=2)"),
    (unknown_anchor("domain"), "unknown_anchor(domain)"),
    (everyone(), "everyone()"),
    (
        table("domain", [[1, 0.5], [0.5, 1]]),
        "table(domain, [[1.0, 0.5], [0.5, 1.0]])",
    ),
    (0.3 * A + 0.7 * B, "0.3 * same(a) + 0.7 * different(b)"),
    (A & (B | C), "same(a) & (different(b) | everyone())"),
    (A & B | C, "same(a) & different(b) | everyone()"),
    (A | B & C, "same(a) | different(b) & everyone()"),
    (A & (B & C), "same(a) & different(b) & everyone()"),
    (A | (B | C), "same(a) | different(b) | everyone()"),
    (A + (B + C), "same(a) + different(b) + everyone()"),
    ((A & B) + C, "(same(a) & different(b)) + everyone()"),
    (A & B + C, "same(a) & different(b) + everyone()"),
    (~(A & B), "~(same(a) & different(b))"),
    (~~A, "~~same(a)"),
    (~(0.5 * A), "~(0.5 * same(a))"),
    (0.5 * ~A, "0.5 * ~same(a)"),
    (0.5 * (A & B), "0.5 * (same(a) & different(b))"),
    (0.5 * A & B, "0.5 * same(a) & different(b)"),
    (2 * (3 * A), "2.0 * (3.0 * same(a))"),
    (2 * (A + B), "2.0 * (same(a) + different(b))"),
]


@pytest.mark.parametrize(("relation", "text"), PRINTED)
def test_a_relation_prints_as_it_was_written_and_is_read_again(relation, text):
    assert str(relation) == text
    assert parse(text) == relation


@pytest.mark.parametrize(
    "name",
    [
        "label",
        "same",
        "größe",
        "my label",
        "data.domain",
        "class",
        "None",
        "3d",
        " ",
        "it's",
        'say "it\'s"',
        "back\\slash",
        "two\nlines",
        "nul\0",
        "ﬁne",  # the ligature: Python reads the bare word as "fine"
        "#1",
        ")",
        "\ud800",
        "🦆",
    ],
)
def test_every_name_can_be_read_again(name):
    for relation in (same(name), 0.5 * rbf(name, bandwidth=1) + ~within(name, 2)):
        assert parse(str(relation)) == relation
    assert same(name).names == {name}


@pytest.mark.parametrize("number", [0.1 + 0.2, 1e-30, 1e30, 1 / 3, 5e-324, 123456789.0])
def test_every_number_can_be_read_again(number):
    for relation in (
        number * same("x", missing=number),
        within("x", number),
        table("x", [[number]]),
    ):
        assert parse(str(relation)) == relation


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("same('a')", A),
        ('same("a", missing=0)', A),
        ("same(name=a)", A),
        ("  (same(a))  ", A),
        ("same(a) &\n  different(b)", A & B),
        ("same(a) * 2", 2 * A),
        (
            "table(d, ((1, 0), (0, 1)), missing=1)",
            table("d", [[1, 0], [0, 1]], missing=1),
        ),
        ("prefix(p, depth=2)", prefix("p", depth=2)),
        ("~same(a) & different(b) | everyone()", (~A & B) | C),
    ],
)
def test_other_ways_to_write_a_relation(text, relation):
    assert parse(text) == relation


def test_long_chains_are_read_again():
    relation = same("x0")
    for i in range(1, 150):
        relation = relation & same(f"x{i}")
    assert parse(str(relation)) == relation
