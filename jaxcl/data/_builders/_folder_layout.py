"""What the folders of images say: split, domain and class of every image."""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxcl.data._builders._domain_folders import IMAGE_SUFFIXES, is_junk
from jaxcl.data._errors import DataError

# Folders with these names, in any case, are splits.
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# Looks like a split but is none: `train_set`, `val2017`, `trainA`.
_LIKE_A_SPLIT = re.compile(
    r"(?i:(^|.*[\W\d_])(train(ing)?|trn|val(id(ation)?)?|test(ing)?|tst|dev)"
    r"(data|folder|images?|imgs?|pics|samples|set)?s?([\W\d_].*|$))"
    r"|([Tt]rain|[Vv]al|[Tt]est)[A-Z]"
)
_LAYOUTS = "<file>, all <class>/<file>, or all <domain>/<class>/<file>"
_ADVICE = "or list the images and their metadata in a `data.table`"
# How Python keeps the bytes of a name that is not UTF-8.
_UNDECODED = re.compile("[\udc80-\udcff]")


class File(NamedTuple):
    """A file of a folder."""

    size: int
    time: int
    is_image: bool


class Files(NamedTuple):
    """What a folder holds, without hidden files and the litter of file managers."""

    known: Mapping[str, File]
    """All files by their relative path. What cannot be read as a file, such as a link
    to a folder, is listed as no image."""
    empty: list[str]
    """Folders with nothing in them."""


class Layout(NamedTuple):
    """What the folders say of every image, in the order of the paths."""

    paths: list[str]
    splits: list[str]
    labels: list[str] | None
    domains: list[str] | None
    notes: list[str]
    """What a reader should know about it."""


def find_files(folder: Path) -> Files:
    """The files of a folder; a `DataError` if there is no image among them."""
    if not folder.is_dir():
        raise DataError(f"`data.path` must be a folder of images, got {str(folder)!r}")
    known: dict[str, File] = {}
    empty: list[str] = []
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not is_junk(name)]
        links = [name for name in folders if Path(place, name).is_symlink()]
        here = links + [name for name in names if not is_junk(name)]
        for name in here:
            path = Path(place, name)
            known[path.relative_to(folder).as_posix()] = _look_at(path)
        if not here and not folders:
            empty.append(Path(place).relative_to(folder).as_posix())
    if not any(file.is_image for file in known.values()):
        raise DataError(
            f"`data.path` must be a folder of images ({', '.join(IMAGE_SUFFIXES)}); "
            f"{str(folder)!r} holds none"
        )
    return Files(known, sorted(empty))


def _look_at(path: Path) -> File:
    if not path.is_file():
        return File(0, 0, False)
    known = path.stat()
    is_image = path.suffix.lower() in IMAGE_SUFFIXES
    # Programs can keep the time of a change, but not that of a change of its record.
    return File(known.st_size, known.st_ctime_ns, is_image)


def _refuse(error: OSError) -> None:
    raise DataError(f"folder {error.filename!r} cannot be read: {error.strerror}")


def check_inside(folder: Path, path: str, place: str) -> None:
    """Raises a `DataError` for a link that leads out of the folder."""
    if not (folder / path).resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{place} is a link that leads out of the folder")


def read_layout(folder: Path, files: Files) -> Layout:
    """The layout of a folder without a table.

    A `DataError` says what is unclear: a wrong guess would be trained on.
    """
    _check_files(folder, files.known)
    paths = sorted(files.known)
    levels = [path.split("/")[:-1] for path in paths]
    _check_depth(folder, paths, levels)
    splits, levels = _take_splits(folder, levels)
    depth = len(levels[0])
    if depth > 2:
        raise _deeper(folder, paths[:1])
    labels = domains = None
    notes = [f"folders without images: {listed(files.empty)}"] if files.empty else []
    if depth:
        _check_tops(folder, depth, {level[0] for level in levels})
        labels = _clean_all("class", (level[-1] for level in levels), notes)
        notes += _note_unseen(splits, labels)
    if depth == 2:
        domains = _clean_all("domain", (level[0] for level in levels), notes)
    return Layout(paths, splits, labels, domains, notes)


def _check_files(folder: Path, files: Mapping[str, File]) -> None:
    odd = sorted(path for path, file in files.items() if not file.is_image)
    if odd:
        others = f" (nor are {len(odd) - 1} others)" if odd[1:] else ""
        raise DataError(
            f"{str(folder / odd[0])!r} is no file of an image{others}: "
            f"{_explain(folder / odd[0])}; move it away, {_ADVICE}"
        )
    for path in files:
        check_inside(folder, path, f"{str(folder / path)!r}")
        if _UNDECODED.search(path):
            raise DataError(
                f"the name of {str(folder / path)!r} is not UTF-8: rename it"
            )


