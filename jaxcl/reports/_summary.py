"""What a reader sees first: one sentence and a few large numbers."""

from typing import Any

from jaxcl.reports._numbers import duration, is_number, minute, number, percent
from jaxcl.reports._reading import (
    Report,
    hardware,
    headline,
    look,
    penalties,
    similarity,
)


def summary(report: Report) -> str:
    """The run in one sentence; what the report does not know is not said."""
    steps, total = look(report, "run", "steps"), look(report, "run", "seconds", "total")
    data, devices = look(report, "data", "name"), hardware(report)
    name = look(report, "config", "objective", "name")
    temperature = look(report, "config", "objective", "temperature")
    penalty = penalties(report)
    details = [f"temperature {number(temperature)}"] if is_number(temperature) else []
    details += [f"penalty {penalty}"] if penalty != "none" else []
    parts = [
        f" with {name}" if name else "",
        f" ({', '.join(details)})" if details else "",
        f" on {data}" if data else "",
        f" for {number(steps)} steps" if is_number(steps) else "",
        f" in {duration(total)}" if is_number(total) else "",
        f" on {devices}" if devices else "",
    ]
    told = "".join(parts) + _outcome(headline(report))
    return f"Trained{told}." if told else ""


def origin(report: Report) -> list[str]:
    """When, from which commit and on what the run was made."""
    started, commit = look(report, "run", "started"), look(report, "run", "commit")
    told = (
        minute(started) if started else "",
        f"commit {commit}" if commit else "",
        hardware(report),
    )
    return [text for text in told if text]


def tiles(report: Report) -> list[dict[str, str]]:
    """The large numbers on top of the page."""
    shown = [*_accuracies(report), _variance(report), _speed(report), _time(report)]
    return [tile for tile in shown if tile]


def _outcome(row: dict[str, Any]) -> str:
    if not is_number(row.get("after")):
        return ""
    before, worst = row["before"], row["worst_after"]
    text = f"; {row['title']} accuracy on {row['split']} is {percent(row['after'])}"
    if is_number(before):
        text += f" ({percent(before)} before training)"
    if worst:
        share = percent(look(worst, "accuracy"))
        text += f", and {share} in its worst domain, {look(worst, 'name')}"
    return text


def _accuracies(report: Report) -> list[dict[str, str]]:
    row = headline(report)
    if not row:
        return []
    title = f"{row['title'].capitalize()}, {row['split']}"
    found = [_tile(title, percent(row["after"]), _from(row["before"]))]
    if worst := row["worst_after"]:
        old = _from(look(row["worst_before"], "accuracy"))
        note = "; ".join(filter(None, [str(look(worst, "name")), old]))
        title = f"Worst domain, {row['split']}"
        found.append(_tile(title, percent(look(worst, "accuracy")), note))
    return found


def _variance(report: Report) -> dict[str, str]:
    old = similarity(report, "before", "negative_variance")
    new = similarity(report, "after", "negative_variance")
    if not is_number(new):
        return {}
    if not is_number(old):
        return _tile("Negative variance", number(new), "after training")
    return _tile("Negative variance", number(new), f"{number(old)} before")


def _speed(report: Report) -> dict[str, str]:
    speed = look(report, "run", "images_per_second")
    if not is_number(speed):
        return {}
    return _tile("Images per second", number(speed), hardware(report))


def _time(report: Report) -> dict[str, str]:
    total = look(report, "run", "seconds", "total")
    train = look(report, "run", "seconds", "train")
    if not is_number(total):
        return {}
    note = f"{duration(train)} of it training" if is_number(train) else ""
    return _tile("Wall time", duration(total), note)


def _from(before: Any) -> str:
    return f"{percent(before)} before" if is_number(before) else ""


def _tile(title: str, value: str, note: str) -> dict[str, str]:
    return {"title": title, "value": value, "note": note}
