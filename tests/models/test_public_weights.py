"""Files of other libraries, against what these libraries answered.

``scripts/compare_encoders.py`` made the recordings, from the libraries' own code.
"""

import json
import os
import re
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from long_tests import long_only
from public_weights import draw_images, draw_weights
from safetensors.numpy import load_file, save_file

from jaxcl.models import (
    Architecture,
    Pretrained,
    WeightsError,
    load_pretrained,
    save_pretrained,
    to_source,
)
from jaxcl.models._weights._arrays import check_keys, check_shapes, expected_shapes
from jaxcl.models._weights._describe import describe
from jaxcl.models._weights._facts import Facts
from jaxcl.models._weights._families import find_family

KEY = jax.random.key(0)
LINES = (Path(__file__).parent / "recordings" / "encoders.jsonl").read_text()
RECORDED = {
    f"{row['name']} {row['image_shape'][:2]}": row
    for row in map(json.loads, LINES.splitlines())
}
ANSWERED = {name: row for name, row in RECORDED.items() if row["embeddings"]}
SMALL = "timm vit_tiny_patch16_224 img_size=32 patch_size=8 embed_dim=64 depth=2 "
SMALL += "num_heads=4 [32, 32]"
OTHERS = {
    name: row
    for name, row in ANSWERED.items()
    if "resnet" not in name and "vit_tiny" not in name
}


def write(folder, row, configs=True):
    shapes = row["shapes"]
    save_file(draw_weights(shapes), folder / "model.safetensors")
    for name, content in row["configs"].items() if configs else ():
        (folder / name).write_text(json.dumps(content))
    return folder / "model.safetensors"


def embed(loaded, image_shape):
    images = draw_images(image_shape)
    encoder = loaded.make_encoder(image_shape)
    params, state = encoder.init(KEY, images)
    apply = jax.jit(encoder.apply, static_argnums=3)
    return np.asarray(apply(params, state, images, False, KEY)[0])


def check_answer(folder, row):
    write(folder, row)
    rows = embed(load_pretrained(folder), tuple(row["image_shape"]))
    expected = np.asarray(row["embeddings"])
    difference = np.abs(rows[:, : expected.shape[1]] - expected).max()
    assert difference < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", OTHERS)
def test_embeddings_are_those_of_the_library(name, tmp_path):
    check_answer(tmp_path, ANSWERED[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in ANSWERED if "resnet" in n])
def test_embeddings_of_resnets_are_those_of_the_library(name, tmp_path):
    check_answer(tmp_path, ANSWERED[name])


@pytest.mark.parametrize("name", [n for n in ANSWERED if "vit_tiny" in n])
def test_positions_are_interpolated_as_in_timm(name, tmp_path):
    check_answer(tmp_path, ANSWERED[name])


PUBLISHED = [name for name in RECORDED if name not in ANSWERED]
# One of each family in every run of CI.
FEW = (
    "timm resnet34",
    "timm vit_small_patch16_dinov3 [",
    "timm vit_tiny_patch16_224 [",
)
FEW = [name for name in PUBLISHED if name.startswith((*FEW, "open_clip"))]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FEW, *long_only(*sorted({*PUBLISHED} - {*FEW}))])
def test_names_and_shapes_of_published_networks_are_known(name):
    shapes = {key: tuple(shape) for key, shape in RECORDED[name]["shapes"].items()}
    family, names = find_family(shapes)
    shapes = {
        name: shapes[key]
        for name, key in names.items()
        if not re.fullmatch(family.ignored, name)
    }
    found = describe(family, shapes, Facts())
    check_keys(found.rows, shapes, family.name)
    expected = expected_shapes(found.architecture, found.image_shape)
    check_shapes(found.rows, expected, shapes, found.place)
    assert {row.ours for row in found.rows} == set(expected)
    size = {"resnet": "depth", "vit": "size"}[found.architecture.kind]
    assert size in found.architecture.options


def test_a_file_without_config_says_what_was_guessed(tmp_path):
    path = write(tmp_path, ANSWERED[SMALL], configs=False)
    loaded = load_pretrained(path)
    assert loaded.mean == (0.485, 0.456, 0.406)
    assert any("augreg weights use 0.5" in note for note in loaded.notes)
    assert any("number of heads" in note for note in loaded.notes)
    assert len(loaded.digest) == 64
    given = load_pretrained(path, mean=(0.5,) * 3, std=(0.25,) * 3)
    assert (given.mean, given.std) == ((0.5,) * 3, (0.25,) * 3)
    assert not any("mean and std" in note for note in given.notes)


