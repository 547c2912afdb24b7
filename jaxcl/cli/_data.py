"""`jaxcl data`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxcl.cli._words import Arguments, Commands, Switch, dispatch, parse, show, usage


def run_data(arguments: Arguments) -> None:
    """Lists, builds and describes data sets."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(usage(_COMMANDS, "jaxcl data"))
        return
    dispatch(_COMMANDS, "jaxcl data", name, rest)


def _data_list(arguments: Arguments) -> None:
    """Lists the data sets that are known by name."""

    def command(data_dir: str = "", json: Switch = False) -> None:
        """Lists the data sets that are known by name, and which are built.

        Args:
            data_dir: Directory of the data sets; empty = TFDS_DATA_DIR or a user cache.
            json: Print JSON.
        """
        from jaxcl.cli._listing import list_data

        show(list_data(data_dir, as_json=json))

    parse(command, arguments, "jaxcl data list")


def _data_build(arguments: Arguments) -> None:
    """Builds a data set that can be read without TensorFlow."""

    def command(
        source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
        data_dir: str = "",
        manual_dir: str = "",
        table: str = "",
        white: float = 0.0,
    ) -> None:
        """Builds a data set as array_record files, which need no TensorFlow to read.

        Args:
            source: A data set, name/config, or a folder of images.
            data_dir: Directory to build in; empty = TFDS_DATA_DIR or a user cache.
            manual_dir: Files downloaded by hand; empty = DATA_DIR/downloads/manual.
            table: Table of the images of a folder.
            white: The value that is white in images of more than 8 bits of a folder.
        """
        from jaxcl.cli._listing import describe_images, is_folder
        from jaxcl.config import DataConfig
        from jaxcl.data import build

        if is_folder(source):
            config = DataConfig(
                path=source, table=table, data_dir=data_dir, white=white
            )
            show(describe_images(config))
        else:
            show(str(build(source, data_dir, manual_dir=manual_dir)))

    parse(command, arguments, "jaxcl data build")


def _data_show(arguments: Arguments) -> None:
    """Describes a data set, and saves a picture of samples."""

    def command(
        source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
        out: Path | None = None,
        split: str = "",
        count: int = 8,
        seed: int = 0,
        data_dir: str = "",
        table: str = "",
        white: float = 0.0,
        json: Switch = False,
    ) -> None:
        """Describes a data set, and saves a picture of samples.

        The picture shows images, their augmented views and their metadata.

        Args:
            source: A data set, a folder of images, or a config whose data and
                augmentation are shown.
            out: PNG file; by default views.png for a config, none for a data set.
            split: The split to show; empty = the training split.
            count: Number of samples.
            seed: Seed of the samples and their views.
            data_dir: Directory of the data sets; empty = the config's value.
            table: Table of the images of a folder.
            white: The value that is white in images of more than 8 bits of a folder.
            json: Print JSON.
        """
        from jaxcl.cli._listing import describe_data, describe_images, is_folder
        from jaxcl.cli._pictures import show_data
        from jaxcl.config import DataConfig

        folder = None
        if source.endswith(".toml"):
            out = out or Path("views.png")
        elif is_folder(source):
            folder = DataConfig(path=source, table=table, white=white, image_size=96)
            folder = dataclasses.replace(folder, data_dir=data_dir, bad_records="skip")
            show(describe_images(folder, as_json=json))
        else:
            show(describe_data(source, data_dir, as_json=json))
        if out is not None:
            options: dict[str, Any] = {
                "split": split,
                "data_dir": data_dir,
                "folder": folder,
            }
            show_data(source, out, count=count, seed=seed, **options)
            if not json:
                show(str(out))

    parse(command, arguments, "jaxcl data show")


_COMMANDS: Commands = {"list": _data_list, "build": _data_build, "show": _data_show}
