"""The commands and the code of the guide to encoders work, in their order."""

import dataclasses
import importlib.util
import re
import shlex
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from small_runs import SMALL

from jaxcl.cli import main
from jaxcl.config import read_toml, write_toml
from jaxcl.models import Architecture, Pretrained, save_pretrained

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "encoders.md").read_text()
TINY = {"size": "ti", "depth": 2, "dim": 16, "heads": 2, "patch_size": 4}


def blocks(language, page=PAGE):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def commands_of(page):
    lines = [line for block in blocks("bash", page) for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def run(arguments):
    if "onnx" not in arguments or importlib.util.find_spec("jax2onnx"):
        main(arguments)


def prepare(folder):
    """A folder of images, a directory of weights, and the config for seconds."""
    for domain in ("north", "south"):
        for label in ("a", "b"):
            place = folder / "photos" / domain / label
            place.mkdir(parents=True)
            for i in range(10):
                color = (25 * i, 200 * (domain == "south"), 200 * (label == "b"))
                Image.new("RGB", (20, 16), color).save(place / f"{i}.png")
    made = Architecture("vit", {**TINY, "positions": "learned"})
    params, state = made.make_encoder((16, 16, 3)).init(
        jax.random.key(0), jnp.zeros((1, 16, 16, 3))
    )
    (folder / "dinov3").mkdir()
    weights = Pretrained(made, params, state, (16, 16, 3))
    save_pretrained(weights, folder / "dinov3" / "model.safetensors")
    shipped = read_toml(ROOT / "configs" / "adapt_folder.toml")
    data = dataclasses.replace(shipped.data, batch_size=8, image_size=16)
    config = dataclasses.replace(
        SMALL, num_steps=2, eval_every=0, data=data, model=shipped.model
    )
    (folder / "configs").mkdir()
    write_toml(config, folder / "configs" / "adapt_folder.toml")


@pytest.mark.slow
def test_the_commands_of_the_page_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    commands = commands_of(PAGE)
    assert len(commands) == 7
    for arguments in commands:
        if arguments[:1] == ["report"]:
            train = [*commands[0][:-1], "runs/other"]
            main([*train, "--quiet"])
        run(arguments)
    for name in (
        *("runs/photos/report.html", "runs/photos/explore.html", "comparison.html"),
        *("photos.parquet", "encoder.safetensors", "encoder.stablehlo"),
    ):
        assert (tmp_path / name).is_file()
    _, load, project = blocks("python")
    images = np.zeros((3, 20, 16, 3), np.uint8)
    found = {"images": images}
    exec(compile(load, "encoders.md", "exec"), found)
    assert found["embeddings"].shape == (3, 16)
    exec(compile(project, "encoders.md", "exec"), {})
    assert [*(tmp_path / "projector").rglob("tensors.tsv")]


@pytest.mark.slow
def test_the_commands_of_the_readme_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    weights = tmp_path / "dinov3" / "model.safetensors"
    weights.rename(tmp_path / "vit_small_patch16_224.safetensors")
    commands = commands_of((ROOT / "README.md").read_text())
    adapting = [one for one in commands if "adapt" in " ".join(one)]
    assert [one[0] for one in adapting] == ["train", "explore", "embed", "export"]
    for arguments in adapting:
        run(arguments)
    assert (tmp_path / "runs" / "adapt_folder" / "explore.html").is_file()


def test_the_code_that_loads_weights_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[0], "encoders.md", "exec"), {})
