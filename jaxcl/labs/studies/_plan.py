"""A study as a list of cells, each with the config of its runs."""

import re
from typing import Any, NamedTuple

from jaxcl.config import (
    ArmConfig,
    ConfigError,
    MetadataMode,
    ShiftConfig,
    StudyConfig,
    TrainConfig,
    from_dict,
)

_CORRUPTIONS = {
    "shuffled": "shuffle",
    "noisy": "noise",
    "dropped": "drop",
    "inferred": "infer",
}


class Cell(NamedTuple):
    """What the runs of a study that differ in nothing but the seed have in common."""

    shift: str
    target: str
    """The domain that is held out; empty = none."""
    arm: str
    mode: MetadataMode
    rate: float
    """Of the metadata that are noisy or dropped; 0 in other modes."""
    unlabeled: int
    """Training samples; 0 = all."""

    @property
    def path(self) -> str:
        """Where its runs lie, below the directory of the study."""
        shift = _slug(self.shift) + (f"~{_slug(self.target)}" if self.target else "")
        mode = self.mode + (f"-{self.rate:g}" if self.rate else "")
        return f"{shift}/{_slug(self.arm)}/{mode}/{self.unlabeled or 'all'}"


def plan_study(config: StudyConfig) -> list[Cell]:
    """All cells, in the order in which they are run.

    Example:
        >>> from jaxcl.config import ArmConfig, ShiftConfig
        >>> arms = (ArmConfig("plain"), ArmConfig("within", ("true", "shuffled")))
        >>> study = StudyConfig(shifts=(ShiftConfig("color"),), arms=arms)
        >>> [cell.path for cell in plan_study(study)]
        ['color/plain/none/all', 'color/within/true/all', 'color/within/shuffled/all']
    """
    cells = [
        Cell(shift.name, target, arm.name, mode, rate, unlabeled)
        for shift in config.shifts
        for target in shift.targets or ("",)
        for unlabeled in config.unlabeled
        for arm in config.arms
        for mode in arm.modes
        for rate in rates_of(config, mode)
    ]
    paths = [cell.path.lower() for cell in cells]
    for cell, path in zip(cells, paths, strict=True):
        if paths.count(path) > 1:
            raise ConfigError(
                f"names of shifts and arms must differ in letters and digits, got two "
                f"for {cell.path!r}"
            )
    return cells


def find_arm(config: StudyConfig, name: str) -> ArmConfig:
    """The arm of a name."""
    return next(arm for arm in config.arms if arm.name == name)


def find_shift(config: StudyConfig, name: str) -> ShiftConfig:
    """The shift of a name."""
    return next(shift for shift in config.shifts if shift.name == name)


def name_with_mode(arm: str, mode: str, rate: float) -> str:
    """An arm and what it was told, as tables and figures call them.

    Example:
        >>> name_with_mode("CAD", "noisy", 0.3), name_with_mode("CAD", "true", 0.0)
        ('CAD (noisy 0.3)', 'CAD')
    """
    if mode in ("none", "true"):
        return arm
    return f"{arm} ({mode} {rate:g})" if rate else f"{arm} ({mode})"


def baseline_of(config: StudyConfig) -> str:
    """The arm that all others are compared with."""
    return config.baseline or config.arms[0].name


def config_of(
    config: StudyConfig, cell: Cell, seed: int, *, size: int = 0
) -> TrainConfig:
    """The run of a cell with a seed; it is checked.

    Seed for seed, the runs of all arms have the same initial parameters, order of
    samples, views, selection, and the same samples with worse metadata.

    Args:
        config: The study.
        cell: One of its cells.
        seed: Of the run.
        size: Training samples there are, of which `cell.unlabeled` are taken.
    """
    shift, arm = find_shift(config, cell.shift), find_arm(config, cell.arm)
    tree: dict[str, Any] = {}
    for fields in (config.base, shift.fields, arm.fields):
        tree = _merged(tree, fields)
    selection: dict[str, Any] = {"seed": seed}
    if cell.target:
        selection["held_out_domains"] = [cell.target]
    if cell.unlabeled and size:
        if cell.unlabeled > size:
            raise ConfigError(
                f"`unlabeled` must be at most the {size} training samples of shift "
                f"{cell.shift!r}, got {cell.unlabeled}"
            )
        selection["fraction"] = cell.unlabeled / size
    ood = "held_out" if cell.target else shift.ood_split
    data: dict[str, Any] = {
        "selection": selection,
        "test_splits": [shift.id_split, ood],
    }
    if cell.mode in _CORRUPTIONS:
        data["corruption"] = {
            "mode": _CORRUPTIONS[cell.mode],
            "column": arm.column,
            "rate": cell.rate or 1.0,
            "seed": seed,
        }
    tree = _merged(tree, {"seed": seed, "eval_every": 0, "data": data})
    try:
        made = from_dict(tree)
        made.check()
    except ConfigError as error:
        raise ConfigError(
            f"arm {cell.arm!r} under shift {cell.shift!r}: {error}"
        ) from error
    return made


def rates_of(config: StudyConfig, mode: MetadataMode) -> tuple[float, ...]:
    """The shares of the metadata that a mode makes worse, a cell each."""
    return {"noisy": config.noise, "dropped": config.dropped}.get(mode, (0.0,))


def _merged(tree: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts, the second's values over the first's."""
    merged = dict(tree)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-") or "x"