def test_a_config_beside_the_file_is_read(tmp_path):
    write(tmp_path, ANSWERED[SMALL])
    loaded = load_pretrained(tmp_path)
    assert loaded.mean == (0.4, 0.5, 0.6)
    assert loaded.std == (0.2, 0.3, 0.25)
    assert loaded.source == "timm vit_tiny_patch16_224"
    assert loaded.notes == ()
    assert loaded.architecture.options["heads"] == 4


def test_narrow_numbers_and_archives_are_read_alike(tmp_path):
    row = ANSWERED[SMALL]
    arrays = draw_weights(row["shapes"])
    np.savez(tmp_path / "wide.npz", **arrays)
    wide = load_pretrained(tmp_path / "wide.npz")
    for dtype in (np.float16, jax.numpy.bfloat16):
        narrow = {key: value.astype(dtype) for key, value in arrays.items()}
        save_file(narrow, tmp_path / "narrow.safetensors")
        loaded = load_pretrained(tmp_path / "narrow.safetensors")
        for a, b in zip(
            jax.tree.leaves(loaded.params), jax.tree.leaves(wide.params), strict=True
        ):
            assert a.dtype == np.float32
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=4e-3)


def test_a_link_of_the_cache_of_the_hub_is_followed(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    write(blobs, ANSWERED[SMALL])
    for name in ("model.safetensors", "config.json"):
        (snapshot / name).symlink_to(blobs / name)
    assert load_pretrained(snapshot).mean == (0.4, 0.5, 0.6)


def test_patches_must_fit_the_images(tmp_path):
    write(tmp_path, ANSWERED[SMALL])
    loaded = load_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"divide the height and width .* 30×32, got 8"
    ):
        loaded.make_encoder((30, 32, 3))


def changed(**changes):
    def change(arrays):
        return {**arrays, **changes}

    return change


def without(*keys):
    def change(arrays):
        return {key: value for key, value in arrays.items() if key not in keys}

    return change


