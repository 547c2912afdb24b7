"""What is wrong with data."""


class DataError(ValueError):
    """Data that is missing, unreadable or not what the config says it is."""

    # Where users find it, and what a traceback should say.
    __module__ = "jaxcl.data"
