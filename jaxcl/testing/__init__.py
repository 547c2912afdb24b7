"""Checks for losses of any library: are they the same on one device and on many?"""

from jaxcl.testing._check import check_devices
from jaxcl.testing._mappings import MAPPINGS
from jaxcl.testing._report import DeviceReport, Finding

__all__ = ["MAPPINGS", "DeviceReport", "Finding", "check_devices"]
