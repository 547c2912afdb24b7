"""Terra Incognita: animals before four camera traps, which are the domains.

Splits: `train`, all 24,330 images: location_100 4,741, location_38 9,736, location_43
3,970, location_46 5,883. That is what the script of DomainBed made since July 2021; its
paper and others had 24,788 (4,879, 9,767, 4,020, 6,122), which are taken as well. Since
June 2024 the script reads other annotations. Columns: image, label (10), domain (4),
instance, file.
"""

from typing import ClassVar

from jaxcl.data._builders._domain_folders import DomainFolders


class TerraIncognita(DomainFolders):
    """Animals before camera traps; the domain is the place, which never moves."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
Fetch and sort Terra Incognita as DomainBed does: function `download_terra_incognita` of
domainbed/scripts/download.py in https://github.com/facebookresearch/DomainBed; the
images are those of Caltech Camera Traps, https://lila.science/datasets/caltech-camera-traps
Terms: Community Data License Agreement, permissive variant.
Layout, in the manual directory: terra_incognita/<domain>/<class>/<file>, or an archive
of it, with domains location_38, location_43, location_46, location_100 and classes
bird, bobcat, cat, coyote, dog, empty, opossum, rabbit, raccoon, squirrel.
"""
    ROOTS = ("terra_incognita", "TerraIncognita")
    DOMAINS = ("location_100", "location_38", "location_43", "location_46")
    LABELS = (
        "bird",
        "bobcat",
        "cat",
        "coyote",
        "dog",
        "empty",
        "opossum",
        "rabbit",
        "raccoon",
        "squirrel",
    )
    COUNTS: ClassVar = {
        "DomainBed since 2021": dict(
            zip(DOMAINS, (4741, 9736, 3970, 5883), strict=True)
        ),
        "the paper of DomainBed": dict(
            zip(DOMAINS, (4879, 9767, 4020, 6122), strict=True)
        ),
    }
    HOMEPAGE = "https://beerys.github.io/CaltechCameraTraps"
    TERMS = "Community Data License Agreement, permissive variant"
    CITATION = """
@inproceedings{beery2018recognition,
  author = {Beery, Sara and Van Horn, Grant and Perona, Pietro},
  title = {Recognition in Terra Incognita},
  booktitle = {European Conference on Computer Vision (ECCV)},
  pages = {456--473},
  year = {2018},
}
"""
