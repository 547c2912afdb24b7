"""The data sets this library knows by name, and how to get each."""

from typing import NamedTuple


class DatasetEntry(NamedTuple):
    """What a user must know of a data set before using it."""

    name: str
    summary: str
    columns: str
    source: str
    embedded: bool = False
    """Built on first use, without a network and without TensorFlow."""


REGISTRY = {
    entry.name: entry
    for entry in (
        DatasetEntry(
            "colored_digits",
            "1,797 real handwritten digits, 16×16, background color = domain; "
            "configs rho_0.1, rho_0.5, rho_0.8, rho_0.9 (default), rho_0.95, rho_0.99",
            "label, domain, instance",
            "built on first use from scikit-learn's digits",
            embedded=True,
        ),
        DatasetEntry(
            "mnist",
            "70,000 handwritten digits, 28×28, gray; splits train, test",
            "label",
            "jaxcl data build mnist (downloads; needs jaxcl[tf])",
        ),
        DatasetEntry(
            "fashion_mnist",
            "70,000 pictures of clothes, 28×28, gray; splits train, test",
            "label",
            "jaxcl data build fashion_mnist (downloads; needs jaxcl[tf])",
        ),
        DatasetEntry(
            "cifar10",
            "60,000 color photographs, 32×32; splits train, test",
            "label",
            "jaxcl data build cifar10 (downloads; needs jaxcl[tf])",
        ),
    )
}
