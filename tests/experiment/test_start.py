"""A run starts from weights: those of a file, or of another run."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import last_state, small

import jaxcl
from jaxcl.config import ConfigError
from jaxcl.experiment import export_run, load, make_experiment
from jaxcl.experiment._report import evaluate_states
from jaxcl.models import Architecture, Pretrained, load_pretrained, save_pretrained
from jaxcl.runtime import NonFiniteError, Progress
from jaxcl.training import make_devices

TINY = {"size": "ti", "depth": 2, "dim": 16, "heads": 2, "patch_size": 4}
QUICK = {
    "num_steps": 3,
    "checkpoint_every": 2,
    "eval_every": 0,
    "data__test_splits": (),
    "evaluation__max_train": 40,
}


def from_file(path, **changes):
    return small(
        **QUICK,
        model__encoder="pretrained",
        model__init=str(path),
        model__width=32,
        model__stages=3,
        **changes,
    )


def noisy(tree, seed):
    """Arrays that no initializer makes."""
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda x: x + 0.1 * draw.normal(size=x.shape), tree)


def weights_of(architecture, image_shape, seed=0):
    made = architecture.make_encoder(image_shape)
    params, state = made.init(jax.random.key(seed), jnp.zeros((1, *image_shape)))
    mean, std = (0.5,) * image_shape[-1], (0.25,) * image_shape[-1]
    return Pretrained(architecture, noisy(params, seed), state, image_shape, mean, std)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A small ViT for images of 16 pixels, under timm's names."""
    path = tmp_path_factory.mktemp("start") / "tiny.safetensors"
    made = Architecture("vit", {**TINY, "positions": "learned"})
    save_pretrained(weights_of(made, (16, 16, 3)), path)
    return path


@pytest.fixture(scope="module")
def adapted(vit, tmp_path_factory):
    """A run that trained LoRA on these weights, and its report."""
    workdir = tmp_path_factory.mktemp("start") / "run"
    config = from_file(vit, model__train="lora", model__lora_rank=2)
    return workdir, jaxcl.train(config, workdir, quiet=True)


def on_device(params):
    return jax.tree.map(jnp.asarray, params)


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_all_copies_of_the_encoder_start_from_the_weights(vit):
    config = from_file(vit, model__average=0.9)
    config = replace(config, objective=replace(config.objective, name="byol"))
    experiment = make_experiment(config, make_devices())
    state, weights = experiment.init(), load_pretrained(vit)
    for copy in (state.params["encoder"], state.target["params"]["encoder"]):
        same(copy, weights.params)
    same(state.average["params"], weights.params)
    leaves = jax.tree.leaves((state.params, state.target, state.average))
    places = [leaf.unsafe_buffer_pointer() for leaf in leaves]
    assert len(set(places)) == len(places)  # the step gives their memory away


def test_images_are_normalized_as_the_weights_need(vit):
    experiment = make_experiment(from_file(vit), make_devices())
    images = np.random.default_rng(0).random((2, 16, 16, 3)).astype(np.float32)
    weights = load_pretrained(vit)
    bare = weights.architecture.make_encoder((16, 16, 3))
    scaled = jnp.asarray((images - 0.5) / 0.25)
    wanted, _ = bare.apply(
        on_device(weights.params), {}, scaled, False, jax.random.key(0)
    )
    found = experiment.encode(experiment.init(), jnp.asarray(images))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_run_goes_on_from_another(adapted, tmp_path):
    first, _ = adapted
    config = from_file(first)
    report = jaxcl.train(config, tmp_path / "next", quiet=True)
    start = load(first)
    same(make_experiment(config, make_devices()).init().params["encoder"], start.params)
    assert report["notes"][0] == f"`model.init`: starts from {first}, weights of jaxcl"
    out = tmp_path / "encoder.safetensors"
    page = export_run(tmp_path / "next", out, to="safetensors").card.read_text()
    assert "- Starts from: `run`, weights of `jaxcl`; all of them were" in page
    # Neither needs the file, nor the run, that it started from.
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    moved = first.rename(first.parent / "away")
    try:
        rows = load(tmp_path / "next").encode(images)
        assert rows.shape == (3, 16) and np.isfinite(rows).all()
        assert np.abs(rows - start.encode(images)).max() > 0
    finally:
        moved.rename(first)


