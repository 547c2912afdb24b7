"""Office-Home: things of office and home in art, clipart, shop pictures, photographs.

Splits: `train`, all 15,588 images: Art 2,427, Clipart 4,365, Product 4,439, Real World
4,357. Columns: image, label (65), domain (4), instance, file.
"""

from typing import ClassVar

from jaxcl.data._builders._domain_folders import DomainFolders


class OfficeHome(DomainFolders):
    """Things of office and home in four styles, 65 classes."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
Fetch Office-Home from https://www.hemanthdv.org/officeHomeDataset.html, or as DomainBed
does: https://github.com/facebookresearch/DomainBed, domainbed/scripts/download.py,
function `download_office_home` (a zip on Google Drive).
Terms: the images belong to others; see the fair use notice on the page.
Layout, in the manual directory: office_home/<domain>/<class>/<file>, or
OfficeHomeDataset_10072016.zip or office_home.zip as it was downloaded, with domains
Art, Clipart, Product, Real World and the 65 classes of the original (Alarm_Clock, ...).
Case, blanks and underscores of folders do not matter.
"""
    ROOTS = ("office_home", "OfficeHomeDataset_10072016", "OfficeHome", "office-home")
    DOMAINS = ("Art", "Clipart", "Product", "Real World")
    # In the order of Python's sorted(), which is that of DomainBed.
    LABELS = tuple(
        [
            "Alarm_Clock",
            "Backpack",
            "Batteries",
            "Bed",
            "Bike",
            "Bottle",
            "Bucket",
            "Calculator",
            "Calendar",
            "Candles",
            "Chair",
            "Clipboards",
            "Computer",
            "Couch",
            "Curtains",
            "Desk_Lamp",
            "Drill",
            "Eraser",
            "Exit_Sign",
            "Fan",
            "File_Cabinet",
            "Flipflops",
            "Flowers",
            "Folder",
            "Fork",
            "Glasses",
            "Hammer",
            "Helmet",
            "Kettle",
            "Keyboard",
            "Knives",
            "Lamp_Shade",
            "Laptop",
            "Marker",
            "Monitor",
            "Mop",
            "Mouse",
            "Mug",
            "Notebook",
            "Oven",
            "Pan",
            "Paper_Clip",
            "Pen",
            "Pencil",
            "Postit_Notes",
            "Printer",
            "Push_Pin",
            "Radio",
            "Refrigerator",
            "Ruler",
            "Scissors",
            "Screwdriver",
            "Shelf",
            "Sink",
            "Sneakers",
            "Soda",
            "Speaker",
            "Spoon",
            "TV",
            "Table",
            "Telephone",
            "ToothBrush",
            "Toys",
            "Trash_Can",
            "Webcam",
        ]
    )
    COUNTS: ClassVar = {
        "original": {"Art": 2427, "Clipart": 4365, "Product": 4439, "Real World": 4357}
    }
    OTHER_FILES = ("ImageInfo.csv", "imagelist.txt")
    HOMEPAGE = "https://www.hemanthdv.org/officeHomeDataset.html"
    TERMS = "The images belong to others; fair use notice on the homepage."
    CITATION = """
@inproceedings{venkateswara2017deep,
  author = {Venkateswara, Hemanth and Eusebio, Jose and Chakraborty, Shayok and
            Panchanathan, Sethuraman},
  title = {Deep Hashing Network for Unsupervised Domain Adaptation},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages = {5018--5027},
  year = {2017},
}
"""
