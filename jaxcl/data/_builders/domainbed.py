"""Data sets of domain folders as DomainBed prepares them: VLCS, Office-Home, Terra."""

from typing import ClassVar

from jaxcl.data._builders._domain_folders import DomainFolders

# In the order of Python's sorted(), as in DomainBed.
_OBJECTS = """
Alarm_Clock Backpack Batteries Bed Bike Bottle Bucket Calculator Calendar Candles Chair
Clipboards Computer Couch Curtains Desk_Lamp Drill Eraser Exit_Sign Fan File_Cabinet
Flipflops Flowers Folder Fork Glasses Hammer Helmet Kettle Keyboard Knives Lamp_Shade
Laptop Marker Monitor Mop Mouse Mug Notebook Oven Pan Paper_Clip Pen Pencil Postit_Notes
Printer Push_Pin Radio Refrigerator Ruler Scissors Screwdriver Shelf Sink Sneakers Soda
Speaker Spoon TV Table Telephone ToothBrush Toys Trash_Can Webcam
"""
_ANIMALS = "bird bobcat cat coyote dog empty opossum rabbit raccoon squirrel"


class Vlcs(DomainFolders):
    """Photographs of five classes; the domain is the data set they were taken from.

    Split `train` holds all 10,729 images: Caltech101 1,415, LabelMe 2,656, SUN09 3,282,
    VOC2007 3,376. Columns: image, label (5), domain (4), instance, file.
    """

    ROOTS = ("VLCS", "vlcs")
    LABELS = ("bird", "car", "chair", "dog", "person")
    COUNTS: ClassVar = {"DomainBed": (1415, 2656, 3282, 3376)}


class OfficeHome(DomainFolders):
    """Objects of office and home in four styles, 65 classes.

    Split `train` holds all 15,588 images: Art 2,427, Clipart 4,365, Product 4,439, Real
    World 4,357. Columns: image, label (65), domain (4), instance, file.
    """

    ROOTS = ("office_home", "OfficeHomeDataset_10072016", "OfficeHome", "office-home")
    LABELS = tuple(_OBJECTS.split())
    COUNTS: ClassVar = {"original": (2427, 4365, 4439, 4357)}
    OTHER_FILES = ("ImageInfo.csv", "imagelist.txt")


class TerraIncognita(DomainFolders):
    """Animals before camera traps; the domain is the place of the camera.

    Split `train` holds all 24,330 images: location_100 4,741, location_38 9,736,
    location_43 3,970, location_46 5,883. These are the images that the script of
    DomainBed has selected since July 2021; its paper and others had 24,788 (4,879,
    9,767, 4,020, 6,122), which are accepted as well. Since June 2024 the script reads
    other annotations. Columns: image, label (10), domain (4), instance, file.
    """

    ROOTS = ("terra_incognita", "TerraIncognita")
    LABELS = tuple(_ANIMALS.split())
    COUNTS: ClassVar = {
        "DomainBed since 2021": (4741, 9736, 3970, 5883),
        "the paper of DomainBed": (4879, 9767, 4020, 6122),
    }
