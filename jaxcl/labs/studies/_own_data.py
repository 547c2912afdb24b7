"""A study of your own images: its config, written to be read and edited."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tomli_w

from jaxcl.config import ConfigError, DataConfig
from jaxcl.data import open_split
from jaxcl.labs.studies._directory import StudyError

_LEAST = 30  # samples of a domain that is held out
_MOST_TARGETS = 4


class OwnData(NamedTuple):
    """A folder of images and its table of metadata."""

    folder: Path
    table: Path | None
    label: str
    domain: str


def write_own_study(own: OwnData, file: Path) -> None:
    """Writes a small study of a folder that holds out one domain after another.

    It has three seeds and three arms: without metadata, with negatives from the same
    domain and its placebo, and an oracle that sees labels.

    Raises:
        StudyError: The columns cannot answer the question; the message says why.
    """
    targets, batch_size = _choose(own)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        _HEAD.format(own=own) + tomli_w.dumps(_tree(own, targets, batch_size))
    )


def _choose(own: OwnData) -> tuple[list[str], int]:
    """The domains to hold out, and a batch size that fits."""
    try:
        split = open_split(DataConfig(**_data_fields(own)), "train")
        if "label" not in split.roles:
            raise StudyError(f"`--label` names no column of the images: {own.label!r}")
        labels, domains = split.values("label"), split.values("domain")
    except ConfigError as error:
        raise StudyError(str(error)) from error
    names = split.names.get("domain") or [str(i) for i in range(domains.max() + 1)]
    counts = {
        name: int(np.sum((domains == i) & (labels != -1)))
        for i, name in enumerate(names)
    }
    known = {name: count for name, count in counts.items() if count}
    if len(known) < 2:
        raise StudyError(
            f"column {own.domain!r} must have at least two values, got {sorted(known)}"
        )
    pairs = {*zip(labels.tolist(), domains.tolist(), strict=True)}
    if len(pairs) == len(known) == len({label for label, _ in pairs}):
        raise StudyError(
            f"columns {own.label!r} and {own.domain!r} say the same: held-out domains "
            "would hold out their labels"
        )
    large = sorted(
        (name for name, count in known.items() if count >= _LEAST),
        key=lambda name: -known[name],
    )
    if not large:
        raise StudyError(
            f"no value of {own.domain!r} has {_LEAST} labeled images to test on: "
            f"{known}"
        )
    smallest = sum(known.values()) - max(known[name] for name in large[:_MOST_TARGETS])
    return large[:_MOST_TARGETS], int(np.clip(smallest // 4, 8, 64))


def _data_fields(own: OwnData) -> dict[str, Any]:
    return {
        "path": str(own.folder),
        "table": str(own.table) if own.table else "",
        "label": own.label,
        "domain": own.domain,
        "image_size": 32,
    }


def _tree(own: OwnData, targets: list[str], batch_size: int) -> dict[str, Any]:
    return {
        "question": f"Does knowing the {own.domain} help to recognize the {own.label} "
        f"in a {own.domain} that was never seen?",
        "seeds": 3,
        "base": {
            "num_steps": 150,
            "data": {
                **_data_fields(own),
                "batch_size": batch_size,
                "selection": {"validation_fraction": 0.2},
            },
            "augmentation": {"recipe": "simclr"},
            "model": {"encoder": "convnet", "width": 8, "stages": 2},
        },
        "shifts": [
            {
                "name": f"another {own.domain}",
                "targets": targets,
                "id_split": "validation",
            }
        ],
        "arms": [
            {"name": "InfoNCE", "fields": {"objective": {"name": "nt_xent"}}},
            {
                "name": "within domain",
                "modes": ["true", "shuffled"],
                "fields": {"objective": {"name": "within_domain"}},
            },
            {
                "name": "labels, cross domain",
                "modes": ["true"],
                "oracle": True,
                "fields": {"objective": {"name": "cross_domain_supcon"}},
            },
        ],
        "analysis": {"labels": [1, 5, 10], "ood_labels": [min(100, _LEAST // 2)]},
    }


_HEAD = """\
# Does metadata help on images of {own.folder.name}?
# jaxcl study THIS FILE --jobs 2
# This is a small start: use more seeds, more steps and a larger encoder for results.
"""
