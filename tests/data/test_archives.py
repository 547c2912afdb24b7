"""Archives that mean harm, or are broken, are refused and leave nothing behind."""

import contextlib
import hashlib
import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile

import pytest

from jaxcl.data._builders._archives import extract
from jaxcl.data._errors import DataError

FILES = {"PACS/photo/dog/1.jpg": b"one", "PACS/photo/cat/2.jpg": b"two" * 1000}
LIMITS = {"max_bytes": 1 << 20, "max_files": 20}


def write_tar(path, members, mode="w"):
    """Members are (TarInfo or name, bytes)."""
    with tarfile.open(path, mode) as archive:
        for info, data in members:
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for info, data in members:
            with contextlib.suppress(UserWarning):
                archive.writestr(info, data)
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def refuse(archive, tmp_path, match, **limits):
    target = tmp_path / "out" / "PACS"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=match):
        extract(archive, target, **{**LIMITS, **limits})
    left = set(tmp_path.rglob("*")) - set(before)
    assert left <= {target.parent}
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2", "zip"])
def test_every_kind_comes_out_as_it_went_in_whatever_its_name(tmp_path, mode):
    archive = tmp_path / "download"
    if mode == "zip":
        write_zip(archive, FILES.items())
    else:
        write_tar(archive, FILES.items(), mode)
    digest = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    target = tmp_path / "new" / "PACS"
    extract(archive, target, md5=digest, **LIMITS)
    found = {
        str(path.relative_to(target)): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file()
    }
    assert found == FILES
    assert [path.name for path in target.parent.iterdir()] == ["PACS"]
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(
        target.parent.stat().st_mode
    )


def test_folders_of_an_archive_may_be_named_and_named_again(tmp_path):
    folder = special("./a/", tarfile.DIRTYPE)
    archive = write_tar(
        tmp_path / "a.tar", [("./a/b.jpg", b"b"), (folder, b""), (folder, b"")]
    )
    extract(archive, tmp_path / "a", **LIMITS)
    assert (tmp_path / "a" / "a" / "b.jpg").read_bytes() == b"b"


OUTSIDE = ["/evil", "../evil", "a/../../../evil", "C:/evil", "C:evil"]


@pytest.mark.parametrize("name", [*OUTSIDE, "..\\evil", "a\nb", "a" * 2000])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    match = "outside of its folder" if name in OUTSIDE else "odd letters|cannot be"
    for number, write in enumerate((write_tar, write_zip)):
        archive = write(tmp_path / str(number), [("good", b""), (name, b"x")])
        refuse(archive, tmp_path, match)


UNSEEN = "\u200b\u200e\u200f\u202a\u202e\u2066\u2069\u061c\ufeff\x7f\x85\u2028"


@pytest.mark.parametrize("letter", UNSEEN)
def test_letters_that_are_not_shown_are_refused(tmp_path, letter):
    # After U+202E this looks like "photo_exe.jpg".
    name = f"a/photo_{letter}gpj.exe"
    for number, write in enumerate((write_tar, write_zip)):
        archive = write(tmp_path / str(number), [("good", b""), (name, b"x")])
        refuse(archive, tmp_path, "odd letters")


GIT = [".git/hooks/post-checkout", "a/.GIT/config", "a/GIT~1/config", ".git"]
GIT += [".git . /config", "a/.git::$INDEX_ALLOCATION/config", "\uff0egit/config"]


@pytest.mark.parametrize("name", GIT)
def test_folders_of_git_are_refused(tmp_path, name):
    for number, write in enumerate((write_tar, write_zip)):
        archive = write(tmp_path / str(number), [("good", b""), (name, b"x")])
        refuse(archive, tmp_path, "folder of git")


def test_names_of_other_languages_are_kept(tmp_path):
    names = [".gitignore", "é/ω.jpg", "猫/1.jpg", "חתול/2.jpg", "digit/3.jpg"]
    archive = write_zip(tmp_path / "a.zip", [(name, b"x") for name in names])
    extract(archive, tmp_path / "a", **LIMITS)
    assert all((tmp_path / "a" / name).is_file() for name in names)


@pytest.mark.parametrize(
    ("kind", "target", "word"),
    [
        (tarfile.SYMTYPE, "/etc/passwd", "link"),
        (tarfile.SYMTYPE, "good", "link"),
        (tarfile.LNKTYPE, "good", "link"),
        (tarfile.CHRTYPE, "", "device"),
        (tarfile.BLKTYPE, "", "device"),
        (tarfile.FIFOTYPE, "", "device"),
    ],
)
def test_links_and_devices_of_a_tar_are_refused(tmp_path, kind, target, word):
    members = [("good", b"x"), (special("evil", kind, target), b"")]
    refuse(write_tar(tmp_path / "a.tar", members), tmp_path, f"holds a {word}: 'evil'")


@pytest.mark.parametrize(
    ("kind", "word"), [(stat.S_IFLNK, "link"), (stat.S_IFIFO, "device")]
)
def test_links_and_devices_of_a_zip_are_refused(tmp_path, kind, word):
    info = zipfile.ZipInfo("evil")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    refuse(write_zip(tmp_path / "a.zip", [(info, "good")]), tmp_path, f"holds a {word}")


