"""VLCS: photographs of five classes from four earlier data sets, which are the domains.

Splits: `train`, all 10,729 images: Caltech101 1,415, LabelMe 2,656, SUN09 3,282,
VOC2007 3,376. Columns: image, label (5), domain (4), instance, file.
"""

from typing import ClassVar

from jaxcl.data._builders._domain_folders import DomainFolders


class Vlcs(DomainFolders):
    """Photographs of five classes; the domain is the data set they were taken from."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
Fetch VLCS as DomainBed prepared it: https://github.com/facebookresearch/DomainBed,
domainbed/scripts/download.py, function `download_vlcs` (a tar.gz on Google Drive).
Terms: none are stated; the four sources have their own, for research.
Layout, in the manual directory: VLCS/<domain>/<class>/<file>, or VLCS.tar.gz as it
was downloaded, with domains Caltech101, LabelMe, SUN09, VOC2007 and classes bird, car,
chair, dog, person.
"""
    ROOTS = ("VLCS", "vlcs")
    DOMAINS = ("Caltech101", "LabelMe", "SUN09", "VOC2007")
    LABELS = ("bird", "car", "chair", "dog", "person")
    COUNTS: ClassVar = {
        "DomainBed": {
            "Caltech101": 1415,
            "LabelMe": 2656,
            "SUN09": 3282,
            "VOC2007": 3376,
        }
    }
    HOMEPAGE = "https://github.com/facebookresearch/DomainBed"
    TERMS = "None stated; its four sources have their own, for research."
    CITATION = """
@inproceedings{fang2013unbiased,
  author = {Fang, Chen and Xu, Ye and Rockmore, Daniel N.},
  title = {Unbiased Metric Learning: On the Utilization of Multiple Datasets and Web
           Images for Softening Bias},
  booktitle = {IEEE International Conference on Computer Vision (ICCV)},
  pages = {1657--1664},
  year = {2013},
}
"""
