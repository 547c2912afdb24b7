"""Checks that the metadata of an arm can answer the question of a study."""

import numpy as np

from jaxcl.config import ConfigError, StudyConfig
from jaxcl.data import RunData
from jaxcl.labs.studies._plan import Cell, find_arm


def check_metadata(study: StudyConfig, cell: Cell, data: RunData) -> None:
    """Raises a `ConfigError` if the metadata cannot answer the question."""
    if cell.mode == "none":
        return
    arm, split = find_arm(study, cell.arm), data.train
    if arm.column in ("domain", "bias", "label") and arm.column not in split.roles:
        raise ConfigError(
            f"arm {arm.name!r} uses {arm.column}: `data.{arm.column}` must name a "
            f"column under shift {cell.shift!r}, got none"
        )
    if cell.mode != "true":
        return
    values = split.values(arm.column)
    if values.dtype.kind in "iub":
        is_id = split.kind(arm.column) == "category"
        known = values[values != -1] if is_id else values
        if len(np.unique(known)) < 2:
            raise ConfigError(
                f"the metadata {arm.column!r} of shift {cell.shift!r} must have at "
                f"least two values in training, got {np.unique(values).tolist()}"
            )
        if not arm.oracle and "label" in split.roles and arm.column != "label":
            _check_no_leak(arm.column, cell.shift, split.values("label"), values)


def _check_no_leak(
    name: str, shift: str, labels: np.ndarray, values: np.ndarray
) -> None:
    """Metadata that tell the label of every sample are labels by another name."""
    known = (labels != -1) & (values != -1)
    pairs = {*zip(labels[known].tolist(), values[known].tolist(), strict=True)}
    by_label, by_value = ({pair[i] for pair in pairs} for i in (0, 1))
    if pairs and len(pairs) == len(by_label) == len(by_value):
        raise ConfigError(
            f"the metadata {name!r} of shift {shift!r} say the label of every training "
            "sample: the arm would be trained on labels (mark it `oracle` if meant)"
        )