TWICE = [
    ("a/b.jpg", "a/b.jpg"),
    ("a/b.jpg", "./a//b.jpg"),
    ("a/b.jpg", "a/B.jpg"),
    ("a/b.jpg", "A/c.jpg"),
    ("a", "a/b.jpg"),
    ("a/b.jpg", "a"),
    ("\u00e9", "e\u0301"),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("first", "second"), TWICE)
def test_names_that_some_disk_takes_for_one_are_refused(tmp_path, first, second):
    for number, write in enumerate((write_tar, write_zip)):
        archive = write(tmp_path / str(number), [(first, b"1"), (second, b"2")])
        refuse(archive, tmp_path, "uses a name twice")


def test_a_password_is_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("a", b"secret")])
    data = bytearray(archive.read_bytes())
    # The first bit of the flags, in the local and in the central header.
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    refuse(archive, tmp_path, "has a password, on 'a'")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_a_bomb_is_stopped_at_the_limit(tmp_path, mode):
    archive = write_tar(tmp_path / "a.tar", [("a", bytes(5 << 20))], mode)
    refuse(archive, tmp_path, "holds more than 1,048,576 bytes")


def test_a_bomb_of_many_files_is_stopped_by_their_sum(tmp_path):
    members = [(f"{i}", bytes(200_000)) for i in range(6)]
    for number, write in enumerate((write_tar, write_zip)):
        archive = write(tmp_path / str(number), members)
        refuse(archive, tmp_path, "more than 1,048,576 bytes")
        refuse(archive, tmp_path, "more than 5 files", max_files=5)
    extract(archive, tmp_path / "fits", max_bytes=1_200_000, max_files=6)


def test_a_zip_whose_header_lies_about_the_size_is_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("a", bytes(5 << 20))])
    data = bytearray(archive.read_bytes())
    central = data.index(b"PK\x01\x02")
    for place in (22, central + 24):
        assert data[place : place + 4] == (5 << 20).to_bytes(4, "little")
        data[place : place + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(data)
    refuse(archive, tmp_path, "cannot be read as zip or tar: Bad CRC-32")


def test_a_tar_whose_header_lies_about_the_size_is_refused(tmp_path):
    archive = write_tar(tmp_path / "a.tar", [("a", b"x")])
    data = bytearray(archive.read_bytes())
    info = tarfile.TarInfo("a")
    info.size = 1 << 40
    data[:512] = info.tobuf()
    archive.write_bytes(data)
    refuse(archive, tmp_path, "cannot be read|more than")


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path):
    info = tarfile.TarInfo("a")
    info.pax_headers = {"comment": "x" * (3 << 20)}
    archive = tmp_path / "a.tgz"
    with tarfile.open(archive, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("first"))
        tar.addfile(info)
    assert archive.stat().st_size < 10_000
    refuse(archive, tmp_path, "has a header that is too large", max_bytes=1 << 40)


def test_a_wrong_checksum_is_refused_before_the_file_is_opened(tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"no archive at all")
    refuse(archive, tmp_path, "must have MD5 00.*, got", md5="00" * 16)
    refuse(archive, tmp_path, "cannot be read as zip or tar")
    refuse(tmp_path / "missing.zip", tmp_path, "cannot be read: No such file")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2", "zip"])
def test_an_archive_that_is_cut_off_anywhere_is_refused(tmp_path, mode):
    archive = tmp_path / "whole"
    noise = [(str(i), os.urandom(700)) for i in range(3)]
    write_zip(archive, noise) if mode == "zip" else write_tar(archive, noise, mode)
    data = archive.read_bytes()
    # What follows in a plain tar are the zeros that say that it ends.
    end = 3 * (512 + 1024) if mode == "w" else len(data) - 1
    for length in (1, 5, 100, 512, 600, 1536, end // 2, 3072, end):
        cut = tmp_path / "cut"
        cut.write_bytes(data[: min(length, end)])
        refuse(cut, tmp_path, "cannot be read as zip or tar")


def test_a_flipped_byte_is_noticed_where_there_is_a_checksum(tmp_path):
    noise = [("a", os.urandom(3000))]
    for number, write in enumerate((write_zip, write_tar)):
        archive = tmp_path / str(number)
        write(archive, noise, *(["w:gz"] if write is write_tar else []))
        data = bytearray(archive.read_bytes())
        data[1500] ^= 1
        archive.write_bytes(data)
        refuse(archive, tmp_path, "cannot be read as zip or tar")


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    archive = write_tar(tmp_path / "a.tar", FILES.items())
    (tmp_path / "PACS").mkdir()
    with pytest.raises(DataError, match="is there already"):
        extract(archive, tmp_path / "PACS", **LIMITS)
    assert list((tmp_path / "PACS").iterdir()) == []


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_half_of_a_folder(tmp_path):
    program = f"""
import pathlib, time
from jaxcl.data._builders import _archives
write = _archives._write
def slowly(*args):
    write(*args)
    time.sleep(60)
_archives._write = slowly
there = pathlib.Path({str(tmp_path)!r})
_archives.extract(there / "a.tar", there / "PACS", max_bytes=1 << 20, max_files=20)
"""
    archive = write_tar(tmp_path / "a.tar", FILES.items())
    run = subprocess.Popen([sys.executable, "-c", program])
    while not list(tmp_path.glob(".PACS-*/whole/**/1.jpg")):
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (tmp_path / "PACS").exists()
    extract(archive, tmp_path / "PACS", **LIMITS)
    assert (tmp_path / "PACS/PACS/photo/dog/1.jpg").read_bytes() == b"one"