BAD_ARRAYS = {
    "another network": (
        lambda arrays: {"text.layer.weight": np.ones(2, np.float32)},
        "network that is not known: 'text.layer.weight'",
    ),
    "a part of a network": (
        without("patch_embed.proj.weight"),
        "the nearest is timm, which has 'patch_embed.proj.weight'",
    ),
    "a missing key": (without("norm.bias"), "'norm.bias' are missing"),
    "a further key": (
        changed(**{"attn_pool.q.weight": np.ones((2, 2), np.float32)}),
        "'attn_pool.q.weight' are not expected",
    ),
    "another shape": (
        changed(**{"blocks.1.mlp.fc2.weight": np.ones((64, 255), np.float32)}),
        r"'blocks.1.mlp.fc2.weight' must have shape \(64, 256\), got \(64, 255\)",
    ),
    "an infinite value": (
        changed(**{"norm.bias": np.full(64, np.inf, np.float32)}),
        "'norm.bias' holds NaN or infinite values",
    ),
    "whole numbers": (
        changed(**{"norm.bias": np.ones(64, np.int32)}),
        "'norm.bias' must hold fractions, got int32",
    ),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_arrays_that_do_not_fit_are_named(case, tmp_path):
    change, message = BAD_ARRAYS[case]
    arrays = change(draw_weights(ANSWERED[SMALL]["shapes"]))
    save_file(arrays, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=message) as caught:
        load_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


BAD_FILES = {
    "empty": (b"", "it is empty"),
    "text": (b"hello, these are weights\n" * 9, "it is text"),
    "html": (b"<!DOCTYPE html><html>" + b" " * 99, "it is a web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
    "pickle": (b"\x80\x02}q\x00X\x01\x00\x00\x00a", "pickle.*weights_only=True"),
    "noise": (bytes(range(256)), "neither a .safetensors nor a .npz"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_none_says_what_it_is(case, tmp_path):
    content, message = BAD_FILES[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_pretrained(path)


@pytest.mark.parametrize("part", [4, 9, 200, -1])
def test_a_file_that_is_cut_off_says_so(part, tmp_path):
    path = write(tmp_path, ANSWERED[SMALL])
    path.write_bytes(path.read_bytes()[:part])
    with pytest.raises(WeightsError, match="cut off"):
        load_pretrained(path)


def test_pickles_inside_archives_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
    with pytest.raises(WeightsError, match=r"it is a pickle.*save_file"):
        load_pretrained(tmp_path / "a.pth")
    np.savez(tmp_path / "b.npz", a=np.array([{}], dtype=object))
    with pytest.raises(WeightsError, match="pickled objects"):
        load_pretrained(tmp_path / "b.npz")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError, match="not a regular file"):
        load_pretrained(tmp_path / "pipe")
    with pytest.raises(WeightsError, match="No such file"):
        load_pretrained(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match=r"must hold one .* got none"):
        load_pretrained(tmp_path)


TINY = {"dim": 16, "depth": 2, "heads": 2, "patch_size": 4}
SAVED = {
    "sincos": ("vit", TINY, "timm"),
    "mean": ("vit", {**TINY, "pool": "mean", "class_token": True}, "timm"),
    "registers": (
        "vit",
        {**TINY, "positions": "learned", "registers": 2, "layer_scale": 0.1},
        "timm",
    ),
    "rope": (
        "vit",
        {
            **TINY,
            "positions": "rope",
            "qkv_bias": "query_value",
            "norm_epsilon": 1e-5,
            "layer_scale": 0.1,
        },
        "timm",
    ),
    "projected": ("vit", {**TINY, "out_dim": 6}, "jaxcl"),
    "cifar": ("resnet", {"depth": 18, "stem": "cifar", "width": 4}, "jaxcl"),
    "mlp": ("mlp", {"width": 8, "layers": 2}, "jaxcl"),
}


def random_weights(architecture, image_shape):
    encoder = architecture.make_encoder(image_shape)
    shapes = jax.eval_shape(lambda key: encoder.init(key, None), KEY)
    draw = np.random.default_rng(0)
    params, state = jax.tree.map(
        lambda leaf: np.float32(0.5 + draw.uniform(size=leaf.shape)), shapes
    )
    return Pretrained(
        architecture, params, state, image_shape, mean=(0.25,) * 3, std=(0.5,) * 3
    )


@pytest.mark.parametrize("case", SAVED)
def test_what_was_saved_is_loaded_again(case, tmp_path):
    kind, options, names = SAVED[case]
    made = random_weights(Architecture(kind, options), (8, 12, 3))
    path = tmp_path / "saved.safetensors"
    line = save_pretrained(made, path)
    assert str(path) in line
    assert ("timm.create_model" in line) == (names == "timm")
    loaded = load_pretrained(path)
    for name in ("architecture", "image_shape", "mean", "std"):
        assert getattr(loaded, name) == getattr(made, name)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, made.params)
    jax.tree.map(np.testing.assert_array_equal, loaded.model_state, made.model_state)


def test_fixed_positions_are_written_for_timm(tmp_path):
    made = random_weights(Architecture("vit", TINY), (8, 12, 3))
    save_pretrained(made, tmp_path / "a.safetensors")
    arrays = load_file(tmp_path / "a.safetensors")
    assert arrays["pos_embed"].shape == (1, 7, 16)
    assert arrays["patch_embed.proj.weight"].shape == (16, 3, 4, 4)
    assert arrays["blocks.1.attn.qkv.weight"].shape == (48, 16)
    np.testing.assert_array_equal(arrays["pos_embed"][0, 0], 0)
    # Without what jaxcl wrote beside them, they are learned positions.
    (tmp_path / "config.json").write_text(
        '{"num_attention_heads": 2, "image_size": [8, 12]}'
    )
    save_file(arrays, tmp_path / "a.safetensors")
    loaded = load_pretrained(
        tmp_path / "a.safetensors", mean=(0.25,) * 3, std=(0.5,) * 3
    )
    assert loaded.architecture.options["positions"] == "learned"
    np.testing.assert_allclose(
        embed(loaded, (8, 12, 3)), embed(made, (8, 12, 3)), rtol=1e-5, atol=1e-5
    )


def test_a_library_without_such_an_encoder_is_not_written_for():
    made = random_weights(Architecture("vit", {**TINY, "out_dim": 6}), (8, 12, 3))
    arguments = (made.architecture, made.params, made.model_state)
    with pytest.raises(ValueError, match=r"`names` must not be 'timm': .* project"):
        to_source(*arguments, image_shape=(8, 12, 3), names="timm")
    with pytest.raises(ValueError, match="`names` must not be 'torchvision'"):
        to_source(*arguments, image_shape=(8, 12, 3), names="torchvision")


@pytest.mark.parametrize(
    "stored",
    [
        "{",
        "[]",
        '{"architecture": {"kind": "vit", "options": {"depth": 9999999}}}',
        '{"architecture": {"kind": "nothing", "options": {}}}',
    ],
)
def test_damaged_metadata_is_refused(stored, tmp_path):
    save_file(
        {"a": np.ones(2, np.float32)}, tmp_path / "a.safetensors", {"jaxcl": stored}
    )
    with pytest.raises(WeightsError, match="what jaxcl wrote in it is damaged"):
        load_pretrained(tmp_path / "a.safetensors")


LIED = {"dim": 8, "depth": 1, "heads": 2, "patch_size": 4, "positions": "learned"}


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": {"kind": "vit", "options": {**LIED, "dim": 0}}},
        {"architecture": {"kind": "vit", "options": {**LIED, "mlp_dim": 10**30}}},
        {"architecture": {"kind": "convnet", "options": {"stages": 2}}},
        {"architecture": {"kind": "vit", "options": ["depth"]}},
        {"image_shape": [float("inf")] * 3},
    ],
)
def test_metadata_that_lies_is_refused(changes, tmp_path):
    told = {"architecture": {"kind": "vit", "options": LIED}}
    told |= {"image_shape": [8, 8, 3], "mean": [], "std": [], "names": "timm"}
    path = tmp_path / "a.safetensors"
    save_file(
        {"a": np.ones(2, np.float32)}, path, {"jaxcl": json.dumps(told | changes)}
    )
    with pytest.raises(WeightsError, match="cannot load weights"):
        load_pretrained(path)


def test_no_memory_is_taken_for_arrays_that_only_metadata_has(tmp_path):
    made = Architecture("vit", LIED)
    params, _ = made.make_encoder((8, 8, 3)).init(jax.random.key(0), np.ones(1))
    path = tmp_path / "a.safetensors"
    save_pretrained(Pretrained(made, params, {}, (8, 8, 3)), path)
    told = made.as_dict() | {"options": {**LIED, "mlp_dim": 10**9}}
    stored = {"architecture": told, "image_shape": [8, 8, 3], "mean": [], "std": []}
    metadata = {"jaxcl": json.dumps(stored | {"names": "timm"})}
    save_file(load_file(path), path, metadata)
    with pytest.raises(WeightsError, match="must have the values of"):
        load_pretrained(path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("config.json", {"num_attention_heads": 4, "layer_norm_eps": float("nan")}),
        ("config.json", {"num_attention_heads": 4, "layer_norm_eps": -1.0}),
        ("config.json", {"pretrained_cfg": {"mean": "123", "std": "123"}}),
        ("config.json", {"pretrained_cfg": {"mean": [10**400] * 3}}),
        ("open_clip_config.json", {"model_cfg": {"vision_cfg": {"head_width": 0}}}),
    ],
)
def test_a_config_that_lies_is_refused(name, told, tmp_path):
    arrays = draw_weights(ANSWERED[SMALL]["shapes"])
    save_file(arrays, tmp_path / "model.safetensors")
    (tmp_path / name).write_text(json.dumps(told))
    with pytest.raises(WeightsError, match=f"{name} beside it is wrong"):
        load_pretrained(tmp_path)


@pytest.mark.skipif(hasattr(np, "float8_e4m3fn"), reason="NumPy has the type")
def test_types_that_numpy_lacks_are_refused(tmp_path):
    arrays = draw_weights(ANSWERED[SMALL]["shapes"])
    header, end = {}, 0
    for name, values in arrays.items():
        header[name] = {"dtype": "F8_E4M3", "shape": values.shape}
        header[name]["data_offsets"] = [end, end := end + values.size]
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + bytes(end)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="has a type NumPy lacks"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize(("offset", "value"), [(8, 1), (10, 99)])
def test_archives_that_cannot_be_unpacked_are_refused(offset, value, tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.ones(3, np.float32))
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\x01\x02") + offset] = value  # encrypted, unknown method
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"no whole \.npz"):
        load_pretrained(path)
