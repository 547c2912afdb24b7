"""Data sets of folders `<domain>/<class>/<file>` that the user downloads."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _manual
from jaxcl.data._builders._own import Example, OwnBuilder, Splits, images
from jaxcl.data._errors import DataError
from jaxcl.data._registry import REGISTRY

_LOG = logging.getLogger(__name__)

IMAGE_SUFFIXES = tuple(
    [".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"]
)
ARCHIVE_SUFFIXES = tuple(
    [".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2"]
)
# Left behind by file managers; names that start with a dot are skipped as well.
_JUNK = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r")
# Far above what any of these data sets holds, far below what fills a disk unnoticed.
_MAX_BYTES, _MAX_FILES = 32 << 30, 200_000


class DomainImage(NamedTuple):
    """An image of such a folder."""

    domain: str
    label: str
    name: str
    path: Path

    @property
    def file(self) -> str:
        """Its path in the data set, as it is spelled on disk."""
        return "/".join(self.path.parts[-3:])


class DomainFolders(OwnBuilder, skip_registration=True):
    """A data set of which every image is `<root>/<domain>/<class>/<file>`.

    Split `train` holds all of them: the config of a run names the held-out domains.
    `instance` is the position in the order of domain, class and file name.
    """

    ROOTS: ClassVar[tuple[str, ...]]
    """Names the folder, or the archive of it, may have in the manual directory."""
    LABELS: ClassVar[tuple[str, ...]]
    COUNTS: ClassVar[Mapping[str, Sequence[int]]]
    """Images of each domain, in every known version of the data set."""
    OTHER_FILES: ClassVar[tuple[str, ...]] = ()
    """What lies beside the domains in the original and is no image."""

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains."""
        return REGISTRY[self.name].domains

    def _columns(self) -> dict[str, Any]:
        return {
            "image": images(),
            "label": tfds.features.ClassLabel(names=list(self.LABELS)),
            "domain": tfds.features.ClassLabel(names=list(self.domains)),
            "instance": tfds.features.Scalar(np.int32),
            "file": tfds.features.Text(),
        }

    def _examples(self, dl_manager: Any) -> Splits:
        found = self._scan(Path(dl_manager.manual_dir))
        return {"train": make_examples(found, range(len(found)))}

    def _scan(self, manual_dir: Path) -> list[DomainImage]:
        root = find_folder(manual_dir, self.ROOTS, self.domains)
        found = scan(root, self.domains, self.LABELS, self.OTHER_FILES)
        counts = dict(Counter(image.domain for image in found))
        published = {
            version: dict(zip(self.domains, sizes, strict=True))
            for version, sizes in self.COUNTS.items()
        }
        if counts not in published.values():
            expected = "; or ".join(
                f"{_listed(sizes)} ({version})" for version, sizes in published.items()
            )
            _LOG.warning(
                "data set %s in %s is not complete: expected %s; found %s",
                *(self.name, root, expected, _listed(counts)),
            )
        return found


def make_examples(
    found: Sequence[DomainImage], positions: Iterable[int]
) -> Iterator[Example]:
    """Examples of the images at some positions."""
    for position in positions:
        image = found[position]
        yield {
            # The bytes of the file as they are.
            "image": image.path,
            "label": image.label,
            "domain": image.domain,
            "instance": position,
            "file": image.file,
        }


def find_folder(manual_dir: Path, names: Sequence[str], inside: Sequence[str]) -> Path:
    """The folder that holds one of the folders `inside`; unpacks its archive if needed.

    Args:
        manual_dir: Where the user puts downloaded files.
        names: Names that the folder, or its archive, may have there.
        inside: Names of folders, in any spelling that `plain` treats as equal.

    Returns:
        A folder of one of the names, or a folder in it.
    """
    found = unpack(manual_dir, names)
    if found is None:
        raise DataError(
            f"{str(manual_dir / names[0])!r} is missing: it must be a folder that "
            f"holds {', '.join(inside)}, or an archive of it ({names[0]}.zip, .tar, "
            f".tar.gz, .tar.xz, .tar.bz2). It may also be called "
            f"{', '.join(names[1:])}"
        )
    wanted = {plain(name) for name in inside}
    for folder in _manual.with_folders(found):
        if any(plain(path.name) in wanted for path in folder.iterdir()):
            return folder
    raise DataError(
        f"{str(found)!r} holds none of the folders {', '.join(inside)}; it holds "
        f"{_manual.listing(found)}"
    )


def unpack(manual_dir: Path, names: Sequence[str]) -> Path | None:
    """The folder of one of the names; made from an archive of that name if needed."""
    archives = {name + suffix: "" for name in names for suffix in ARCHIVE_SUFFIXES}
    layout = _manual.Layout(tuple(names), archives, "", _MAX_BYTES, _MAX_FILES)
    return _manual.unpack(manual_dir, layout)


def scan(
    root: Path,
    domains: Sequence[str],
    labels: Sequence[str],
    other_files: Sequence[str] = (),
) -> list[DomainImage]:
    """All images of `<root>/<domain>/<class>/<file>`, ordered by these three names.

    A `DataError` names folders that are no domain or class, and files that are no
    image. What a file manager left behind is skipped.
    """
    found: list[DomainImage] = []
    for domain, domain_folder in _named(root, domains, "domain", other_files):
        for label, folder in _named(domain_folder, labels, "class", other_files):
            files = [path for path in folder.iterdir() if not is_junk(path.name)]
            odd = sorted(path for path in files if not _is_image(path))
            if odd:
                raise DataError(
                    f"{str(odd[0])!r} is no image ({', '.join(IMAGE_SUFFIXES)})"
                    + (f", nor are {len(odd) - 1} others there" if odd[1:] else "")
                )
            found += [DomainImage(domain, label, path.name, path) for path in files]
    if not found:
        raise DataError(f"{str(root)!r} holds no image")
    return sorted(found)


def _named(
    folder: Path, names: Sequence[str], kind: str, other_files: Sequence[str]
) -> list[tuple[str, Path]]:
    """Folders with the names they stand for."""
    known = {plain(name): name for name in names}
    paths = [
        path
        for path in sorted(folder.iterdir())
        if not is_junk(path.name) and path.name not in other_files
    ]
    odd = [p.name for p in paths if plain(p.name) not in known or not p.is_dir()]
    if odd:
        raise DataError(
            f"{str(folder)!r} holds {', '.join(map(repr, odd[:5]))}, which is no "
            f"{kind}: {', '.join(names)}"
        )
    found = [(known[plain(path.name)], path) for path in paths]
    twice = [name for name, count in Counter(n for n, _ in found).items() if count > 1]
    if twice:
        raise DataError(f"{str(folder)!r} holds {kind} {twice[0]!r} twice")
    return found


def plain(name: str) -> str:
    """A name without case, blanks, underscores and hyphens.

    Example:
        >>> plain("Real World") == plain("real_world") == plain("RealWorld")
        True
    """
    return re.sub(r"[\s_-]+", "", name).casefold()


def is_junk(name: str) -> bool:
    """Whether a file or folder is hidden, or was left behind by a file manager."""
    return name.startswith(".") or name.lower() in _JUNK


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _listed(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    parts = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    return f"{parts}; {total:,} in all"
