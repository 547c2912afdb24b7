"""A look at data and machine before a run: what `jaxcl data` and `doctor` print."""

from jaxcl.inspection._data import (
    describe_data as describe_data,
    list_data as list_data,
)
from jaxcl.inspection._doctor import examine as examine
from jaxcl.inspection._pictures import show_data as show_data

__all__ = ["describe_data", "examine", "list_data", "show_data"]
