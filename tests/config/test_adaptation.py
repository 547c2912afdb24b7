"""What of the networks is trained: fields that do not fit each other."""

import pytest

from jaxcl.config import ConfigError, from_dict


def broken(objective=None, num_steps=50, optimizer=None, **model):
    tree = {"model": model, "optimizer": optimizer or {}, "num_steps": num_steps}
    try:
        from_dict({**tree, "objective": objective or {}}).check()
    except ConfigError as error:
        return str(error).splitlines()
    return []


VIT = {"encoder": "vit_ti"}


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        ({"train": "all", "head_steps": 10}, {"layer_decay": 0.75}),
        ({"train": "head"}, {}),
        ({"train": "last_k", "last_k": 3, "head_steps": 49}, {"layer_decay": 0.75}),
        ({"train": "last_k", "encoder": "custom"}, {"layer_decay": 0.75}),
        (
            {"train": "lora", "lora_rank": 2, "lora_alpha": 4, "lora_layers": "mlp"}
            | VIT,
            {"layer_decay": 0.5},
        ),
    ],
)
def test_these_fit(model, optimizer):
    assert broken(optimizer=optimizer, **model) == []


@pytest.mark.parametrize("mode", ["all", "head", "last_k", "lora"])
@pytest.mark.parametrize(
    ("field", "value", "user"),
    [
        ("last_k", 3, "last_k"),
        ("lora_rank", 2, "lora"),
        ("lora_alpha", 2.0, "lora"),
        ("lora_layers", "mlp", "lora"),
    ],
)
def test_a_field_that_the_mode_ignores_must_be_left_alone(mode, field, value, user):
    lines = broken(train=mode, **VIT, **{field: value})
    rule = f"be left alone: model.train = {mode!r} does not use it; {user!r} does"
    expected = [f"`model.{field}` must {rule}, got {value!r}"]
    assert lines == ([] if mode == user else expected)


def test_an_encoder_that_never_changes_has_no_rate_and_no_average():
    lines = broken(
        train="head", head_steps=3, average=0.9, optimizer={"layer_decay": 0.5}
    )
    reason = "with model.train = 'head', which never changes the encoder"
    assert lines == [
        f"`model.head_steps` must be 0 {reason}, got 3",
        f"`model.average` must be 0 {reason}, got 0.9",
        f"`optimizer.layer_decay` must be 1 {reason}, got 0.5",
    ]


@pytest.mark.parametrize("encoder", ["resnet18", "convnet", "mlp", "custom"])
def test_lora_is_for_transformers(encoder):
    rule = f"be 'all', 'head' or 'last_k' with {encoder}, which is no ViT"
    assert broken(train="lora", encoder=encoder) == [
        f"`model.train` must {rule}, got 'lora'"
    ]


def test_the_encoder_must_get_its_turn():
    (line,) = broken(head_steps=50)
    assert line == "`model.head_steps` must be less than num_steps = 50, got 50"


@pytest.mark.parametrize("model", [{"train": "head"}, {"head_steps": 2}])
def test_something_after_the_encoder_must_have_parameters(model):
    (line,) = broken(head_layers=0, **model)
    assert line.startswith("`model.head_layers` must be at least 1 where only what")
    for objective in ({"name": "byol"}, {"name": "cross_entropy"}):
        assert broken(objective, head_layers=0, **model) == []
    assert broken({"cross_entropy": 0.5}, head_layers=0, **model) == []


@pytest.mark.parametrize("decay", [0.0, 1.1])
def test_the_decay_is_a_share(decay):
    (line,) = broken(optimizer={"layer_decay": decay})
    assert line == f"`optimizer.layer_decay` must be within (0, 1], got {decay}"
