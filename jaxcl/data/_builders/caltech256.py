"""Caltech-256: photographs of 256 kinds of objects, and clutter."""

from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _manual
from jaxcl.data._builders._own import Example, OwnBuilder, Splits, images
from jaxcl.data._draws import Stream, permutation
from jaxcl.data._errors import DataError

# In the order of their numbers, from 001 to 257.
_NAMES = """
ak47 american-flag backpack baseball-bat baseball-glove basketball-hoop bat bathtub bear
beer-mug billiards binoculars birdbath blimp bonsai-101 boom-box bowling-ball
bowling-pin boxing-glove brain-101 breadmaker buddha-101 bulldozer butterfly cactus cake
calculator camel cannon canoe car-tire cartman cd centipede cereal-box chandelier-101
chess-board chimp chopsticks cockroach coffee-mug coffin coin comet computer-keyboard
computer-monitor computer-mouse conch cormorant covered-wagon cowboy-hat crab-101
desk-globe diamond-ring dice dog dolphin-101 doorknob drinking-straw duck dumb-bell
eiffel-tower electric-guitar-101 elephant-101 elk ewer-101 eyeglasses fern fighter-jet
fire-extinguisher fire-hydrant fire-truck fireworks flashlight floppy-disk
football-helmet french-horn fried-egg frisbee frog frying-pan galaxy gas-pump giraffe
goat golden-gate-bridge goldfish golf-ball goose gorilla grand-piano-101 grapes
grasshopper guitar-pick hamburger hammock harmonica harp harpsichord hawksbill-101
head-phones helicopter-101 hibiscus homer-simpson horse horseshoe-crab hot-air-balloon
hot-dog hot-tub hourglass house-fly human-skeleton hummingbird ibis-101 ice-cream-cone
iguana ipod iris jesus-christ joy-stick kangaroo-101 kayak ketch-101 killer-whale knife
ladder laptop-101 lathe leopards-101 license-plate lightbulb light-house lightning
llama-101 mailbox mandolin mars mattress megaphone menorah-101 microscope microwave
minaret minotaur motorbikes-101 mountain-bike mushroom mussels necktie octopus ostrich
owl palm-pilot palm-tree paperclip paper-shredder pci-card penguin people pez-dispenser
photocopier picnic-table playing-card porcupine pram praying-mantis pyramid raccoon
radio-telescope rainbow refrigerator revolver-101 rifle rotary-phone roulette-wheel
saddle saturn school-bus scorpion-101 screwdriver segway self-propelled-lawn-mower
sextant sheet-music skateboard skunk skyscraper smokestack snail snake sneaker
snowmobile soccer-ball socks soda-can spaghetti speed-boat spider spoon stained-glass
starfish-101 steering-wheel stirrups sunflower-101 superman sushi swan swiss-army-knife
sword syringe tambourine teapot teddy-bear teepee telephone-box tennis-ball tennis-court
tennis-racket theodolite toaster tomato tombstone top-hat touring-bike tower-pisa
traffic-light treadmill triceratops tricycle trilobite-101 tripod t-shirt tuning-fork
tweezer umbrella-101 unicorn vcr video-projector washing-machine watch-101 waterfall
watermelon welding-mask wheelbarrow windmill wine-bottle xylophone yarmulke yo-yo zebra
airplanes-101 car-side-101 faces-easy-101 greyhound tennis-shoes toad clutter
"""
LABELS = tuple(_NAMES.split())
COUNT = 30_607
PER_CLASS = (15, 30, 45, 60)
_SEED, _STREAM = 20_070, 0
# Files between the images of the original that are no images.
_NO_IMAGES = ("056.dog/greg", "198.spider/RENAME2")
_LAYOUT = _manual.Layout(
    folders=("256_ObjectCategories",),
    archives={"256_ObjectCategories.tar": "67b4f42ca05d46448c6bb8ecd2220f6d"},
    marker="001.ak47",
    max_bytes=4 << 30,
    max_files=50_000,
)


class Caltech256(OwnBuilder):
    """Photographs of 256 kinds of objects, and clutter: 30,607 images.

    Config `all` (the default) has one split, `train`. Configs `15_per_class`,
    `30_per_class`, `45_per_class` and `60_per_class` divide it as is customary: that
    many images of each class are `train`, the others `test`. They were drawn once, from
    a fixed seed; those of a smaller config are among those of a larger one.

    Columns: image, label (257, `clutter` is the last), file, instance (the place in the
    order of class and file).
    """

    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="all", description="All images in one split."),
        *(
            tfds.core.BuilderConfig(
                name=f"{count}_per_class",
                description=f"{count} images of each class to train on.",
            )
            for count in PER_CLASS
        ),
    ]

    def _columns(self) -> dict[str, Any]:
        return {
            "image": images(),
            "label": tfds.features.ClassLabel(names=LABELS),
            "file": tfds.features.Text(),
            "instance": tfds.features.Scalar(np.int32),
        }

    def _examples(self, dl_manager: Any) -> Splits:
        root = _manual.find_root(Path(dl_manager.manual_dir), _LAYOUT)
        photographs = _scan(root)
        _manual.compare_counts(self.name, root, len(photographs), COUNT)
        labels = np.array([photograph.label for photograph in photographs])
        splits = {"train": np.arange(len(labels))}
        config = self.config_name
        if config != "all":
            splits = divide(labels, int(config.removesuffix("_per_class")))
        return {
            split: (photographs[row].example(row) for row in rows.tolist())
            for split, rows in splits.items()
        }


class _Photograph(NamedTuple):
    label: int
    path: Path

    def example(self, row: int) -> Example:
        file = "/".join(self.path.parts[-2:])
        return {"image": self.path, "label": self.label, "file": file, "instance": row}


def _scan(root: Path) -> list[_Photograph]:
    """All images, in the order of class and file name."""
    folders = [root / f"{i:03d}.{name}" for i, name in enumerate(LABELS, 1)]
    missing = [folder.name for folder in folders if not folder.is_dir()]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(folders)} classes are missing in "
            f"{str(root)!r}, the first is {missing[0]!r}"
        )
    found = []
    for label, folder in enumerate(folders):
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() == ".jpg" and path.is_file():
                found.append(_Photograph(label, path))
            elif not (
                path.name.startswith(".") or f"{folder.name}/{path.name}" in _NO_IMAGES
            ):
                raise DataError(f"{str(path)!r} is no image: it must be a .jpg file")
    return found


def divide(labels: np.ndarray, per_class: int) -> dict[str, np.ndarray]:
    """Rows of `train` and `test`, in ascending order.

    Args:
        labels: Class of each image.
        per_class: Images of each class in `train`.

    Example:
        >>> divide(np.array([0, 0, 0, 1, 1, 1]), per_class=2)["test"]
        array([2, 3])
    """
    order = permutation(len(labels), _SEED, stream=Stream.BUILDERS, part=_STREAM)
    train = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        if len(rows) <= per_class:
            raise DataError(
                f"class {LABELS[label]!r} must have more than {per_class} images, got "
                f"{len(rows)}"
            )
        train[rows[:per_class]] = True
    return {"train": np.flatnonzero(train), "test": np.flatnonzero(~train)}
