"""Weights of encoders in files: public ones, and those that jaxcl writes."""

from jaxcl.models._weights._errors import WeightsError as WeightsError
from jaxcl.models._weights._load import load_pretrained as load_pretrained
from jaxcl.models._weights._save import (
    save_pretrained as save_pretrained,
    to_source as to_source,
)

__all__ = ["WeightsError", "load_pretrained", "save_pretrained", "to_source"]
