"""Names of strangers in real programs: a terminal shows them and does nothing."""

import contextlib
import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from small_runs import small

from jaxcl.config import write_toml

pytestmark = pytest.mark.slow
LONG = bool(os.environ.get("JAXCL_LONG_FAULTS"))

TITLE, CLEAR, TURN = "\x1b]0;pwned\x07", "\x1b[2J", "\u202e"
SHOWN = "\\x1b]0;pwned\\x07"
MAIN = "from jaxcl.cli import main; main()"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A config, and a folder whose domains, classes and files have hostile names."""
    place = tmp_path_factory.mktemp("terminal")
    generator = np.random.default_rng(0)
    domains, classes = (
        (f"a{TITLE}", f"{CLEAR}b{TURN}"),
        (f"c{TITLE}{CLEAR}", f"d{TURN}"),
    )
    for split in ("train", "test"):
        for domain in domains:
            for label in classes:
                folder = place / "photos" / split / domain / label
                folder.mkdir(parents=True)
                for i in range(8):
                    pixels = generator.integers(0, 256, (12, 10, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{i}{TITLE}.png")
    (folder / f"no image{CLEAR}{TURN}.png").write_bytes(b"\x1b[2J")
    config = small(
        num_steps=2,
        eval_every=0,
        data__name="",
        data__path=str(place / "photos"),
        data__data_dir=str(place / "data"),
        data__image_size=12,
        data__bad_records="skip",
        data__batch_size=8,
        data__train_split="train",
        data__test_splits=("test",),
        evaluation__neighbors=3,
    )
    write_toml(config, place / "small.toml")
    return place


def commands(place):
    """All that is done with the folder, in a run whose name is hostile too."""
    run = str(place / f"run{TITLE}{CLEAR}{TURN}")
    again = ["--data.path", str(place / f"nowhere{TITLE}")]
    all_of_them = {
        "train": ["train", str(place / "small.toml"), "--workdir", run],
        "evaluate": ["evaluate", run],
        "report": ["report", run, run, "--out", str(place / "page.html")],
        "data": ["data", "show", str(place / "photos"), "--data-dir", str(place)],
        "wrong": ["train", str(place / "small.toml"), *again],
    }
    short = ("train", "report", "data")
    return {name: all_of_them[name] for name in all_of_them if LONG or name in short}


def assert_harmless(name, said):
    for letter in ("\x1b]", "\x07", CLEAR, TURN):
        assert letter.encode() not in said, (name, said)
    assert SHOWN.encode() in b"".join(said.split()), (name, said)


def test_outside_a_terminal_no_name_is_obeyed(place):
    for name, arguments in commands(place).items():
        ran = subprocess.run(
            [sys.executable, "-c", MAIN, *arguments], capture_output=True, timeout=240
        )
        assert ran.returncode == (name == "wrong"), ran.stderr
        assert_harmless(name, ran.stdout + ran.stderr)
        assert b"\x1b" not in ran.stdout + ran.stderr


@pytest.mark.skipif(not LONG, reason="JAXCL_LONG_FAULTS=1 runs it")
def test_in_a_terminal_no_name_is_obeyed(place):
    for name, arguments in commands(place).items():
        status, said = in_a_terminal([sys.executable, "-c", MAIN, *arguments])
        assert status == (name == "wrong"), said
        assert_harmless(name, said)
        # The bar and the bold numbers of a terminal are there.
        assert b"\x1b[" in said or name in ("wrong", "data")


def in_a_terminal(command):
    """Exit status of a program in a terminal, and what came out of it."""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    said = b""
    with subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, env=environment
    ) as process:
        os.close(its)
        # Linux ends the output of a terminal with an error.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 65536):
                said += part
        os.close(ours)
    return process.returncode, said
