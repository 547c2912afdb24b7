import os
import threading

import pytest

from jaxcl.files import read_regular, replacing, write_whole


def test_a_file_is_replaced_whole_with_the_rights_of_a_new_file(tmp_path):
    path, plain = tmp_path / "report.json", tmp_path / "plain"
    plain.touch()
    write_whole(path, "one")
    write_whole(path, "zwö")
    assert path.read_text() == "zwö"
    assert path.stat().st_mode == plain.stat().st_mode
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plain", "report.json"]


def test_an_error_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "report.json"
    write_whole(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as unfinished:
        unfinished.write_text("half of the ne")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert path.read_text() == "old"


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "report.json"
    victim.write_text("precious")
    path.symlink_to(victim)
    write_whole(path, "new")
    assert victim.read_text() == "precious"
    assert not path.is_symlink()
    assert path.read_text() == "new"


def test_only_regular_files_are_read(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "device").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    assert read_regular(tmp_path / "file") == b"text"

    def read_all():
        for name in ("link", "device", "pipe", ".", "/dev/zero"):
            with pytest.raises(OSError):
                read_regular(tmp_path / name)

    # In a thread, so that a read that blocks fails the test.
    thread = threading.Thread(target=read_all, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_what_is_too_large_is_not_read(tmp_path):
    (tmp_path / "file").write_bytes(bytes(11))
    assert len(read_regular(tmp_path / "file", 11)) == 11
    with pytest.raises(OSError, match="holds more than 10 bytes"):
        read_regular(tmp_path / "file", 10)
