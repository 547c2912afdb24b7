"""An encoder is loaded from its run alone, and embeds images as the run does."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image
from small_runs import TAKEN, last_state, small

import jaxcl
from jaxcl.config import ConfigError
from jaxcl.data import BadRecords, open_split, read_images
from jaxcl.experiment import load
from jaxcl.models import from_nnx
from jaxcl.runtime import CheckpointError, WorkdirError

CHANGES = {
    "num_steps": 2,
    "eval_every": 0,
    "data__test_splits": (),
    "evaluation__max_train": 40,
}


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("load") / "averaged"
    jaxcl.train(small(**CHANGES, model__average=0.5), workdir, quiet=True)
    return workdir


def pixels(count, shape=(16, 16, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def by_hand(run, images, config=TAKEN):
    """The encoder of the config, applied to the whole state that was saved."""
    from jaxcl.experiment import make_encoder

    state = last_state(run)
    params, model_state = state.params["encoder"], state.model_state["encoder"]
    if state.average:
        params, model_state = state.average["params"], state.average["model_state"]
    scaled = images / np.float32(255)
    if config.data.normalization == "train":
        split = open_split(config.data, config.data.train_split)
        known = read_images(split, BadRecords()) / 255
        scaled = (scaled - known.mean((0, 1, 2))) / known.std((0, 1, 2))
    encoder = make_encoder(config.model, images.shape[1:])
    key = jax.random.key(1)
    scaled = jnp.asarray(scaled, jnp.float32)
    params, model_state = jax.tree.map(jnp.asarray, (params, model_state))
    return encoder.apply(params, model_state, scaled, False, key)[0]


def test_the_embeddings_are_those_of_the_encoder_applied_by_hand(run):
    images = pixels(7)
    found = load(run).encode(images)
    assert found.dtype == np.float32 and found.shape == (7, load(run).dim)
    np.testing.assert_allclose(found, by_hand(run, images), rtol=1e-5, atol=1e-6)


def test_an_averaged_encoder_is_the_average(averaged):
    images = pixels(4)
    expected = by_hand(averaged, images, small(**CHANGES))
    np.testing.assert_allclose(
        jaxcl.load(averaged).encode(images), expected, rtol=1e-5, atol=1e-6
    )


def test_nothing_but_the_run_is_needed(run, tmp_path, monkeypatch):
    expected = load(run).encode(pixels(3))
    alone = shutil.copytree(run, tmp_path / "alone")
    (alone / "config.toml").unlink()  # every checkpoint has its own
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    np.testing.assert_array_equal(load(alone).encode(pixels(3)), expected)
    assert not (tmp_path / "nothing").exists()


def test_only_the_arrays_of_the_encoder_are_read(run, monkeypatch):
    from jaxcl.runtime import Checkpoints

    read, names = Checkpoints.read_part, []

    def watched(checkpoints, step, choose):
        found = read(checkpoints, step, choose)
        names.extend(found)
        return found

    monkeypatch.setattr(Checkpoints, "read_part", watched)
    load(run)
    assert names
    places = (".params['encoder']", ".model_state['encoder']")
    assert all(name.startswith(places) for name in names)


@pytest.mark.parametrize("size", [1, 3, 4, 256])
def test_the_size_of_the_batches_does_not_matter(run, size):
    encoder, images = load(run), pixels(9)
    np.testing.assert_allclose(
        encoder.encode(images, batch_size=size),
        encoder.encode(images, batch_size=9),
        rtol=1e-5,
        atol=1e-6,
    )


def test_an_older_step_has_older_weights(run):
    newest, older = load(run), load(run, step=2)
    assert (newest.step, older.step) == (3, 2)
    assert newest.digest != older.digest
    assert np.abs(newest.encode(pixels(2)) - older.encode(pixels(2))).max() > 1e-6


def test_the_pretrained_weights_start_another_encoder(run):
    trained = load(run)
    start = trained.pretrained
    encoder = start.make_encoder()
    params, state = encoder.init(jax.random.key(9), None)
    images = jnp.asarray(pixels(3) / 255, jnp.float32)
    found, _ = encoder.apply(params, state, images, False, jax.random.key(0))
    np.testing.assert_allclose(found, trained.encode(pixels(3)), rtol=1e-5, atol=1e-6)
    assert start.image_shape == (16, 16, 3) == trained.image_shape


def test_images_of_other_sizes_are_cut_as_the_data_are(run):
    wide = pixels(1, (16, 40, 3))[0]
    middle = wide[:, 12:28]
    expected = load(run).encode(middle[None])
    for given in ([wide], wide[None], [Image.fromarray(wide)]):
        np.testing.assert_array_equal(load(run).encode(given), expected)


def test_images_of_other_channels_are_converted(run):
    encoder, gray = load(run), pixels(2, (16, 16))
    expected = encoder.encode(np.stack([gray] * 3, -1))
    clear = np.full((1, 16, 16, 4), [9, 9, 9, 0], np.uint8)
    white = np.full((1, 16, 16, 3), 255, np.uint8)
    np.testing.assert_array_equal(encoder.encode(gray), expected)
    np.testing.assert_array_equal(encoder.encode(gray[..., None]), expected)
    np.testing.assert_array_equal(encoder.encode(clear), encoder.encode(white))
    deep = [Image.fromarray(one.astype(np.uint16) * 257) for one in gray]
    np.testing.assert_array_equal(encoder.encode(deep), expected)


def test_no_images_have_no_rows(run):
    encoder = load(run)
    for none in ([], pixels(0)):
        assert encoder.encode(none).shape == (0, encoder.dim)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (pixels(2) / 255, r"got float64: .*`np.rint\(images \* 255\)"),
        ([pixels(1)[0] / 255], "got float64"),
        (pixels(1)[0], r"a single image goes into a list: \[image\]"),
        (pixels(2)[0, :, :, 0], "a single image goes into a list"),
        (pixels(2, (4, 4, 5)), r"of 1 to 4 channels, got \[4, 4, 5\]"),
        (pixels(2).astype(np.int32), "got int32$"),
        (7, "got int64"),
    ],
)
def test_what_is_no_image_is_refused_with_the_rule(run, images, words):
    with pytest.raises(ValueError, match=words):
        load(run).encode(images)


def test_a_damaged_checkpoint_is_refused_and_an_older_one_named(run, tmp_path):
    damaged = shutil.copytree(run, tmp_path / "run")
    state = damaged / "checkpoints" / "3" / "state"
    file = max(state.rglob("*"), key=lambda f: f.stat().st_size if f.is_file() else 0)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"was changed.*`--step 2`"):
        load(damaged)
    assert load(damaged, step=2).step == 2
    file.unlink()
    file.symlink_to("/etc/hostname")
    with pytest.raises(CheckpointError, match="is a link"):
        load(damaged)


def rewrite(run, change):
    """Changes what a checkpoint says of its encoder, as a forger would."""
    from jaxcl.runtime import _manifest

    folder = run / "checkpoints" / "3"
    manifest = _manifest.read_manifest(folder)
    change(manifest.extra)
    _manifest.write_manifest(folder, manifest)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("image_shape", [16, 16], "describes no encoder"),
        ("mean", [0.5], "describes no encoder: `mean` and `std`"),
        ("architecture", {"kind": "os", "options": {}}, "describes no encoder"),
        (
            "architecture",
            {"kind": "mlp", "options": {"width": 4, "layers": 1, "norm": "batch"}},
            "`params` must be those of the encoder",
        ),
    ],
)
def test_a_forged_description_is_refused(run, tmp_path, key, value, words):
    forged = shutil.copytree(run, tmp_path / "run")
    rewrite(forged, lambda extra: extra["encoder"].update({key: value}))
    with pytest.raises(CheckpointError, match=words):
        load(forged)


def test_a_checkpoint_without_a_description_says_why(run, tmp_path):
    old = shutil.copytree(run, tmp_path / "run")
    rewrite(old, lambda extra: extra.pop("encoder"))
    with pytest.raises(CheckpointError, match="an older version of jaxcl"):
        load(old)


def test_a_run_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WorkdirError, match=r"is not a run directory"):
        load(tmp_path / "nowhere")
    (tmp_path / "run").mkdir()
    text = "num_steps = 3\n"
    (tmp_path / "run" / "config.toml").write_text(text)
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        load(tmp_path / "run")


def test_the_manifest_is_plain_data(run):
    text = (run / "checkpoints" / "3" / "manifest.json").read_text()
    described = json.loads(text)["extra"]["encoder"]
    assert described["architecture"]["kind"] == "convnet"
    assert described["image_shape"] == [16, 16, 3]
    assert len(described["mean"]) == len(described["std"]) == 3


@pytest.mark.slow
def test_an_encoder_of_ones_own_is_passed_again(tmp_path):
    class Flat(nnx.Module):
        def __init__(self, rngs):
            self.layer = nnx.Linear(768, 5, rngs=rngs)

        def __call__(self, images):
            return self.layer(images.reshape(len(images), -1))

    mine = from_nnx(lambda rngs: Flat(rngs))
    config = small(**CHANGES, model__encoder="custom")
    jaxcl.train(config, tmp_path, encoder=mine, quiet=True)
    with pytest.raises(ConfigError, match="got 'custom' and no encoder"):
        load(tmp_path)
    trained = load(tmp_path, encoder=mine)
    layer = trained.params["layer"]
    images = pixels(3)
    expected = (images.reshape(3, -1) / 255) @ layer["kernel"]
    expected = expected + np.asarray(layer["bias"])[None]
    np.testing.assert_allclose(trained.encode(images), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="`pretrained` must be of an encoder"):
        _ = trained.pretrained
