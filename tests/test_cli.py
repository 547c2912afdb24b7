import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from long_tests import long
from small_runs import SMALL

import jaxcl
from jaxcl.cli import _main, main
from jaxcl.cli._help import TRAIN
from jaxcl.config import as_dict, write_toml
from jaxcl.config._fields import flatten
from jaxcl.runtime import CheckpointError, NonFiniteError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The file of a config."""
    path = tmp_path_factory.mktemp("cli") / "small.toml"
    write_toml(SMALL, path)
    return path


@pytest.fixture(scope="module")
def trained(config):
    """The directory of its run."""
    workdir = config.with_name("run")
    main(["train", str(config), "--workdir", str(workdir), "--quiet"])
    return workdir


def fails(arguments, capsys):
    """Exit status and what was said."""
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    output = capsys.readouterr()
    return raised.value.code, " ".join((output.err + output.out).split())


@long
@pytest.mark.slow
def test_an_override_reaches_the_run(config, tmp_path, capsys):
    arguments = ["--workdir", str(tmp_path), "--num-steps", "2", "--json", "--quiet"]
    main(["train", str(config), *arguments, "--objective.temperature", "0.3"])
    report = json.loads(capsys.readouterr().out)
    assert report["config"]["objective"]["temperature"] == 0.3
    assert report["config"]["num_steps"] == 2
    # What the file says and nobody overrode stays.
    assert report["config"]["data"]["batch_size"] == 16


def test_dashes_and_underscores_are_alike(config, monkeypatch):
    configs = []
    monkeypatch.setattr(jaxcl, "train", lambda given, *_, **__: configs.append(given))
    monkeypatch.setattr(_main, "show_report", lambda *_, **__: None)
    for flag in ("--data.batch-size", "--data.batch_size"):
        main(["train", str(config), flag, "8", "--num_steps", "1"])
    assert configs[0] == configs[1]
    assert (configs[0].data.batch_size, configs[0].num_steps) == (8, 1)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["trian"], 2, "unknown command 'trian'; did you mean `train`?"),
        (["data", "lst"], 2, "unknown command 'lst'; did you mean `list`?"),
        (["train"], 2, "CONFIG"),
        (["train", "missing.toml"], 1, "'missing.toml' cannot be read"),
        (["train", "{config}", "--data.batchsize", "8"], 2, "--data.batch-size"),
        (["train", "{config}", "--num-steps", "many"], 2, "many"),
        (
            ["train", "{config}", "--objective.temperature", "-1"],
            1,
            "`objective.temperature` must be positive, got -1.0",
        ),
        (["train", "{config}", "--objective.name", "nt-xnet"], 2, "nt_xent"),
        (
            ["embed", "nowhere", "--out", "a.parquet"],
            1,
            "is not a run directory: it is not there",
        ),
        (["embed", "nowhere", "--out", "a.csv"], 1, "must be a file *.parquet"),
        (
            ["export", "nowhere", "--to", "onnx", "--out", "a.onnx"],
            1,
            "is not a run directory: it is not there",
        ),
        (
            ["export", "nowhere", "--to", "onyx", "--out", "a.onnx"],
            1,
            "did you mean `onnx`",
        ),
        (
            ["export", "nowhere", "--to", "onnx", "--out", "a.md"],
            1,
            "must be a file *.onnx for onnx",
        ),
        (["report"], 1, "at least one"),
        (["train", "{config}", "--distributed.enabled"], 1, "no cluster to join"),
        (["train", "{config}", "--data.name", "../data"], 1, "unknown data set"),
        (["train", "{config}", "--workdir", "gs://b/c"], 1, "local or shared path"),
        (["evaluate", "nowhere"], 1, "is not a run directory: it is not there"),
        (["report", "nowhere"], 1, "no report in 'nowhere'"),
        (["data", "build", "nothing_like_it"], 1, "unknown data set"),
    ],
)
def test_a_wrong_command_is_answered_with_what_is_right(
    config, capsys, arguments, status, message
):
    arguments = [word.format(config=config) for word in arguments]
    code, said = fails(arguments, capsys)
    assert code == status
    assert message in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "error: unknown command 'trian'; did you mean `train`?"),
        (["train"], "error: CONFIG is missing; see `jaxcl train --help`"),
        (
            ["train", "{config}", "--data.batchsize=8"],
            "error: unknown options --data.batchsize=8; did you mean "
            "`--data.batch-size`; see `jaxcl train --help`",
        ),
        (
            ["train", "{config}", "--objective.name", "nt-xnet"],
            "error: invalid choice 'nt-xnet' for argument '--objective.name'; did you "
            "mean `nt_xent`; see `jaxcl train --help`",
        ),
        (
            ["train", "{config}", "--num-steps", "many"],
            "error: --num-steps: must be a whole number, got 'many'; see `jaxcl train "
            "--help`",
        ),
        (
            ["study", "--jobs", "x"],
            "error: --jobs: must be a whole number, got 'x'; see `jaxcl study --help`",
        ),
        (["evaluate"], "error: RUN is missing; see `jaxcl evaluate --help`"),
        (["embed", "a"], "error: --out is missing; see `jaxcl embed --help`"),
        (["data", "build"], "error: SOURCE is missing; see `jaxcl data build --help`"),
        (
            ["train", "{config}", "--data.domain"],
            "error: missing value for argument '--data.domain'. Expected 1 values; see "
            "`jaxcl train --help`",
        ),
    ],
)
def test_wrong_arguments_are_answered_in_one_line(config, capsys, arguments, said):
    with pytest.raises(SystemExit) as raised:
        main([word.format(config=config) for word in arguments])
    output = capsys.readouterr()
    assert (raised.value.code, output.out, output.err) == (2, "", said + "\n")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: 3 GiB"), "a smaller data.batch_size"),
        (ModuleNotFoundError("no", name="torch.nn"), "pip install 'jaxcl[bench]'"),
        (ModuleNotFoundError("no", name="pandas"), "pip install 'jaxcl[train]'"),
        (CheckpointError("no checkpoint"), "no checkpoint"),
        (NonFiniteError("`loss` is nan"), "`loss` is nan"),
    ],
)
def test_errors_of_a_run_are_told_in_one_line(
    config, capsys, monkeypatch, error, words
):
    def train(*_, **__):
        raise error

    monkeypatch.setattr(jaxcl, "train", train)
    code, said = fails(["train", str(config)], capsys)
    assert code == 1
    assert said.startswith("error: ") and words in said


def test_a_bug_keeps_its_traceback(config, monkeypatch):
    def train(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(jaxcl, "train", train)
    with pytest.raises(ZeroDivisionError):
        main(["train", str(config)])


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_is_one_screen_whose_examples_work(arguments, capsys, monkeypatch):
    main(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 88
    given = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(jaxcl, "train", lambda *a, **_: given.append(a))
    monkeypatch.setattr(_main, "show_report", lambda *_, **__: None)
    examples = [line.split("   ")[0] for line in lines if line.startswith("  jaxcl")]
    trained = [line for line in examples if line.startswith("  jaxcl train")]
    for line in trained:
        main(shlex.split(line)[1:])
    assert len(given) == len(trained) >= 2


def test_the_fields_on_the_screen_are_fields():
    known = {name.replace("_", "-") for name in flatten(as_dict(SMALL))}
    shown = re.findall(r"^  --([\w.-]+)  +\w", TRAIN, re.MULTILINE)
    assert len(shown) > 10
    assert {*shown} - known == {"quiet", "json"}


def test_all_the_help_names_every_field_with_meaning_and_default(capsys):
    code, said = fails(["train", "--help", "all"], capsys)
    assert code == 0
    assert "--objective.penalties.negative-variance" in said
    assert "Temperature that divides the similarities. (default: 0.2)" in said


def test_every_command_explains_itself(capsys):
    main(["--help"])
    said = capsys.readouterr().out
    commands = ("train", "evaluate", "embed", "export", "report", "data", "doctor")
    for command in commands:
        assert command in said
    for command in (["evaluate"], ["export"], ["report"], ["doctor"], ["data", "show"]):
        code, _ = fails([*command, "--help"], capsys)
        assert code == 0


@pytest.mark.slow
def test_the_report_of_one_run_and_of_two(trained, tmp_path, capsys):
    main(["report", str(trained)])
    assert "ood_test" in capsys.readouterr().out
    page = tmp_path / "both.html"
    main(["report", str(trained), str(trained), "--out", str(page), "--quiet"])
    assert page.stat().st_size > 5000


@pytest.mark.slow
def test_evaluate_prints_the_table(trained, capsys):
    main(["evaluate", str(trained), "--quiet", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert set(report["evaluation"]["after"]["splits"]) == {"id_test", "ood_test"}


def test_data_commands(tmp_path, capsys, data_dir):
    main(["data", "list"])
    listed = capsys.readouterr().out
    assert "colored_digits" in listed
    assert "jaxcl[tf]" in listed
    main(["data", "build", "colored_digits"])
    assert str(data_dir) in capsys.readouterr().out
    picture = tmp_path / "views.png"
    main(["data", "show", "colored_digits", "--out", str(picture), "--count", "3"])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_doctor_finds_this_machine_healthy(capsys):
    main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"]
    assert "8 × cpu" in found["checks"]["devices"]["value"]


@pytest.mark.slow
def test_the_program_ends_with_130_when_interrupted(config, tmp_path):
    program = (
        "import os, signal, sys\n"
        "from jaxcl.runtime import MetricsLog\n"
        "add = MetricsLog.add\n"
        "def interrupted(log, step, metrics, steps=1):\n"
        "    if step == 3: os.kill(os.getpid(), signal.SIGINT)\n"
        "    add(log, step, metrics, steps)\n"
        "MetricsLog.add = interrupted\n"
        "from jaxcl.cli import main\n"
        f"main(['train', {str(config)!r}, '--workdir', {str(tmp_path)!r}])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 130, ran.stderr
    assert "stopped after step 3" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert (tmp_path / "checkpoints" / "3").is_dir()


@pytest.mark.parametrize(
    "forged", [{"evaluation": {"after": {"splits": [1]}}}, {"run": "x"}, {"data": [1]}]
)
def test_a_forged_report_is_named_in_one_line(tmp_path, capsys, forged):
    (tmp_path / "report.json").write_text(json.dumps(forged))
    with pytest.raises(SystemExit) as raised:
        main(["report", str(tmp_path)])
    assert raised.value.code == 1
    assert "error: a report holds something else" in capsys.readouterr().err
