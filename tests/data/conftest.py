"""A small set of which two images are none, and folders of images."""

import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxcl.config import DataConfig


class Damaged(tfds.core.GeneratorBasedBuilder):
    """Twenty images in their order, of which the fifth and twelfth are cut off."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 3)),
                    "label": tfds.features.ClassLabel(num_classes=2),
                    "kind": tfds.features.Text(),
                    "file": tfds.features.Text(),
                }
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        generator = np.random.default_rng(0)
        for i in range(20):
            file = io.BytesIO()
            pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file, "png")
            data = file.getvalue()
            if i in (4, 11):
                data = data[: len(data) // 2]
            yield (
                i,
                {
                    "image": io.BytesIO(data),
                    "label": i % 2,
                    "kind": ("fox", "", "owl")[i % 3],
                    "file": f"{i:02}.png",
                },
            )


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    Damaged(data_dir=folder, file_format="array_record").download_and_prepare()
    return DataConfig(
        name="damaged", data_dir=str(folder), batch_size=10, test_splits=()
    )


@pytest.fixture
def put(tmp_path):
    """A config for a folder of images, given by name and bytes."""

    def put_all(files, **changes):
        for name, data in files.items():
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        given = {"batch_size": len(files), "image_size": 16, "test_splits": ()}
        return DataConfig(
            path=str(tmp_path / "photos"),
            data_dir=str(tmp_path / "data"),
            **{**given, **changes},
        )

    return put_all
