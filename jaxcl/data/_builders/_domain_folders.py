"""Data sets that are folders `<domain>/<class>/<file>`, fetched by hand."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _manual
from jaxcl.data._errors import DataError

_LOG = logging.getLogger(__name__)

IMAGE_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".bmp",
    ".gif",
    ".webp",
    ".tif",
    ".tiff",
)
ARCHIVE_SUFFIXES = (
    ".zip",
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.xz",
    ".txz",
    ".tar.bz2",
)
# Left behind by file managers; names that start with a dot are passed over as well.
_JUNK = ("thumbs.db", "desktop.ini", "__macosx")
# Far above what any of these data sets holds, far below what fills a disk unseen.
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


class DomainFolders(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set of which every image is `<root>/<domain>/<class>/<file>`.

    Split `train` holds all of them: which domains are held out is said by the config of
    a run. `instance` is the position in the order of domain, class and file name.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    ROOTS: ClassVar[tuple[str, ...]]
    """Names the folder, or the archive of it, may have in the manual directory."""
    DOMAINS: ClassVar[tuple[str, ...]]
    LABELS: ClassVar[tuple[str, ...]]
    COUNTS: ClassVar[Mapping[str, Mapping[str, int]]]
    """Images of each domain, of each known preparation of the data set."""
    OTHER_FILES: ClassVar[tuple[str, ...]] = ()
    """What lies beside the domains in the original, without being an image."""
    HOMEPAGE: ClassVar[str]
    CITATION: ClassVar[str]
    TERMS: ClassVar[str]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(type(self).__doc__ or "").strip(),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=list(self.LABELS)),
                    "domain": tfds.features.ClassLabel(names=list(self.DOMAINS)),
                    "instance": tfds.features.Scalar(np.int32),
                    "file": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage=self.HOMEPAGE,
            citation=self.CITATION,
            license=self.TERMS,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        images = self._scan(Path(dl_manager.manual_dir))
        return {"train": self._generate_examples(images, range(len(images)))}

    def _generate_examples(
        self, images: Sequence[DomainImage], positions: Iterable[int]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for position in positions:
            image = images[position]
            yield (
                position,
                {
                    # The bytes of the file as they are.
                    "image": image.path,
                    "label": image.label,
                    "domain": image.domain,
                    "instance": position,
                    "file": image.file,
                },
            )

    def _scan(self, manual_dir: Path) -> list[DomainImage]:
        root = find_folder(manual_dir, self.ROOTS, self.DOMAINS)
        images = scan(root, self.DOMAINS, self.LABELS, self.OTHER_FILES)
        found = dict(Counter(image.domain for image in images))
        if found not in [dict(counts) for counts in self.COUNTS.values()]:
            _LOG.warning(
                "data set %s in %s is not complete: expected %s; found %s",
                self.name,
                root,
                "; or ".join(
                    f"{_listed(counts)} ({source})"
                    for source, counts in self.COUNTS.items()
                ),
                _listed(found),
            )
        return images


def find_folder(manual_dir: Path, names: Sequence[str], inside: Sequence[str]) -> Path:
    """The folder that holds one of the folders `inside`; unpacks its archive if needed.

    Args:
        manual_dir: Where the user puts files that were fetched by hand.
        names: What the folder, or its archive, may be called there.
        inside: Names of folders, spelled in any way `plain` takes for the same.

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
    for folder in _with_folders(found):
        if any(plain(path.name) in wanted for path in folder.iterdir()):
            return folder
    held = ", ".join(sorted(path.name for path in found.iterdir())[:10])
    raise DataError(
        f"{str(found)!r} holds none of the folders {', '.join(inside)}; it holds "
        f"{held or 'nothing'}"
    )


def find_file(folder: Path, name: str) -> Path:
    """The folder itself, or the folder in it, that holds a file of a name."""
    for candidate in _with_folders(folder):
        if (candidate / name).is_file():
            return candidate
    raise DataError(f"{str(folder / name)!r} is missing")


def unpack(manual_dir: Path, names: Sequence[str]) -> Path | None:
    """The folder of one of the names; made from an archive of that name if needed."""
    archives = {name + suffix: "" for name in names for suffix in ARCHIVE_SUFFIXES}
    return _manual.unpack(
        manual_dir, names, archives, max_bytes=_MAX_BYTES, max_files=_MAX_FILES
    )


def _with_folders(folder: Path) -> list[Path]:
    """A folder, and those in it: an archive often has one around everything."""
    return [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]


def scan(
    root: Path,
    domains: Sequence[str],
    labels: Sequence[str],
    other_files: Sequence[str] = (),
) -> list[DomainImage]:
    """All images of `<root>/<domain>/<class>/<file>`, ordered by these three names.

    A `DataError` names folders that are no domain or class, and files that are no
    image. What only a file manager wrote is passed over.
    """
    images: list[DomainImage] = []
    for domain, domain_folder in _named(root, domains, "domain", other_files):
        for label, folder in _named(domain_folder, labels, "class", other_files):
            files = [path for path in folder.iterdir() if not is_junk(path.name)]
            odd = sorted(path for path in files if not is_image(path))
            if odd:
                raise DataError(
                    f"{str(odd[0])!r} is no image ({', '.join(IMAGE_SUFFIXES)})"
                    + (f", nor are {len(odd) - 1} others there" if odd[1:] else "")
                )
            images += [DomainImage(domain, label, path.name, path) for path in files]
    if not images:
        raise DataError(f"{str(root)!r} holds no image")
    return sorted(images)


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
    """What is the same in all spellings of a name.

    Example:
        >>> plain("Real World") == plain("real_world") == plain("RealWorld")
        True
    """
    return re.sub(r"[\s_-]+", "", name).casefold()


def is_junk(name: str) -> bool:
    """Whether a file or folder is hidden, or was left behind by a file manager."""
    return name.startswith(".") or name.lower() in _JUNK


def is_image(path: Path) -> bool:
    """Whether a file has the ending of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _listed(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    parts = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    return f"{parts}; {total:,} in all"
