"""Images of a run: what the loss sees, and which images the encoder finds alike."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcl.reports._numbers import is_number, number, percent
from jaxcl.reports._reading import Report, is_shifted, look

Looks = Mapping[str, Any]

# What a page shows as an image, and nothing else that an address could be.
_IMAGE = re.compile(r"data:image/(?:png|webp|jpeg);base64,[A-Za-z0-9+/]+={0,2}")
_MOST_QUERIES = 24
_MOST_SHOWN = 10
_LONGEST_NAME = 18
# How many times more than by chance one must count than the other, to be followed.
_CLEARLY = 2.0


def looks_of(report: Report, looks: Any) -> Looks:
    """The images of a report; empty if there are none, or of another step."""
    steps = look(report, "run", "steps")
    return looks if steps is not None and look(looks, "step") == steps else {}


def run_looks(looks: Looks) -> dict[str, Any]:
    """Views, neighbors before and after training, and what they say."""
    queries = [
        _query(query, {f"{when} training": query.get(when) for when in _WHEN})
        for query in _listed(looks.get("queries"))
    ]
    return {
        "views": [
            shown for one in _listed(looks.get("views")) if (shown := _view(one))
        ],
        "queries": _ordered(queries),
        "sentences": sentences(looks),
        "pixelated": looks.get("pixelated") is True,
    }


_WHEN = ("before", "after")


def compared_looks(names: Sequence[str], many: Sequence[Looks]) -> dict[str, Any]:
    """The neighbors after training in several runs, of the images that all of them ask.

    Args:
        names: What the runs are called.
        many: The images of each.
    """
    asked = [
        {_key(query): query for query in _listed(looks.get("queries"))}
        for looks in many
    ]
    shared = [key for key in asked[0] if all(key in queries for queries in asked)]
    queries = [
        _query(
            asked[0][key],
            {
                name: queries[key].get("after")
                for name, queries in zip(names, asked, strict=True)
            },
        )
        for key in shared
    ]
    return {
        "queries": _ordered(queries),
        "sentences": [
            (name, told)
            for name, looks in zip(names, many, strict=True)
            for told in sentences(looks)
        ],
        "pixelated": any(looks.get("pixelated") is True for looks in many),
    }


def sentences(looks: Looks) -> list[str]:
    """What the neighbors share with the images of each split, a sentence a split."""
    found = []
    columns = {
        key: _column(key, look(looks, "columns", key)) for key in ("label", "domain")
    }
    shares = look(looks, "shares", "after") or {}
    for split, after in sorted(shares.items(), key=lambda one: not is_shifted(one[0])):
        before = look(looks, "shares", "before", split)
        parts = [
            f"{percent(share)} share the image's {columns[key]}"
            + f" ({_aside(before, after, key)})"
            for key in ("domain", "label")
            if is_number(share := look(after, key))
        ]
        if parts:
            count = number(look(after, "neighbors"))
            told = f"On {split}, of the {count} nearest training images "
            found.append(told + " and ".join(parts) + _follows(after, columns) + ".")
    return found


def _aside(before: Any, after: Any, key: str) -> str:
    old, chance = look(before, key), look(after, f"{key}_chance")
    told = [f"{percent(old)} before training"] if is_number(old) else []
    return ", ".join([*told, f"{percent(chance)} by chance"])


def _follows(shares: Any, columns: Mapping[str, str]) -> str:
    """Which of the two the embedding follows, where it does so clearly.

    Neighbors that share only one of the two decide, beside their number by chance.
    """
    lifts = {}
    for key in ("domain", "label"):
        share, chance = (look(shares, f"only_{key}{end}") for end in ("", "_chance"))
        if not is_number(share) or not is_number(chance) or chance <= 0:
            return ""
        lifts[key] = share / chance
    for key, other in (("domain", "label"), ("label", "domain")):
        if lifts[key] > _CLEARLY * lifts[other]:
            return (
                f": the embedding follows the {columns[key]} more than the "
                f"{columns[other]}"
            )
    return ""


def _column(key: str, column: Any) -> str:
    return key if column in (None, "", key) else f"{column} ({key})"


def _key(query: Mapping[str, Any]) -> tuple[str, str]:
    # The image itself, so that other data under the same name do not compare.
    return str(query.get("split")), str(query.get("image"))


def _query(query: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, Any] | None:
    """A test image with rows of its neighbors; None if it has no image."""
    shown = _image(query)
    if shown is None:
        return None
    near = [
        {
            "title": title,
            "images": [
                image
                for one in _listed(found)[:_MOST_SHOWN]
                if (image := _image(one, query))
            ],
        }
        for title, found in rows.items()
    ]
    return shown | {"split": str(query.get("split")), "rows": near}


def _ordered(queries: Sequence[dict[str, Any] | None]) -> list[dict[str, Any]]:
    """Those that have an image; first the ones that are not as in training."""
    shown = [query for query in queries if query]
    return sorted(shown, key=lambda query: not is_shifted(query["split"]))


def _view(one: Mapping[str, Any]) -> dict[str, Any] | None:
    shown, views = _image(one), one.get("views")
    if shown is None or not isinstance(views, list):
        return None
    return shown | {"views": [view for view in views if _is_image(view)]}


def _image(
    one: Mapping[str, Any], query: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """An image with its names, and whether its label is not that of the query."""
    if not _is_image(one.get("image")):
        return None
    names = {key: _text(one.get(key)) for key in ("label", "domain")}
    wanted = _text((query or {}).get("label"))
    wrong = bool(names["label"] and wanted and names["label"] != wanted)
    said = ["wrong label" if wrong else "", *names.values()]
    cosine = one.get("similarity")
    if is_number(cosine):
        said.append(f"similarity {cosine:.2f}")
    return {
        "source": one["image"],
        "label": _shortened(names["label"]),
        "domain": _shortened(names["domain"]),
        "wrong": wrong,
        "alt": ", ".join(filter(None, said)) or "image",
    }


def _is_image(value: Any) -> bool:
    return isinstance(value, str) and _IMAGE.fullmatch(value) is not None


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}\u2026"


def _listed(value: Any) -> list[Mapping[str, Any]]:
    """The entries of a list, of a file that can come from anywhere."""
    entries = value if isinstance(value, list) else []
    return [one for one in entries if isinstance(one, Mapping)][:_MOST_QUERIES]
