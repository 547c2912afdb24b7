"""Checks for losses of any library: are they the same on one device and on many?

Also what such checks read: the text of the program that a compiler made of a function.
"""

from jaxcl.testing._check import check_devices
from jaxcl.testing._hlo import (
    Computation,
    Instruction,
    Program,
    Shape,
    operands_of,
    read_program,
    visits_of,
)
from jaxcl.testing._mappings import MAPPINGS
from jaxcl.testing._report import DeviceReport, Finding
from jaxcl.testing._work import count_multiplications

__all__ = [
    "MAPPINGS",
    "Computation",
    "DeviceReport",
    "Finding",
    "Instruction",
    "Program",
    "Shape",
    "check_devices",
    "count_multiplications",
    "operands_of",
    "read_program",
    "visits_of",
]