def _explain(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return "it is a link to nothing"
    if path.is_dir():
        return "it is a link to a folder, which is not followed"
    return f"its name must end in one of {', '.join(IMAGE_SUFFIXES)}"


def _check_depth(
    folder: Path, paths: Sequence[str], levels: Sequence[list[str]]
) -> None:
    first = {len(level): path for path, level in zip(paths, levels, strict=True)}
    if len(first) > 1:
        raise _deeper(folder, list(first.values()))


def _deeper(folder: Path, examples: Sequence[str]) -> DataError:
    return DataError(
        f"the images of {str(folder)!r} must be all {_LAYOUTS}; folders of splits "
        f"(train, val, test) may lie around them. Got {listed(examples)}: move them, "
        f"{_ADVICE}"
    )


def _take_splits(
    folder: Path, levels: list[list[str]]
) -> tuple[list[str], list[list[str]]]:
    """The split of every image, and its folders without those of splits."""
    tops = {level[0] for level in levels if level}
    known = sorted(name for name in tops if name.casefold() in _SPLITS)
    others = sorted(tops - {*known})
    if known and others:
        raise DataError(
            f"{str(folder)!r} holds {listed(known)}, named as splits are, beside "
            f"{listed(others)}: rename the former if they are classes or domains, move "
            f"the latter into train, val or test if not, {_ADVICE}"
        )
    found = [
        i
        for i in range(len(levels[0]))
        if all(level[i].casefold() in _SPLITS for level in levels)
    ]
    if not found:
        return ["train"] * len(levels), levels
    for i in found:
        _check_spelling(folder, {level[i].casefold() for level in levels})
    named = [{_SPLITS[level[i].casefold()] for i in found} for level in levels]
    for level, names in zip(levels, named, strict=True):
        if len(names) > 1:
            raise DataError(
                f"{str(folder / Path(*level))!r} is in folders of two splits, "
                f"{listed(sorted(names))}: move it out of one"
            )
    rest = [[n for i, n in enumerate(level) if i not in found] for level in levels]
    return [names.pop() for names in named], rest


def _check_spelling(folder: Path, names: set[str]) -> None:
    for split in ("train", "val", "test"):
        same = sorted(name for name in names if _SPLITS[name] == split)
        if len(same) > 1:
            raise DataError(
                f"{str(folder)!r} holds {listed(same)}, which are one split, "
                f"{split!r}: put them together, {_ADVICE}"
            )


def _check_tops(folder: Path, depth: int, tops: set[str]) -> None:
    """Raises a `DataError` where domains or classes seem to be splits."""
    odd = sorted(name for name in tops if _LIKE_A_SPLIT.match(name))
    # One class of many may have such a name: a train station.
    if odd and (depth == 2 or len(odd) == len(tops) > 1):
        raise DataError(
            f"{str(folder)!r} holds {listed(odd)}: if these are splits, call them "
            f"train, val and test; if not, give them other names, {_ADVICE}"
        )


def _clean_all(kind: str, names: Iterable[str], notes: list[str]) -> list[str]:
    """Names of folders as a reader sees them; adds notes on those that look alike."""
    stored = list(names)
    cleaned = {name: clean(name) for name in set(stored)}
    same: dict[str, set[str]] = {}
    alike: dict[str, set[str]] = {}
    for name, plain in cleaned.items():
        if not plain:
            raise DataError(f"a folder of a {kind} must have a name, got {name!r}")
        same.setdefault(plain, set()).add(name)
        alike.setdefault(plain.casefold(), set()).add(plain)
    notes += [
        f"{kind} folders {', '.join(map(ascii, sorted(group)))} are one {kind}"
        for _, group in sorted(same.items())
        if len(group) > 1
    ]
    notes += [
        f"{kind} folders {listed(sorted(group))} differ in case alone, and stay apart"
        for _, group in sorted(alike.items())
        if len(group) > 1
    ]
    return [cleaned[name] for name in stored]


def _note_unseen(splits: Sequence[str], labels: Sequence[str]) -> list[str]:
    pairs = list(zip(splits, labels, strict=True))
    trained = {label for split, label in pairs if split == "train"}
    unseen = sorted({label for _, label in pairs} - trained)
    return [f"classes without training images: {listed(unseen)}"] if unseen else []


def split_of(name: str) -> str:
    """The split of a name, whichever way it is spelled.

    Example:
        >>> split_of("Training"), split_of("validation"), split_of("ood_test")
        ('train', 'val', 'ood_test')
    """
    return _SPLITS.get(name.casefold(), name.casefold())


def clean(name: str) -> str:
    r"""A name without what nobody sees: blanks around it, line breaks, Unicode form.

    Example:
        >>> clean(" sea\nlion ") == clean("sea lion")
        True
    """
    # Letters of this category have no width, such as U+200B.
    seen = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    return " ".join(unicodedata.normalize("NFC", seen).split())


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are.

    Example:
        >>> listed(["a", "b", "c"], 2)
        "'a', 'b' and 1 more"
    """
    shown = ", ".join(map(repr, names[:most]))
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")
