import ast
import dataclasses
import inspect
import typing
from dataclasses import is_dataclass

import pytest

import jaxcl.config
from jaxcl.config import (
    ConfigError,
    DataConfig,
    ObjectiveConfig,
    TrainConfig,
    as_dict,
    differing_fields,
    from_dict,
    read_toml,
    write_toml,
)


def test_a_config_survives_its_own_file(tmp_path):
    config = TrainConfig(seed=3, data=DataConfig(test_splits=("a", "b"), domain="d"))
    write_toml(config, tmp_path / "config.toml")
    assert read_toml(tmp_path / "config.toml") == config


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"sed": 1}, "unknown field `sed`; did you mean `seed`?"),
        (
            {"objective": {"temprature": 1.0}},
            "unknown field `objective.temprature`; "
            "did you mean `objective.temperature`?",
        ),
        (
            {"batch_size": 8},
            "unknown field `batch_size`; did you mean `data.batch_size`?",
        ),
        ({"data": 3}, "`data` must be a table, got 3"),
        ({"seed": "1"}, "`seed` must be an int, got '1' (str)"),
        ({"seed": True}, "`seed` must be an int, got True (bool)"),
        ({"seed": 1.0}, "`seed` must be an int, got 1.0 (float)"),
        (
            {"objective": {"name": "nt_xnet"}},
            "got 'nt_xnet'; did you mean `nt_xent`?",
        ),
        ({"data": {"test_splits": "test"}}, "must be a list, got 'test'"),
        (
            {"augmentation": {"crop_scale": [0.1]}},
            "`augmentation.crop_scale` must have 2 values, got [0.1]",
        ),
    ],
)
def test_a_wrong_field_is_named(tree, message):
    with pytest.raises(ConfigError) as raised:
        from_dict(tree)
    assert message in str(raised.value)


def test_an_integer_is_accepted_as_a_float():
    temperature = from_dict({"objective": {"temperature": 1}}).objective.temperature
    assert temperature == 1.0
    assert isinstance(temperature, float)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"objective": {"temperature": 0}}, "`objective.temperature` must be positive"),
        ({"objective": {"temperature": float("nan")}}, "must be positive, got nan"),
        ({"num_steps": 0}, "`num_steps` must be at least 1, got 0"),
        ({"data": {"views": 3}}, "`data.views` must be 2"),
        ({"objective": {"name": "within_domain"}}, "`data.domain` must name a column"),
        ({"augmentation": {"crop_scale": [0.5, 0.2]}}, "an increasing pair"),
        ({"augmentation": {"flip": 1.5}}, "a probability"),
        ({"data": {"batch_size": 1}}, "`data.batch_size` must be at least 2, got 1"),
        ({"data": {"sampler": {"cap": 0.5}}}, "must be at least 1, got 0.5"),
        ({"data": {"selection": {"fraction": 0.0}}}, "must be within (0, 1], got 0.0"),
        (
            {"data": {"selection": {"validation_fraction": 1.0}}},
            "`data.selection.validation_fraction` must be within [0, 1), got 1.0",
        ),
        ({"optimizer": {"final_rate": 1.1}}, "must be within [0, 1], got 1.1"),
        ({"optimizer": {"momentum": 1.5}}, "must be within [0, 1), got 1.5"),
        ({"optimizer": {"learning_rate": float("inf")}}, "must be finite, got inf"),
        ({"objective": {"epsilon": float("nan")}}, "must be finite, got nan"),
        (
            {"augmentation": {"blur_sigma": [0.1, float("inf")]}},
            "`augmentation.blur_sigma` must be finite, got [0.1, inf]",
        ),
        (
            {"optimizer": {"drop_at": [0.5, 1.0]}},
            "`optimizer.drop_at` must be shares within (0, 1), got [0.5, 1.0]",
        ),
        (
            {"augmentation": {"blur_sigma": [2.0, 1.0]}},
            "must be an increasing pair of positive numbers, got [2.0, 1.0]",
        ),
        ({"augmentation": {"blur_size": 4}}, "must be odd, got 4"),
        (
            {"data": {"test_splits": ["a", "a"]}},
            "must not repeat a split, got ['a', 'a'",
        ),
        (
            {"data": {"label": ""}, "objective": {"name": "supcon"}},
            "`data.label` must name a column for objective.name = 'supcon', got ''",
        ),
        (
            {"data": {"label": "", "selection": {"per_class": 3}}},
            "`data.label` must name a column for data.selection.per_class, got ''",
        ),
        ({"distributed": {"timeout": 0}}, "must be positive, got 0"),
        (
            {"num_steps": 5, "steps_per_dispatch": 2},
            "`num_steps` must be a multiple of steps_per_dispatch = 2, got 5",
        ),
        (
            {"augmentation": {"on": "host"}},
            "unless data.pipeline = 'tf_data', got 'host'",
        ),
        ({"augmentation": {"plain_views": 3}}, "must be at most `data.views`, got 3"),
        ({"data": {"table": "a.csv"}}, "must come with data.path, got 'a.csv'"),
        ({"data": {"missing": ["x"]}}, "must come with data.table, got ['x']"),
        ({"data": {"white": 255.0}}, "must come with data.path, got 255"),
        (
            {"data": {"sampler": {"name": "importance"}}},
            "`data.bias` must name a column for data.sampler.name = 'importance'",
        ),
    ],
)
def test_a_broken_rule_is_named(tree, message):
    with pytest.raises(ConfigError) as raised:
        from_dict(tree).check()
    assert message in str(raised.value)


# Numbers that may have any value.
UNBOUNDED = {"num_processes", "process_id", "epsilon"}


def test_every_number_of_a_training_config_has_a_bound():
    unbounded, kinds = set(), [TrainConfig]
    for kind in kinds:
        for name, hint in typing.get_type_hints(kind, include_extras=True).items():
            if is_dataclass(hint):
                kinds.append(hint)
            elif not hasattr(hint, "__metadata__"):
                numbers = {hint, *typing.get_args(hint)} & {int, float}
                unbounded |= {name} if numbers else set()
    assert len(kinds) > 10 and unbounded == UNBOUNDED


def test_all_broken_rules_are_named_at_once():
    config = TrainConfig(num_steps=0, objective=ObjectiveConfig(temperature=-1.0))
    with pytest.raises(ConfigError) as raised:
        config.check()
    assert len(str(raised.value).splitlines()) == 2


def test_a_file_that_is_not_toml_is_named(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("seed = = 1")
    with pytest.raises(ConfigError, match="is no TOML"):
        read_toml(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(tmp_path / "missing.toml")


def test_differing_fields_have_dotted_names_and_both_values():
    first = TrainConfig()
    second = dataclasses.replace(first, objective=ObjectiveConfig(temperature=0.5))
    assert differing_fields(first, second) == {"objective.temperature": (0.2, 0.5)}


def test_every_field_has_a_docstring():
    configs = [kind for kind in vars(jaxcl.config).values() if is_dataclass(kind)]
    assert len(configs) > 10
    for kind in configs:
        (tree,) = ast.parse(inspect.getsource(kind)).body
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(text, ast.Expr), f"{kind.__name__}.{field.target.id}"


def test_a_config_is_made_of_plain_values():
    assert as_dict(TrainConfig())["augmentation"]["crop_scale"] == [0.4, 1.0]


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "a = " + "{b=" * 100_000, "a" + ".a" * 100_000]
)
def test_a_config_that_is_nested_deeply_is_refused(tmp_path, text):
    (tmp_path / "deep.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"deep.toml' is (nested too deeply|no TOML)"):
        read_toml(tmp_path / "deep.toml")
