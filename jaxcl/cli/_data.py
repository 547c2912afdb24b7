"""`jaxcl data`."""

from pathlib import Path
from typing import Annotated

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
        name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")],
        data_dir: str = "",
        manual_dir: str = "",
    ) -> None:
        """Builds a data set as array_record files, which need no TensorFlow to read.

        Args:
            name: A data set, or name/config.
            data_dir: Directory to build in; empty = TFDS_DATA_DIR or a user cache.
            manual_dir: Files downloaded by hand; empty = DATA_DIR/downloads/manual.
        """
        from jaxcl.data import build

        print(build(name, data_dir, manual_dir=manual_dir))

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
        json: Switch = False,
    ) -> None:
        """Describes a data set, and saves a picture of samples.

        The picture shows images, their augmented views and their metadata.

        Args:
            source: A data set, or a config whose data and augmentation are shown.
            out: PNG file; by default views.png for a config, none for a data set.
            split: The split to show; empty = the training split.
            count: Number of samples.
            seed: Seed of the samples and their views.
            data_dir: Directory of the data sets; empty = the config's value.
            json: Print JSON.
        """
        from jaxcl.cli._listing import describe_data
        from jaxcl.cli._pictures import show_data

        if source.endswith(".toml"):
            out = out or Path("views.png")
        else:
            show(describe_data(source, data_dir, as_json=json))
        if out is not None:
            show_data(
                source, out, split=split, count=count, seed=seed, data_dir=data_dir
            )
            if not json:
                print(out)

    parse(command, arguments, "jaxcl data show")


_COMMANDS: Commands = {"list": _data_list, "build": _data_build, "show": _data_show}