@pytest.mark.slow
def test_what_lora_learned_is_merged(adapted):
    workdir, _ = adapted
    config = from_file(
        load(workdir).config.model.init, model__train="lora", model__lora_rank=2
    )
    experiment, state = make_experiment(config, make_devices()), last_state(workdir)
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    wanted = experiment.encode(state, jnp.asarray(images, jnp.float32) / 255.0)
    found = load(workdir)
    assert "lora_a" not in str(jax.tree.structure(found.params))
    np.testing.assert_allclose(found.encode(images), wanted, rtol=1e-4, atol=1e-5)
    start = load_pretrained(config.model.init)
    kernel = ["block0", "qkv", "kernel"]
    before, after = start.params, found.params
    for name in kernel:
        before, after = before[name], after[name]
    assert np.abs(np.asarray(after) - before).max() > 0


@pytest.mark.slow
def test_other_weights_under_the_same_name_are_refused(vit, tmp_path):
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(vit.read_bytes())
    config = from_file(path)
    jaxcl.train(replace(config, num_steps=2), tmp_path / "run", quiet=True)
    made = Architecture("vit", {**TINY, "positions": "learned"})
    save_pretrained(weights_of(made, (16, 16, 3), seed=1), path)
    with pytest.raises(ConfigError, match=r"the weights of `model\.init` must be what"):
        jaxcl.train(replace(config, num_steps=2), tmp_path / "run", quiet=True)
    # Their normalization would be that of the evaluation too.
    with pytest.raises(ConfigError, match=r"the weights of `model\.init` must be what"):
        jaxcl.evaluate(tmp_path / "run", quiet=True)


def test_mean_and_std_can_be_given(vit):
    config = from_file(vit, model__init_mean=(0.1, 0.2, 0.3))
    experiment = make_experiment(config, make_devices())
    assert experiment.start.mean == (0.1, 0.2, 0.3)
    assert experiment.start.std == (0.25, 0.25, 0.25)


def test_gray_images_are_repeated_for_three_channels(vit):
    weights = load_pretrained(vit)
    encoder = weights.make_encoder((16, 16, 1))
    images = np.random.default_rng(0).random((2, 16, 16, 1)).astype(np.float32)
    rows, _ = encoder.apply(
        on_device(weights.params), {}, jnp.asarray(images), False, jax.random.key(0)
    )
    color = jnp.repeat(images, 3, -1)
    wanted, _ = weights.make_encoder().apply(
        on_device(weights.params), {}, color, False, jax.random.key(0)
    )
    np.testing.assert_allclose(rows, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__init": "nowhere.safetensors"}, "is not there"),
        ({"data__image_size": 18}, "a multiple of the 4 pixels of a patch"),
        ({"model__init_std": (0.5,)}, "a number for each of 3 channels"),
    ],
)
def test_what_cannot_start_says_why(vit, changes, message):
    config = from_file(vit)
    for name, value in changes.items():
        table, field = name.split("__")
        part = replace(getattr(config, table), **{field: value})
        config = replace(config, **{table: part})
    with pytest.raises(ConfigError, match=message):
        make_experiment(config, make_devices())


def test_lora_of_an_encoder_without_such_layers_says_why(tmp_path):
    made = Architecture("convnet", {"width": 4, "stages": 2})
    save_pretrained(weights_of(made, (16, 16, 3)), tmp_path / "conv.safetensors")
    config = from_file(tmp_path / "conv.safetensors", model__train="lora")
    with pytest.raises(ConfigError, match="'lora' is for ViTs"):
        make_experiment(config, make_devices())


def test_embeddings_that_are_not_finite_are_not_judged():
    experiment = make_experiment(small(**QUICK), make_devices())
    state = experiment.init()
    broken = experiment._replace(
        encode=lambda state, images: experiment.encode(state, images) * jnp.nan
    )
    with pytest.raises(NonFiniteError, match="40 of 40 embeddings of train"):
        evaluate_states(broken, make_devices(), state, state, Progress(1, quiet=True))
