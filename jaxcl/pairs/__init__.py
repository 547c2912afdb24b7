"""Positives and negatives of each row, defined by relations in words.

A relation maps the side data of a row and of a column to a weight ≥ 0. It is evaluated
a tile at a time from side data of size O(rows):

    >>> import jax.numpy as jnp
    >>> relation = same("label") & different("domain")
    >>> print(relation)
    same(label) & different(domain)
    >>> rows = {"label": jnp.array([0, 0, 1]), "domain": jnp.array([0, 1, 1])}
    >>> relation.weights(rows).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
"""

from jaxcl.pairs._columns import read_columns as read_columns
from jaxcl.pairs._identity import (
    different as different,
    everyone as everyone,
    prefix as prefix,
    same as same,
    unknown_anchor as unknown_anchor,
)
from jaxcl.pairs._metadata import rbf as rbf, table as table, within as within
from jaxcl.pairs._parse import parse as parse
from jaxcl.pairs._relations import Relation as Relation
from jaxcl.pairs._views import flatten_views as flatten_views

__all__ = [
    "Relation",
    "different",
    "everyone",
    "flatten_views",
    "parse",
    "prefix",
    "rbf",
    "read_columns",
    "same",
    "table",
    "unknown_anchor",
    "within",
]
