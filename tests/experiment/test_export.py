"""What is exported runs elsewhere, as it does in the run, or is not kept."""

import dataclasses
import re
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest

import jaxcl
from jaxcl.cli import main
from jaxcl.config import ConfigError
from jaxcl.experiment import FORMATS, ExportError, _export, export_run
from jaxcl.experiment._card import write_card
from jaxcl.runtime import WorkdirError

pytest.importorskip("flatbuffers", reason="jax.export needs it to write files")

BLOCKED = """
import sys

for name in ("jaxcl", "flax", "orbax", "optax"):
    sys.modules[name] = None
"""


def pixels(count, seed=5):
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "deep" / "encoder.stablehlo"
    return export_run(run, out, to="stablehlo")


def start(program, folder):
    """Runs a program in a process and a directory of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def code_of(card):
    """The program on the page of an export."""
    return re.search(r"```python\n(.*?)```", card.read_text(), re.DOTALL)[1]


def test_the_program_on_the_page_runs_without_this_library(run, exported):
    images = pixels(5)
    folder = exported.file.parent
    np.save(folder / "images.npy", images)
    program = BLOCKED + re.sub(
        r"images = .*# yours",
        'images = np.load("images.npy")',
        code_of(exported.card),
    )
    start(program + '\nnp.save("rows.npy", np.asarray(embeddings))', folder)
    found = np.load(folder / "rows.npy")
    assert found.dtype == np.float32
    expected = jaxcl.load(run).encode(images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    start(BLOCKED + code_of(exported.card), folder)  # as it stands


def test_one_file_is_for_all_platforms(exported):
    from jax import export

    program = export.deserialize(bytearray(exported.file.read_bytes()))
    assert set(program.platforms) == {"cpu", "cuda", "tpu"}
    assert [str(d) for d in program.in_avals[0].shape] == ["b", "16", "16", "3"]


def test_the_page_says_what_the_file_is(run, exported):
    page = exported.card.read_text()
    assert exported.card.name == "encoder.stablehlo.md"
    assert page.startswith("---\nlibrary_name: jax\n")
    trained = jaxcl.load(run)
    for fact in (
        "`[batch, 16, 16, 3]`",
        "loss `nt_xent` for 3 steps",
        "`convnet (width = 4, stages = 2, norm = batch)`",
        "Trained on: `colored_digits`, split `train[:160]`",
        trained.digest,
        f"{exported.difference:.1e}",
        f"mean ({trained.pretrained.mean[0]:.4f}, ",
        "for six months",
        "Set by whoever owns the data and this run.",
    ):
        assert fact in page
    assert 0 <= exported.difference < 1e-6


def test_the_page_of_a_run_from_weights_names_no_directory(run):
    trained = jaxcl.load(run)
    model = dataclasses.replace(trained.config.model, init="/home/ann/tiny.safetensors")
    config = dataclasses.replace(trained.config, model=model)
    page = write_card(
        dataclasses.replace(trained, config=config),
        "stablehlo",
        FORMATS["stablehlo"],
        "encoder.stablehlo",
        "",
        difference=0.0,
        sizes=(1,),
        versions={"jax": "1"},
    )
    assert 'init = "tiny.safetensors"' in page and "/home/ann" not in page
    assert "as the weights need that it started from" in page


def test_neither_data_nor_report_are_needed(run, tmp_path, monkeypatch):
    alone = shutil.copytree(run, tmp_path / "a`<b>run")
    (alone / "report.json").write_text('{"evaluation": {"after": []}}')
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    out = tmp_path / "a.stablehlo"
    export_run(alone, out, to="stablehlo", step=2)
    page = out.with_name(f"{out.name}.md").read_text()
    assert "# `a'<b>run`" in page
    assert "No report of this step is in the run." in page
    assert not (tmp_path / "nothing").exists()


def test_a_file_that_embeds_otherwise_is_not_kept(run, tmp_path, monkeypatch):
    right = FORMATS["stablehlo"]

    def forget_normalization(trained, path):
        return right.write(dataclasses.replace(trained, normalization=None), path)

    wrong = right._replace(write=forget_normalization)
    monkeypatch.setitem(FORMATS, "stablehlo", wrong)
    with pytest.raises(ExportError, match="must embed as the run does, up to 1e-06"):
        export_run(run, tmp_path / "a.stablehlo", to="stablehlo")
    assert not [*tmp_path.iterdir()]


def test_a_full_disk_leaves_nothing_but_the_old_file(run, tmp_path):
    out = tmp_path / "a.stablehlo"
    out.write_bytes(b"old")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            export_run(run, out, to="stablehlo")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert [*tmp_path.iterdir()] == [out]
    assert out.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"out": "a.onnx"}, r"must be a file \*\.stablehlo for stablehlo"),
        ({"to": "onyx"}, "did you mean `onnx`"),
    ],
)
def test_wrong_options_are_refused_first(tmp_path, options, words):
    options = {"out": "a.stablehlo", "to": "stablehlo", **options}
    with pytest.raises(ConfigError, match=words):
        export_run(tmp_path, **options)


def test_a_page_of_somebody_else_is_not_replaced(run, tmp_path):
    (tmp_path / "a.stablehlo.md").write_text("mine")
    with pytest.raises(ConfigError, match=r"a\.stablehlo\.md' must not exist"):
        export_run(run, tmp_path / "a.stablehlo", to="stablehlo")
    assert [path.name for path in tmp_path.iterdir()] == ["a.stablehlo.md"]


def test_a_run_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WorkdirError, match="is not a run directory"):
        export_run(tmp_path / "no", tmp_path / "a.stablehlo", to="stablehlo")


def test_the_command_says_how_far_it_differs(run, tmp_path, capsys):
    out = tmp_path / "a.stablehlo"
    main(["export", str(run), "--to", "stablehlo", "--out", str(out)])
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{out}: differs from the run by \d\.\de[-+]\d\d", first)
    assert second == f"about it: {out}.md"


def test_a_package_that_is_missing_is_named_with_its_extra(
    run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(SystemExit):
        main(["export", str(run), "--to", "onnx", "--out", str(tmp_path / "a.onnx")])
    assert "pip install 'jaxcl[onnx]'" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_weights_are_loaded_by_the_program_on_the_page(run, tmp_path):
    exported = export_run(run, tmp_path / "encoder.safetensors", to="safetensors")
    images = pixels(5)
    np.save(tmp_path / "images.npy", images)
    program = re.sub(
        r"images = .*# yours",
        'images = np.load("images.npy")',
        code_of(exported.card),
    )
    start(program + '\nnp.save("rows.npy", np.asarray(embeddings))', tmp_path)
    expected = jaxcl.load(run).encode(images)
    found = np.load(tmp_path / "rows.npy")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert "In one line: `" in exported.card.read_text()


def test_an_encoder_without_a_name_has_no_weights_file(run, tmp_path, monkeypatch):
    trained = jaxcl.load(run)
    unnamed = {**trained.extra, "encoder": {"architecture": None}}
    unnamed = dataclasses.replace(trained, extra=unnamed)
    monkeypatch.setattr(_export, "load", lambda *_, **__: unnamed)
    with pytest.raises(ConfigError, match="`pretrained` must be of an encoder"):
        export_run(run, tmp_path / "a.safetensors", to="safetensors")
    assert not [*tmp_path.iterdir()]
    export_run(run, tmp_path / "a.stablehlo", to="stablehlo")
    assert "one of the author's own" in (tmp_path / "a.stablehlo.md").read_text()


@pytest.mark.slow
def test_onnxruntime_runs_the_program_on_the_page(run, tmp_path):
    pytest.importorskip("jax2onnx", reason="pip install 'jaxcl[onnx]'")
    exported = export_run(run, tmp_path / "encoder.onnx", to="onnx")
    assert exported.difference < 1e-5
    np.save(tmp_path / "images.npy", pixels(5))
    program = BLOCKED.replace('"jaxcl"', '"jax", "jaxcl"') + re.sub(
        r"images = .*# yours",
        'images = np.load("images.npy")',
        code_of(exported.card),
    )
    start(program + '\nnp.save("rows.npy", embeddings)', tmp_path)
    expected = jaxcl.load(run).encode(pixels(5))
    found = np.load(tmp_path / "rows.npy")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
