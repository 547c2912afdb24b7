"""A study as a list of cells, and the config of each run."""

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

PLACEBO: MetadataMode = "shuffled"
_CORRUPTIONS = {
    "shuffled": "shuffle",
    "noisy": "noise",
    "dropped": "drop",
    "inferred": "infer",
}


class Cell(NamedTuple):
    """What runs have in common that differ only in their seed."""

    shift: str
    target: str
    """The held-out domain; empty = none."""
    arm: str
    mode: MetadataMode
    rate: float
    """Share of noisy or dropped metadata; 0 in other modes."""
    unlabeled: int
    """Number of training samples; 0 = all."""

    @property
    def path(self) -> str:
        """Folder of its runs, inside the directory of the study."""
        shift = _slug(self.shift) + (f"~{_slug(self.target)}" if self.target else "")
        mode = self.mode + (f"-{self.rate:g}" if self.rate else "")
        return f"{shift}/{_slug(self.arm)}/{mode}/{self.unlabeled or 'all'}"


def plan_study(config: StudyConfig) -> list[Cell]:
    """Lists all cells in the order in which they run.

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
    """The arm with that name."""
    return next(arm for arm in config.arms if arm.name == name)


def find_baseline(config: StudyConfig) -> ArmConfig:
    """The arm that all others are compared with, in the first of its modes."""
    return find_arm(config, config.baseline) if config.baseline else config.arms[0]


def list_blocks(config: StudyConfig) -> list[tuple[ShiftConfig, int]]:
    """Every shift with every number of training samples."""
    return [(shift, count) for shift in config.shifts for count in config.unlabeled]


def name_with_mode(arm: str, mode: str, rate: float) -> str:
    """The name of an arm with its metadata mode, for tables and figures.

    Example:
        >>> name_with_mode("CAD", "noisy", 0.3), name_with_mode("CAD", "true", 0.0)
        ('CAD (noisy 0.3)', 'CAD')
    """
    if mode in ("none", "true"):
        return arm
    return f"{arm} ({mode} {rate:g})" if rate else f"{arm} ({mode})"


def config_of(
    config: StudyConfig, cell: Cell, seed: int, *, size: int = 0
) -> TrainConfig:
    """The checked config of one run.

    For each seed, runs of all arms share initial parameters, order of samples, views
    and selection. They also share the samples whose metadata are corrupted.

    Args:
        config: The study.
        cell: One of its cells.
        seed: Seed of the run.
        size: Number of training samples of the shift, of which `cell.unlabeled` are
            used.
    """
    shift = next(shift for shift in config.shifts if shift.name == cell.shift)
    arm = find_arm(config, cell.arm)
    run = {"seed": seed, "eval_every": 0, "data": _data_fields(shift, arm, cell, seed)}
    if cell.unlabeled and size:
        run["data"]["selection"]["fraction"] = _fraction(cell, size)
    tree: dict[str, Any] = {}
    for fields in (config.base, shift.fields, arm.fields, run):
        tree = _merged(tree, fields)
    try:
        made = from_dict(tree)
        made.check()
    except ConfigError as error:
        raise ConfigError(
            f"arm {cell.arm!r} under shift {cell.shift!r}: {error}"
        ) from error
    return made


def _data_fields(
    shift: ShiftConfig, arm: ArmConfig, cell: Cell, seed: int
) -> dict[str, Any]:
    selection: dict[str, Any] = {"seed": seed}
    if cell.target:
        selection["held_out_domains"] = [cell.target]
    ood = "held_out" if cell.target else shift.ood_split
    fields = {"selection": selection, "test_splits": [shift.id_split, ood]}
    if cell.mode in _CORRUPTIONS:
        fields["corruption"] = {
            "mode": _CORRUPTIONS[cell.mode],
            "column": arm.column,
            "rate": cell.rate or 1.0,
            "seed": seed,
        }
    return fields


def _fraction(cell: Cell, size: int) -> float:
    if cell.unlabeled > size:
        raise ConfigError(
            f"`unlabeled` must be at most the {size} training samples of shift "
            f"{cell.shift!r}, got {cell.unlabeled}"
        )
    return cell.unlabeled / size


def rates_of(config: StudyConfig, mode: MetadataMode) -> tuple[float, ...]:
    """The shares of corrupted metadata in a mode, one cell each."""
    return {"noisy": config.noise, "dropped": config.dropped}.get(mode, (0.0,))


def _merged(tree: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merges nested dicts; values of the second replace those of the first."""
    merged = dict(tree)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-") or "x"
