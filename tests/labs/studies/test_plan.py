import copy
import dataclasses

import pytest
from labs.studies.small_studies import SMALL, TREE

from jaxcl.config import ConfigError, as_dict, read_study, study_from_dict
from jaxcl.labs.studies import plan_study
from jaxcl.labs.studies._plan import config_of


def changed(**changes):
    """The small study with other top-level fields."""
    return study_from_dict({**copy.deepcopy(TREE), **changes})


def test_every_mode_and_rate_has_a_cell():
    arm = {"name": "within", "modes": ["true", "noisy", "dropped", "inferred"]}
    study = changed(arms=[TREE["arms"][0], arm], noise=[0.1, 0.5], unlabeled=[0, 300])
    paths = [cell.path for cell in plan_study(study)]
    assert len(paths) == len(set(paths)) == 2 * 6
    assert "color/within/noisy-0.1/300" in paths
    assert "color/within/dropped-0.5/all" in paths


def test_every_domain_is_held_out_in_turn():
    shift = {**TREE["shifts"][0], "targets": ["red", "blue"], "id_split": "validation"}
    shift["fields"] = {"data": {"selection": {"validation_fraction": 0.2}}}
    study = changed(shifts=[shift])
    cells = plan_study(study)
    assert {cell.target for cell in cells} == {"red", "blue"}
    data = config_of(study, cells[0], 3).data
    assert data.selection.held_out_domains == (cells[0].target,)
    assert data.selection.validation_fraction == 0.2
    assert data.test_splits == ("validation", "held_out")


def test_runs_of_a_seed_differ_between_arms_in_nothing_but_the_arm():
    plain, true, shuffled = plan_study(SMALL)
    cells = plain, true, shuffled
    first, second, third = (config_of(SMALL, cell, 1) for cell in cells)
    assert first.seed == second.seed == third.seed == 1
    assert first.data == second.data
    assert second.objective == third.objective
    assert third.data.corruption.mode == "shuffle"
    assert third.data.corruption.column == "domain"
    corruption = second.data.corruption
    assert dataclasses.replace(third.data, corruption=corruption) == second.data


def test_a_count_of_samples_becomes_that_share():
    cell = plan_study(changed(unlabeled=[300]))[0]
    assert config_of(SMALL, cell, 0, size=1200).data.selection.fraction == 0.25
    with pytest.raises(ConfigError, match="`unlabeled` must be at most the 200"):
        config_of(SMALL, cell, 0, size=200)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "`seeds` must be at least 1, got 0"),
        ({"arms": TREE["arms"][:1]}, "`arms` must be at least 2, got 1"),
        ({"arms": [TREE["arms"][0]] * 2}, "`arms` must differ in name"),
        ({"shifts": []}, "`shifts` must be at least 1"),
        ({"baseline": "plane"}, "`baseline` must be the name of an arm, got 'plane'"),
        ({"noise": [1.5]}, "`noise` must be shares"),
        (
            {"analysis": {"labels": [1], "primary_labels": 2}},
            "`analysis.primary_labels` must be one of",
        ),
    ],
)
def test_a_broken_rule_is_named(changes, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        changed(**changes).check()


@pytest.mark.parametrize("fields", [{"seed": 3}, {"data": {"selection": {}}}])
def test_an_arm_with_seeds_of_its_own_is_refused(fields):
    arms = [TREE["arms"][0], {"name": "other", "fields": fields}]
    with pytest.raises(ConfigError, match="arm 'other' must not set `seed`"):
        changed(arms=arms).check()


def test_an_unknown_field_of_an_arm_names_the_nearest():
    with pytest.raises(ConfigError, match=r"`arms\[0\]\.mode`; did you mean `arms\[0"):
        changed(arms=[{"name": "a", "mode": ["true"]}])
    arms = [TREE["arms"][0], {"name": "b", "fields": {"objective": {"nam": "dcl"}}}]
    study = changed(arms=arms)
    with pytest.raises(ConfigError, match=r"arm 'b' under shift 'color': .*`objective"):
        config_of(study, plan_study(study)[1], 0)


def test_names_that_give_the_same_folder_are_refused():
    arms = [{"name": "a b"}, {"name": "a-b"}]
    with pytest.raises(ConfigError, match="must differ in letters and digits"):
        plan_study(changed(arms=arms))


def test_a_study_is_read_as_it_was_written(tmp_path):
    tomli_w = pytest.importorskip("tomli_w")
    file = tmp_path / "study.toml"
    file.write_text(tomli_w.dumps(as_dict(SMALL)))
    assert read_study(file) == SMALL
    with pytest.raises(ConfigError, match="cannot be read"):
        read_study(tmp_path / "none.toml")
    file.write_text("seeds = ")
    with pytest.raises(ConfigError, match="is no TOML"):
        read_study(file)
