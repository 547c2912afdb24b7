"""Configs as TOML files."""

import tomllib
from pathlib import Path
from typing import Any

from jaxcl.config._fields import ConfigError, as_dict, build, flatten
from jaxcl.config._recipes import RECIPES
from jaxcl.config._training import TrainConfig
from jaxcl.files import write_whole


def read_toml(path: str | Path, *, recipe: str = "custom") -> TrainConfig:
    """Reads a config; a wrong key or type is a `ConfigError` that names it.

    Args:
        path: A TOML file.
        recipe: An augmentation recipe that replaces the file's augmentation.

    Returns:
        The config with defaults filled in; `check` has not been called.
    """
    tree = read_tree(path)
    if recipe in RECIPES:
        # It was asked for explicitly, so it overrides the fields of the file too.
        chosen = {**RECIPES[recipe], "recipe": recipe}
        tree = {**tree, "augmentation": {**tree.get("augmentation", {}), **chosen}}
    return from_dict(tree)


def read_tree(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file; a `ConfigError` when it cannot be read."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            tree = tomllib.load(file)
    except OSError as error:
        raise ConfigError(
            f"config {str(path)!r} cannot be read: {error.strerror}"
        ) from error
    except ValueError as error:  # also a number of thousands of digits
        raise ConfigError(f"config {str(path)!r} is no TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"config {str(path)!r} is nested too deeply") from error
    return tree


def write_toml(config: TrainConfig, path: str | Path) -> None:
    """Writes every field of `config`, including defaults."""
    import tomli_w

    write_whole(Path(path), tomli_w.dumps(as_dict(config)))


def from_dict(tree: dict[str, Any]) -> TrainConfig:
    """A config from nested dicts; unknown names and wrong types are errors.

    `augmentation.recipe` sets the fields of the augmentation that are not given.

    Example:
        >>> from_dict({"seed": 3, "data": {"batch_size": 64}}).data.batch_size
        64
        >>> from_dict({"data": {"batchsize": 64}})
        Traceback (most recent call last):
        ...
        jaxcl.config.ConfigError: unknown field `data.batchsize`; did you mean
        `data.batch_size`?
    """
    return build(TrainConfig, _fill_recipe(tree))


def _fill_recipe(tree: dict[str, Any]) -> dict[str, Any]:
    given = tree.get("augmentation") if isinstance(tree, dict) else None
    recipe = given.get("recipe") if isinstance(given, dict) else None
    if not isinstance(recipe, str) or recipe not in RECIPES:
        return tree
    return {**tree, "augmentation": {**RECIPES[recipe], **dict(given or {})}}


def differing_fields(
    first: TrainConfig, second: TrainConfig
) -> dict[str, tuple[Any, Any]]:
    """The dotted names of the fields that differ, with both values."""
    one, two = flatten(as_dict(first)), flatten(as_dict(second))
    return {name: (one[name], two[name]) for name in one if one[name] != two[name]}
