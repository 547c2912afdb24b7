"""PACS: seven classes in paintings, cartoons, photographs and sketches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from jaxcl.data._builders._domain_folders import (
    DomainFolders,
    DomainImage,
    make_examples,
    unpack,
)
from jaxcl.data._builders._manual import with_folders
from jaxcl.data._builders._own import Splits
from jaxcl.data._errors import DataError
from jaxcl.data._registry import REGISTRY

DOMAINS = REGISTRY["pacs"].domains
LABELS = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
FRACTIONS = ("1p", "5p", "10p", "100p")
_FOLDS = (0, 1, 2)
# Folder of each kind of lists, and another name its archive may have.
_LISTS = {
    "udg": ("udg_splits", "pacs_udg_splits"),
    "domclp": ("train_test_list", "pacs_train_test_list"),
}
_LETTERS = {"art_painting": "A", "cartoon": "C", "photo": "P", "sketch": "S"}


@dataclass(eq=False)
class PacsConfig(tfds.core.BuilderConfig):
    """Which images are in which split.

    Attributes:
        lists: Whose lists say so, `udg` or `domclp`; empty = all images in `train`.
        held_out: The domain of the split `test`.
        fraction: Share of the labels that may be used: 1p, 5p, 10p or 100p.
        fold: Which of three draws.
    """

    lists: str = ""
    held_out: str = ""
    fraction: str = ""
    fold: int = 0


class Pacs(DomainFolders):
    """Seven classes in paintings, cartoons, photographs and sketches.

    Config `all` (the default) has one split, `train`, all 9,991 images: art_painting
    2,048, cartoon 2,344, photo 1,670, sketch 3,929. Columns: image, label (7), domain
    (4), instance, file.

    Configs `udg_<held-out domain>_<fraction>_<fold>` follow the protocol of
    unsupervised domain generalization: fractions 1p, 5p, 10p, 100p, folds 0, 1, 2. They
    need its lists.

    - `train`: nine tenths of the three other domains, to be learned from without labels
    - `labeled`: the fraction of `train` whose labels may be used
    - `validation`: the same fraction of what `train` leaves out, at least one a class
    - `id_test`: all that `train` leaves out of its domains; `validation` is part of it
    - `test`: all images of the held-out domain

    Configs `domclp_...` are the same with the lists that the code of DomCLP reads:
    other draws of the same sizes (the nine tenths differ by up to three images a
    domain).
    """

    BUILDER_CONFIGS: ClassVar = [
        PacsConfig(name="all", description="All images in one split."),
        *(
            PacsConfig(
                name=f"{lists}_{held_out}_{fraction}_{fold}",
                description=f"{held_out} held out, labels of {fraction}, fold {fold}.",
                lists=lists,
                held_out=held_out,
                fraction=fraction,
                fold=fold,
            )
            for lists in _LISTS
            for held_out in DOMAINS
            for fraction in FRACTIONS
            for fold in _FOLDS
        ),
    ]
    ROOTS = ("PACS", "pacs", "kfold", "pacs64")
    LABELS = LABELS
    COUNTS: ClassVar = {"original": (2048, 2344, 1670, 3929)}
    OTHER_FILES = tuple(folder for folder, _ in _LISTS.values())

    def _examples(self, dl_manager: Any) -> Splits:
        config: Any = self.builder_config
        if not config.lists:
            return super()._examples(dl_manager)
        manual_dir = Path(dl_manager.manual_dir)
        found = self._scan(manual_dir)
        splits = udg_splits(found, find_lists(manual_dir, found, config), config)
        return {
            split: make_examples(found, positions)
            for split, positions in splits.items()
        }


def find_lists(
    manual_dir: Path, images: Sequence[DomainImage], config: PacsConfig
) -> Path:
    """The folder of the lists of a config: beside the domains, or near their folder."""
    folder, archive = _LISTS[config.lists]
    inside = images[0].path.parents[2]
    near = [parent / folder for parent in (inside, inside.parent, manual_dir)]
    found = next(filter(Path.is_dir, near), None)
    found = found or unpack(manual_dir, (folder, archive))
    if found is None:
        raise DataError(
            f"config {config.name!r} of pacs needs the lists {str(inside / folder)!r}, "
            "see the instructions of the data set"
        )
    first = list_name(config, DOMAINS[0], "train")
    for candidate in with_folders(found):
        if (candidate / first).is_file():
            return candidate
    raise DataError(f"{str(found / first)!r} is missing")


def list_name(config: PacsConfig, domain: str, kind: str, fraction: str = "") -> str:
    """The file that lists images of a domain.

    Args:
        config: Whose lists, and which fold.
        domain: Of the images.
        kind: "train", or "test" for the tenth that is left out of training.
        fraction: Which share of them; empty = all.

    Example:
        >>> config = PacsConfig(name="a", lists="udg", fold=2)
        >>> list_name(config, "photo", "train", "5p")
        'photo_train_5p_2.txt'
        >>> config = PacsConfig(name="b", lists="domclp", fold=2)
        >>> list_name(config, "photo", "train", "5p")
        'P_train_fold_2_ft5.txt'
    """
    if config.lists == "udg":
        return "_".join(filter(None, (domain, kind, fraction, f"{config.fold}.txt")))
    percent = f"_ft{fraction.removesuffix('p')}" if fraction else ""
    return f"{_LETTERS[domain]}_{kind}_fold_{config.fold}{percent}.txt"


def udg_splits(
    images: Sequence[DomainImage], lists: Path, config: PacsConfig
) -> dict[str, list[int]]:
    """Positions among the images of every split of a config, in rising order."""
    places: dict[tuple[str, str, str], int] = {}
    for position, image in enumerate(images):
        # By stem: the lists name a PNG where a copy of the data has a JPEG.
        place = (image.domain, image.label, image.path.stem)
        if places.setdefault(place, position) != position:
            raise DataError(f"two images of pacs are named {'/'.join(place)}")

    def listed(kind: str, fraction: str = "") -> list[int]:
        found: set[int] = set()
        for domain in DOMAINS:
            if domain != config.held_out:
                file = lists / list_name(config, domain, kind, fraction)
                found |= set(_read_list(file, domain, places))
        return sorted(found)

    return {
        "train": listed("train"),
        "labeled": listed("train", config.fraction),
        "validation": listed("test", config.fraction),
        "id_test": listed("test"),
        "test": [
            i for i, image in enumerate(images) if image.domain == config.held_out
        ],
    }


def _read_list(
    file: Path, domain: str, places: dict[tuple[str, str, str], int]
) -> list[int]:
    """Reads lines `<domain>/<class>/<name> <number of the class>`."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"list {str(file)!r} cannot be read: {error}") from error
    found: list[int] = []
    missing: list[str] = []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        parts = fields[0].split("/") if len(fields) in (2, 3) else []
        # An image of another domain could be one that is held out.
        if len(parts) != 3 or parts[0] != domain or fields[1] != _number_of(parts[1]):
            raise DataError(
                f"list {str(file)!r}, line {number}: must be {domain}/<class>/<name> "
                f"and the number of the class, got {line!r}"
            )
        place = places.get((parts[0], parts[1], Path(parts[2]).stem))
        if place is None:
            missing.append(fields[0])
        else:
            found.append(place)
    if missing:
        raise DataError(
            f"list {str(file)!r} names {len(missing)} images that are not there: "
            f"{', '.join(missing[:3])}"
        )
    return found


def _number_of(label: str) -> str:
    return str(LABELS.index(label)) if label in LABELS else ""
