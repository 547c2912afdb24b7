"""Rules between fields: what an objective needs of the rest of a config."""

from pathlib import Path

import pytest

from jaxcl.config import (
    OBJECTIVES,
    PENALTIES,
    ConfigError,
    ObjectiveConfig,
    from_dict,
    read_toml,
)

ROOT = Path(__file__).parents[2] / "configs"
CONFIGS = sorted({*ROOT.rglob("*.toml")} - {*(ROOT / "studies").rglob("*.toml")})
COLUMNS = {"domain": "place", "bias": "color"}
NO_COLUMN = {"label": ""}
# A value of every knob that differs from its default.
CHANGED = {
    "temperature": 0.3,
    "learn_temperature": True,
    "positives": "same(label)",
    "negatives": "different(label)",
    "form": "in",
    "label_weight": 0.2,
    "hinge": True,
    "epsilon": 0.5,
    "normalize_groups": True,
    "same_domain_weight": 0.25,
    "metadata": ["age"],
    "bandwidth": 2.0,
    "ridge": 0.5,
    "queue_size": 64,
    "momentum": 0.9,
    "momentum_schedule": "cosine",
    "invariance_weight": 1.0,
    "variance_weight": 1.0,
    "covariance_weight": 2.0,
    "redundancy_weight": 0.1,
}


# Objectives that compare columns of metadata.
OF_METADATA = [name for name, row in OBJECTIVES.items() if "metadata" in row.knobs]
OF_ANCHORS = [name for name, row in PENALTIES.items() if row.per_anchor]


def columns_of(name):
    """The columns that a config must name for an objective."""
    return [column for column in OBJECTIVES[name].columns if column != "instance"]


def needed(name):
    """The smallest config with which an objective runs."""
    objective = {"name": name}
    if name in OF_METADATA:
        objective["metadata"] = ["age"]
    columns = {column: COLUMNS.get(column, "kind") for column in columns_of(name)}
    return {"data": columns, "objective": objective}


def broken(tree):
    """The rules that a config breaks, one a line."""
    try:
        from_dict(tree).check()
    except ConfigError as error:
        return str(error).splitlines()
    return []


def changed(name, **tables):
    """The smallest config of an objective with some changes, table by table."""
    tree = needed(name)
    for table, fields in tables.items():
        tree[table] = {**tree.get(table, {}), **fields}
    return tree


each_objective = pytest.mark.parametrize("name", OBJECTIVES)
each_penalty = pytest.mark.parametrize("penalty", PENALTIES)


def test_every_knob_is_changed_here():
    knobs = {knob for row in OBJECTIVES.values() for knob in row.knobs}
    assert set(CHANGED) == knobs
    plain = ObjectiveConfig()
    for knob, value in CHANGED.items():
        assert getattr(plain, knob) != value


@pytest.mark.parametrize(
    "path", CONFIGS, ids=[str(path.relative_to(path.parents[1])) for path in CONFIGS]
)
def test_every_shipped_config_keeps_the_rules(path):
    read_toml(path).check()


def test_there_are_shipped_configs():
    assert CONFIGS


@each_objective
def test_what_an_objective_needs_is_enough(name):
    assert broken(needed(name)) == []


@each_objective
def test_an_objective_accepts_its_own_knobs(name):
    knobs = {knob: CHANGED[knob] for knob in OBJECTIVES[name].knobs}
    assert broken(changed(name, objective=knobs)) == []


@each_objective
def test_a_knob_of_another_objective_must_be_left_alone(name):
    for knob in set(CHANGED) - set(OBJECTIVES[name].knobs):
        (line,) = broken(changed(name, objective={knob: CHANGED[knob]}))
        field, _, rest = line.partition(" must be left alone: ")
        assert field == f"`objective.{knob}`"
        said, _, rest = rest.partition(" does not use it; ")
        users, _, got = rest.partition(", got ")
        users, _, verb = users.rpartition(" ")
        known = {other for other, row in OBJECTIVES.items() if knob in row.knobs}
        assert (said, set(users.split(", "))) == (name, known)
        assert verb == ("does" if len(known) == 1 else "do")
        assert got == repr(CHANGED[knob])


def test_all_broken_rules_are_reported():
    tree = {"objective": {"name": "vicreg", "epsilon": 1.0, "hinge": True}}
    assert broken(tree) == [
        "`objective.hinge` must be left alone: vicreg does not use it; contex does, "
        "got True",
        "`objective.epsilon` must be left alone: vicreg does not use it; "
        "epsilon_sup_info_nce does, got 1.0",
    ]


@pytest.mark.parametrize(
    ("name", "column"),
    [(name, column) for name in OBJECTIVES for column in columns_of(name)],
)
def test_a_column_that_an_objective_needs_must_be_named(name, column):
    tree = {**needed(name)}
    tree["data"] = {**tree["data"], column: ""}
    rule = f"must name a column for objective.name = {name!r}, got ''"
    assert broken(tree) == [f"`data.{column}` {rule}"]


@pytest.mark.parametrize("name", OF_METADATA)
def test_columns_of_metadata_that_an_objective_needs_must_be_named(name):
    tree = {"objective": {"name": name}}
    rule = f"must name columns of numbers or ids for {name}, got []"
    assert broken(tree) == [f"`objective.metadata` {rule}"]


