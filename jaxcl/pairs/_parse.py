"""Relations from the words that they print as. Nothing is ever evaluated."""

import ast
import difflib
import inspect
import re
from collections.abc import Callable
from typing import Any, NoReturn

from jaxcl.pairs._identity import different, everyone, prefix, same, unknown_anchor
from jaxcl.pairs._metadata import rbf, table, within
from jaxcl.pairs._relations import Relation

_MAKERS: dict[str, Callable[..., Relation]] = {
    "different": different,
    "everyone": everyone,
    "prefix": prefix,
    "rbf": rbf,
    "same": same,
    "table": table,
    "unknown_anchor": unknown_anchor,
    "within": within,
}
_FORM = "be relations such as same(label), joined by & | ~ + and number *"


def parse(text: str) -> Relation:
    """Parses words, such as those of `str(relation)`, into a relation.

    Args:
        text: Calls of the relations of `jaxcl.pairs`, joined by `& | ~ + *` and
            brackets as in Python; names of side data stand with or without quotes.

    Raises:
        ValueError: The words are no relation; with their position, counted from 0.

    Example:
        >>> print(parse("0.3 * same(domain) + (0.7 * different('domain'))"))
        0.3 * same(domain) + 0.7 * different(domain)
        >>> parse("same(label) & sme(domain)")
        Traceback (most recent call last):
        ...
        ValueError: `text` must name a known relation, got 'sme' at position 14; did
        you mean 'same'?
    """
    if not isinstance(text, str):
        raise ValueError(f"`text` must be a string, got {text!r}")
    text = re.sub(r"[\r\n]", " ", text)
    try:
        return _relation(_read_syntax(text), text)
    except (RecursionError, MemoryError):
        raise ValueError(
            f"`text` must be nested less deeply, got {_shortened(text)!r} at position 0"
        ) from None


def _read_syntax(text: str) -> ast.expr:
    """The syntax tree of the words, its offsets counted in characters of `text`."""
    start = len(text) - len(text.lstrip())
    words = text.strip()
    try:
        tree = ast.parse(words, mode="eval").body
    except SyntaxError as error:
        place = start + error.offset - 1 if error.offset else len(text)
        _refuse(_FORM, text[place:], place, f" ({error.msg})")
    except ValueError as error:  # characters that no Python source can hold
        _refuse(_FORM, text, 0, f" ({error})")
    encoded = words.encode()
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.keyword):
            end = node.end_col_offset or 0
            node.end_col_offset = start + len(encoded[:end].decode())
            node.col_offset = start + len(encoded[: node.col_offset].decode())
    end = tree.end_col_offset or 0
    rest = text[end:].rstrip().lstrip(" \t\f)")
    if rest:
        _refuse(_FORM, rest, text.index(rest, end), " (a comment)")
    return tree


def _relation(node: ast.expr, text: str) -> Relation:
    match node:
        case ast.BinOp(left, ast.BitAnd(), right):
            return _relation(left, text) & _relation(right, text)
        case ast.BinOp(left, ast.BitOr(), right):
            return _relation(left, text) | _relation(right, text)
        case ast.BinOp(left, ast.Add(), right):
            return _relation(left, text) + _relation(right, text)
        case ast.BinOp(left, ast.Mult(), right):
            return _product(node, left, right, text)
        case ast.UnaryOp(ast.Invert(), operand):
            relation = _relation(operand, text)
            return _make(relation.__invert__, node, text)
        case ast.Call(ast.Name(word), arguments, keywords):
            return _call(node, word, arguments, keywords, text)
        case ast.Name(word) if word in _MAKERS:
            _refuse_node(f"give {word} its arguments in brackets", node, text)
        case _:
            _refuse_node(_FORM, node, text)


def _product(node: ast.expr, left: ast.expr, right: ast.expr, text: str) -> Relation:
    if _number(left) is None:
        left, right = right, left
    number = _number(left)
    if number is None:
        _refuse_node("have a number on one side of `*`", node, text)
    relation = _relation(right, text)
    return _make(lambda: number * relation, node, text)


def _call(
    node: ast.expr,
    word: str,
    arguments: list[ast.expr],
    keywords: list[ast.keyword],
    text: str,
) -> Relation:
    if word not in _MAKERS:
        place = node.col_offset
        _refuse("name a known relation", word, place, f"; {_nearest(word, _MAKERS)}")
    make = _MAKERS[word]
    known = inspect.signature(make).parameters
    options = {}
    for option in keywords:
        name = option.arg or "**"
        if name not in known:
            rule = f"give {word} an argument it knows"
            _refuse(rule, name, option.col_offset, f"; {_nearest(name, known)}")
        if name in options:
            _refuse_node(f"give {word} one {name}", option, text)
        options[name] = _argument(option.value, text)
    values = [_argument(argument, text) for argument in arguments]
    try:
        inspect.signature(make).bind(*values, **options)
    except TypeError as error:
        plain = [p.replace(annotation=p.empty) for p in known.values()]
        rule = f"call {word}{inspect.Signature(plain)}"
        _refuse_node(rule, node, text, f" ({error})")
    return _make(lambda: make(*values, **options), node, text)


def _argument(node: ast.expr, text: str) -> Any:
    """A name, a number, or a list of them; the relation checks the value."""
    match node:
        case ast.Name(name):
            return name
        case ast.Constant(str(name)):
            return name
        case ast.List(entries) | ast.Tuple(entries):
            return [_argument(entry, text) for entry in entries]
    number = _number(node)
    if number is None:
        _refuse_node("have names, numbers or lists as arguments", node, text)
    return number


def _number(node: ast.expr) -> int | float | None:
    match node:
        case ast.Constant(int(number) | float(number)) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(ast.USub(), ast.Constant(int(number) | float(number))):
            return -number
    return None


def _make(make: Callable[[], Relation], node: ast.expr, text: str) -> Relation:
    """The result of `make`; its errors with their position."""
    try:
        return make()
    except ValueError as error:
        got = _shortened(text[node.col_offset : node.end_col_offset])
        raise ValueError(f"{error} in {got!r} at position {node.col_offset}") from None


def _refuse_node(
    rule: str, node: ast.expr | ast.keyword, text: str, hint: str = ""
) -> NoReturn:
    _refuse(rule, text[node.col_offset : node.end_col_offset], node.col_offset, hint)


def _refuse(rule: str, got: str, place: int, hint: str = "") -> NoReturn:
    got = repr(_shortened(got)) if got else "the end"
    raise ValueError(f"`text` must {rule}, got {got} at position {place}{hint}")


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known are " + ", ".join(known)
