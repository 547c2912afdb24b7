"""What is wrong with a file of weights."""


class WeightsError(ValueError):
    """A file does not hold weights of a network that jaxcl knows. One line says why."""
