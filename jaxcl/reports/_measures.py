"""What is measured on the embeddings beside accuracy: retrieval, domains, probes."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxcl.reports._numbers import fixed, is_number, number, percent
from jaxcl.reports._reading import METHODS, Report, look

Table = dict[str, Any]
_MOST_ROWS = 14  # a longer table of domains is folded

_RETRIEVAL = {
    "recall_at_1": "recall@1",
    "recall_at_5": "recall@5",
    "map_at_r": "MAP@R",
}
_RETRIEVAL_NOTE = (
    "Each image searches its split. Recall@k: share of images with one of their class "
    "among the k nearest. MAP@R: how purely the nearest images are of that class, as "
    "many as the class has; 100% if they come before all others."
)
_STRUCTURE_NOTE = (
    "Robustness index: of the near pairs that share either class or domain, the share "
    "with the same class; 1 is best, 0 means that only the domain makes images near. "
    "\u03b7\u00b2: share of the embeddings' variance that is between domains."
)
_UNSEEN_NOTE = (
    "Unseen: a linear probe fitted on all other domains. Seen: one fitted on all "
    "domains, cross-validated. Both on the training images of the domain."
)


def measures(report: Report) -> list[Table]:
    """Tables of a title, columns, rows and a note; old reports have none."""
    tables = [_retrieval(report), *_retrieval_by_domain(report)]
    tables += [_structure(report), _unseen(report)]
    return [table for table in tables if table and table["rows"]]


def remarks(report: Report) -> list[str]:
    """How the classifiers of the table of accuracies were made."""
    told = []
    voters = look(report, "evaluation", "after", "neighbors")
    if is_number(voters):
        before = look(report, "evaluation", "before", "neighbors")
        text = f"{number(voters)} neighbors vote in kNN"
        other = is_number(before) and before != voters
        told.append(text + (f" ({number(before)} before training)." * other or "."))
    for method, means in (
        ("linear", "a linear classifier on the frozen encoder, trained on crops"),
        ("fine_tuned", "encoder and linear classifier, trained together on crops"),
    ):
        found = look(report, "evaluation", "after", method)
        if found:
            images, steps = number(found.get("images")), number(found.get("steps"))
            rate = number(found.get("learning_rate"))
            title = METHODS[method].capitalize()
            told.append(
                f"{title}: {means} of {images} images for {steps} steps, rate {rate}."
            )
    return told


def _retrieval(report: Report) -> Table:
    found = _after(report, "retrieval")
    rows = {
        split: [
            *(_change(report, percent, "retrieval", split, key) for key in _RETRIEVAL),
            number(look(scores, "count")),
        ]
        for split, scores in found.items()
    }
    columns = ["split", *_RETRIEVAL.values(), "images"]
    return _table("Retrieval", columns, rows, _RETRIEVAL_NOTE)


def _retrieval_by_domain(report: Report) -> list[Table]:
    tables = []
    for split, scores in _after(report, "retrieval").items():
        path = ("retrieval", split, "domains")
        rows = {
            domain: [
                *(_change(report, percent, *path, domain, key) for key in _RETRIEVAL),
                number(look(mine, "count")),
            ]
            for domain, mine in (look(scores, "domains") or {}).items()
        }
        columns = ["domain", *_RETRIEVAL.values(), "images"]
        title = f"Retrieval per domain, {split}"
        tables.append({**_table(title, columns, rows, ""), "folded": True})
    return tables


def _structure(report: Report) -> Table:
    path = ("robustness_index", "index")
    rows = {
        split: [
            _change(report, fixed, "domain_structure", split, *path),
            _change(report, fixed, "domain_structure", split, "between_domain_share"),
            number(look(found, "robustness_index", "neighbors")),
        ]
        for split, found in _after(report, "domain_structure").items()
    }
    columns = ["split", "robustness index", "\u03b7\u00b2 of the domain", "neighbors"]
    return _table("Class against domain", columns, rows, _STRUCTURE_NOTE)


def _unseen(report: Report) -> Table:
    after = _after(report, "unseen_domains")
    worst = look(after, "worst", "name")
    rows = {
        f"{name} (worst)" if name == worst else name: [
            _change(report, percent, "unseen_domains", "domains", name, "unseen"),
            _change(report, percent, "unseen_domains", "domains", name, "seen"),
            number(look(found, "count")),
        ]
        for name, found in (after.get("domains") or {}).items()
    }
    if rows:
        keys = ("unseen", "seen")
        means = (_change(report, percent, "unseen_domains", key) for key in keys)
        rows = {"mean": [*means, ""], **rows}
    columns = ["domain", "unseen", "seen", "images"]
    return _table("Probe on an unseen domain", columns, rows, _UNSEEN_NOTE)


def _after(report: Report, key: str) -> Mapping[str, Any]:
    found = look(report, "evaluation", "after", key)
    return found if isinstance(found, Mapping) else {}


def _change(report: Report, tell: Callable[[Any], str], *path: str) -> str:
    """A number before and after training, or only after."""
    old = look(report, "evaluation", "before", *path)
    new = tell(look(report, "evaluation", "after", *path))
    return f"{tell(old)} \u2192 {new}" if is_number(old) else new


def _table(
    title: str, columns: list[str], rows: Mapping[str, list[str]], note: str
) -> Table:
    table: Table = {"title": title, "columns": columns, "rows": rows, "note": note}
    return table | {"folded": len(rows) > _MOST_ROWS}
