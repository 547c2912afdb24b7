"""What a build that was killed leaves behind, and who removes it."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxcl.config import DataConfig
from jaxcl.data import from_arrays, open_split

ARRAYS = {
    "image": np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8),
    "label": [0, 1, 0, 1],
}
KILLED = """
import os, signal, sys
import numpy as np
from jaxcl.data import from_arrays
from jaxcl.data._builders import image_folder
from small_faults import before
done = []
def kill(*_):
    done.append(1)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
before(image_folder, "_digest", kill)
image = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8) + int(sys.argv[2])
from_arrays(image=image, label=[0, 1, 0, 1], data_dir=sys.argv[1])
"""


def kill_build(data_dir, number=0):
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(data_dir), str(number)],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr


def unfinished(data_dir):
    return sorted(Path(data_dir).rglob("incomplete.*"))


def test_the_next_build_removes_what_a_killed_one_left(tmp_path):
    for number in range(2):
        kill_build(tmp_path, number)
        assert len(unfinished(tmp_path)) == 1
    name = from_arrays(**ARRAYS, data_dir=str(tmp_path))
    assert unfinished(tmp_path) == []
    config = DataConfig(name=name, data_dir=str(tmp_path))
    assert len(open_split(config, "train")) == 4
    assert [path.name for path in (tmp_path / "image_folder").iterdir()] == [
        name.split("/")[1]
    ]


@pytest.mark.parametrize("level", ["incomplete.ABC123_1.0.0", "a", "."])
def test_links_of_that_name_are_not_followed(tmp_path, level):
    far, place = tmp_path / "far", tmp_path / "data" / "image_folder"
    kept = {
        "incomplete.ABC123_1.0.0": far / "kept",
        "a": far / "incomplete.ABC123_1.0.0" / "kept",
        ".": far / "a" / "incomplete.ABC123_1.0.0" / "kept",
    }[level]
    kept.parent.mkdir(parents=True)
    kept.write_text("")
    link = place / level
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(far)
    from_arrays(**ARRAYS, data_dir=str(tmp_path / "data"))
    assert kept.exists()


def test_other_folders_and_other_sets_stay(tmp_path):
    places = ["image_folder/incomplete.notes", "mnist/incomplete.ABC123_1.0.0"]
    for place in places:
        (tmp_path / place).mkdir(parents=True)
    from_arrays(**ARRAYS, data_dir=str(tmp_path))
    assert all((tmp_path / place).is_dir() for place in places)
