"""What all tfds builders of this library share."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from jaxcl.data._registry import REGISTRY

Example = Mapping[str, Any]
Splits = Mapping[str, Iterable[Example]]
"""The examples of every split."""


class OwnBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set whose homepage, citation and terms stand in the registry.

    A subclass names the columns and yields the examples of each split. Its docstring
    describes the data set.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}

    @property
    def MANUAL_DOWNLOAD_INSTRUCTIONS(self) -> str | None:
        """What the user must download, and where to put it."""
        return REGISTRY[self.name].manual or None

    @property
    def config_name(self) -> str:
        """The name of the config."""
        config: Any = self.builder_config
        return config.name

    def _columns(self) -> dict[str, Any]:
        """The tfds feature of every column."""
        raise NotImplementedError

    def _examples(self, dl_manager: Any) -> Splits:
        """The examples of every split."""
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        entry = REGISTRY[self.name]
        return tfds.core.DatasetInfo(
            builder=self,
            description=inspect.getdoc(type(self)) or "",
            features=tfds.features.FeaturesDict(self._columns()),
            supervised_keys=("image", "label"),
            homepage=entry.homepage,
            citation=entry.citation,
            license=entry.terms,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        splits = self._examples(dl_manager)
        return {split: self._generate_examples(rows) for split, rows in splits.items()}

    def _generate_examples(
        self, examples: Iterable[Example]
    ) -> Iterator[tuple[int, Example]]:
        for example in examples:
            yield example["instance"], example


def images(*shape: int | None) -> tfds.features.Image:
    """Images of a shape, stored as PNG; of any size and as they are without one."""
    if not shape:
        return tfds.features.Image(shape=(None, None, 3))
    return tfds.features.Image(shape=shape, encoding_format="png")
