"""tfds builders that this library brings; importing one registers it."""

from jaxcl.data._builders.colored_digits import ColoredDigits as ColoredDigits

__all__ = ["ColoredDigits"]
