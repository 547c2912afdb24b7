"""`jaxcl data`."""

from pathlib import Path

import tyro

from jaxcl.cli._words import Arguments, Commands, Switch, dispatch, parse, show, usage


def run_data(arguments: Arguments) -> None:
    """Lists, builds and shows data sets."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(usage(_COMMANDS, "jaxcl data"))
        return
    dispatch(_COMMANDS, "jaxcl data", name, rest)


def _data_list(arguments: Arguments) -> None:
    """Lists the data sets known by name."""

    def command(data_dir: str = "", json: Switch = False) -> None:
        """Lists the data sets known by name, and where they are.

        Args:
            data_dir: Where data sets are; TFDS_DATA_DIR or a user cache when empty.
            json: Print JSON.
        """
        from jaxcl.cli._listing import list_data

        show(list_data(data_dir, as_json=json))

    parse(command, arguments, "jaxcl data list")


def _data_build(arguments: Arguments) -> None:
    """Builds a data set, readable without TensorFlow."""

    def command(
        name: tyro.conf.Positional[str], data_dir: str = "", manual_dir: str = ""
    ) -> None:
        """Builds a data set as array_record files, readable without TensorFlow.

        Args:
            name: A data set, or name/config.
            data_dir: Where to; TFDS_DATA_DIR or a user cache when empty.
            manual_dir: Where files lie that you downloaded; downloads/manual in the
                data directory when empty.
        """
        from jaxcl.data import build

        print(build(name, data_dir, manual_dir=manual_dir))

    parse(command, arguments, "jaxcl data build")


def _data_show(arguments: Arguments) -> None:
    """Describes a data set, and saves a picture of samples."""

    def command(
        source: tyro.conf.Positional[str],
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
            source: A config, to show its data and augmentation, or a data set.
            out: The PNG file; by default views.png for a config, and no picture for a
                data set.
            split: The split to show; the training split when empty.
            count: Number of samples.
            seed: Which samples, and which views of them.
            data_dir: Where data sets are; the config's value when empty.
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
