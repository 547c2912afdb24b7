"""Weights of encoders in files: public ones, and those that jaxcl writes."""

from jaxcl.models._weights._errors import WeightsError as WeightsError
from jaxcl.models._weights._load import load_pretrained as load_pretrained

__all__ = ["WeightsError", "load_pretrained"]