@each_penalty
def test_a_column_that_a_penalty_needs_must_be_named(penalty):
    tree = {"data": NO_COLUMN, "objective": {"penalties": {penalty: 0.5}}}
    rule = f"must name a column for objective.penalties.{penalty}, got ''"
    columns = PENALTIES[penalty].columns
    assert broken(tree) == [f"`data.{column}` {rule}" for column in columns]
    assert broken({**tree, "data": COLUMNS}) == []


@pytest.mark.parametrize(
    ("objective", "line"),
    [
        (
            {"group_dro": 0.1},
            "`data.domain` must name a column for objective.group_dro, got ''",
        ),
        (
            {"balance": True, "cross_entropy": 0.01},
            "`data.bias` must name a column for objective.balance, got ''",
        ),
        (
            {"balance": True, "name": "cross_entropy"},
            "`data.bias` must name a column for objective.balance, got ''",
        ),
    ],
)
def test_what_is_added_to_a_loss_asks_for_its_column(objective, line):
    assert broken({"objective": objective}) == [line]
    assert broken({"objective": objective, "data": COLUMNS}) == []


COMPARES_TWO = {
    "nt_xent",
    "info_nce",
    "dcl",
    "dhel",
    "sigmoid",
    "spectral",
    "moco_v2",
    "moco_v3",
    "vicreg",
    "barlow_twins",
    "byol",
    "simsiam",
}


@each_objective
@pytest.mark.parametrize("views", [1, 3])
def test_objectives_ask_for_the_views_they_compare(name, views):
    lines = broken(changed(name, data={"views": views}))
    at_least = "`data.views` must be at least 2 for a loss that compares views, got 1"
    expected = []
    if name in COMPARES_TWO:
        reason = f"objective.name = {name!r}"
        expected.append(f"`data.views` must be 2 for {reason}, got {views}")
    if views == 1 and name != "cross_entropy":
        expected.append(at_least)
    assert lines == expected


@each_objective
def test_objectives_of_two_views_do_not_take_small_views(name):
    lines = broken(changed(name, augmentation={"small_views": 4}))
    reason = f"objective.name = {name!r}, which compares two views"
    rule = f"`augmentation.small_views` must be 0 for {reason}, got 4"
    assert lines == ([rule] if name in COMPARES_TWO else [])


def test_a_penalty_may_ask_for_two_views():
    objective = {"penalties": {"negative_variance": 1.0}}
    tree = changed("supcon", objective=objective, data={"views": 3})
    reason = "objective.penalties.negative_variance"
    assert broken(tree) == [f"`data.views` must be 2 for {reason}, got 3"]
    small = changed("supcon", objective=objective, augmentation={"small_views": 2})
    rule = f"must be 0 for {reason}, which compares two views, got 2"
    assert broken(small) == [f"`augmentation.small_views` {rule}"]


def test_a_penalty_of_two_views_is_not_for_networks_that_see_one_view():
    objective = {"penalties": {"negative_variance": 1.0}}
    assert broken(changed("moco_v2", objective=objective))


@each_objective
@pytest.mark.parametrize("field", [*OF_ANCHORS, "group_dro"])
def test_penalties_on_anchor_losses_need_an_objective_that_has_them(name, field):
    added = {"group_dro": 0.5} if field == "group_dro" else {"penalties": {field: 0.5}}
    lines = broken(changed(name, objective=added, data=COLUMNS))
    path = field if field == "group_dro" else f"penalties.{field}"
    rule = f"must be 0 with {name}, which has no loss for each anchor, got 0.5"
    without = {"spectral", "vicreg", "barlow_twins"}
    assert lines == ([f"`objective.{path}` {rule}"] if name in without else [])


def test_balance_needs_a_cross_entropy():
    tree = {"objective": {"balance": True}, "data": COLUMNS}
    rule = "must be false without a cross-entropy, got True"
    assert broken(tree) == [f"`objective.balance` {rule}"]


@each_objective
def test_the_rate_of_the_predictor_needs_a_predictor(name):
    lines = broken(changed(name, optimizer={"constant_predictor_rate": True}))
    rule = f"must be false with {name}, which has no predictor, got True"
    expected = [f"`optimizer.constant_predictor_rate` {rule}"]
    assert lines == ([] if name in {"moco_v3", "byol", "simsiam"} else expected)


START = {"encoder": "pretrained", "init": "vit_small.safetensors"}


def test_a_config_can_start_from_weights():
    assert broken(changed("nt_xent", model=START)) == []
    (rule,) = broken(changed("nt_xent", model={"init_mean": [0.5]}))
    assert rule.startswith("`model.init_mean` must come with model.init")


@pytest.mark.parametrize(
    ("table", "fields", "field"),
    [
        ("model", {"encoder": "pretrained", "init": ""}, "model.init"),
        ("model", {"encoder": "resnet18"}, "model.encoder"),
        ("model", {"width": 8}, "model.width"),
        ("model", {"norm": "group"}, "model.norm"),
        ("model", {"patch_size": 8}, "model.patch_size"),
        ("data", {"normalization": "train"}, "data.normalization"),
    ],
)
def test_what_the_weights_decide_is_left_alone(table, fields, field):
    tree = changed("nt_xent", model=START)
    tree[table] = {**tree.get(table, {}), **fields}
    (rule,) = broken(tree)
    assert rule.startswith(f"`{field}` must ")
