"""The tfds builders of this library; importing one registers it."""

from jaxcl.data._builders.biased_mnist import BiasedMnist as BiasedMnist
from jaxcl.data._builders.caltech256 import Caltech256 as Caltech256
from jaxcl.data._builders.camelyon17 import Camelyon17 as Camelyon17
from jaxcl.data._builders.colored_digits import ColoredDigits as ColoredDigits
from jaxcl.data._builders.colored_mnist import ColoredMnist as ColoredMnist
from jaxcl.data._builders.domainbed import (
    OfficeHome as OfficeHome,
    TerraIncognita as TerraIncognita,
    Vlcs as Vlcs,
)
from jaxcl.data._builders.image_folder import ImageFolder as ImageFolder
from jaxcl.data._builders.pacs import Pacs as Pacs
from jaxcl.data._builders.rotated_mnist import RotatedMnist as RotatedMnist
from jaxcl.data._builders.styled_mnist import StyledMnist as StyledMnist
from jaxcl.data._builders.utk_face import UtkFace as UtkFace
from jaxcl.data._builders.waterbirds import Waterbirds as Waterbirds
