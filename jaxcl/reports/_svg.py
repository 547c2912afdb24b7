"""The little SVG that the figures need: elements, text and lines."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from markupsafe import Markup

Size = tuple[float, float]
Point = tuple[float, float]
Scale = Callable[[float], float]

_MOST_POINTS = 400  # more would not show at the width of a figure


def element(tag: str, *children: str, **attributes: Any) -> Markup:
    """One SVG element; text and attributes are escaped, markup is not."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _short(value))
        for key, value in attributes.items()
    )
    inside = Markup("").join(children)
    return Markup("<{0}{1}>{2}</{0}>").format(tag, written, inside)


def picture(label: str, size: Size, children: Iterable[str]) -> Markup:
    """The outer element, which a screen reader presents as one image."""
    box = f"0 0 {size[0]:.0f} {size[1]:.0f}"
    # Small multiples shrink less on a narrow screen, and need no larger letters there.
    kind = "wide" if size[0] > 400 else "narrow"
    return element(
        "svg", *children, viewBox=box, role="img", aria_label=label, class_=kind
    )


def text(x: float, y: float, words: str, anchor: str = "start", **more: Any) -> Markup:
    """A piece of text whose start, middle or end stands at `x`."""
    return element("text", words, x=x, y=y, text_anchor=anchor, **more)


def rule(x: float, y: float, *, to_x: float, to_y: float, kind: str) -> Markup:
    """A straight line."""
    return element("line", x1=x, y1=y, x2=to_x, y2=to_y, class_=kind)


def line(
    xs: Sequence[float], ys: Sequence[float], to_x: Scale, to_y: Scale, kind: str
) -> Markup:
    """A line through the points."""
    places = [f"{_short(to_x(x))} {_short(to_y(y))}" for x, y in thin(xs, ys)]
    # A line of no length, with round ends, shows a point that stands alone.
    return element(
        "path",
        d=f"M{places[0]}h0" + "".join(f"L{at}" for at in places[1:]),
        class_=kind,
    )


def thin(xs: Sequence[float], ys: Sequence[float]) -> list[Point]:
    """Few enough points for a page: of every stretch its lowest and its highest."""
    points = list(zip(xs, ys, strict=True))
    if len(points) <= _MOST_POINTS:
        return points
    length = -(-len(points) // (_MOST_POINTS // 2))
    kept: list[Point] = []
    for start in range(0, len(points), length):
        stretch = points[start : start + length]
        kept.extend(sorted({pick(stretch, key=_height) for pick in (min, max)}))
    return kept


def _height(point: Point) -> float:
    return point[1]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return str(value)
