"""Similarities, relations and means that every oracle is written with."""

import math

import numpy as np


def cosine(a, b):
    """Cosine similarity of two rows: s = <a, b> / (|a| |b|), 0 for a row of zeros."""
    a, b = [float(x) for x in a], [float(x) for x in b]
    length_a = math.sqrt(sum(x * x for x in a))
    length_b = math.sqrt(sum(x * x for x in b))
    if length_a == 0.0 or length_b == 0.0:
        return 0.0
    return sum((x / length_a) * (y / length_b) for x, y in zip(a, b, strict=True))


def dot(a, b):
    """Inner product of two rows as they are: s = <a, b>."""
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def distance(a, b):
    """Distance of two rows as they are: |a - b|."""
    return math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))


def cosine_similarity(x, y=None):
    """All pairs: S_ij = s(x_i, y_j), with y = x when it is left out."""
    y = x if y is None else y
    return np.array([[cosine(a, b) for b in y] for a in x])


def log_sum_exp(logits, weights=None):
    """log sum_k w_k e^{l_k} over the weights > 0; -inf when there is none."""
    weights = [1.0] * len(logits) if weights is None else weights
    pairs = [(x, w) for x, w in zip(logits, weights, strict=True) if w > 0.0]
    if not pairs:
        return -math.inf
    top = max(x for x, _ in pairs)
    return top + math.log(sum(w * math.exp(x - top) for x, w in pairs))


def known(value):
    """Whether an id says something: everything but -1 and NaN does."""
    return value == value and value != -1


def same(ids, i, j):
    """Both known and equal."""
    return bool(known(ids[i]) and known(ids[j]) and ids[i] == ids[j])


def different(ids, i, j):
    """Both known and not equal."""
    return bool(known(ids[i]) and known(ids[j]) and ids[i] != ids[j])


def kept_rows(rows, where):
    """Row numbers that count: {i : where_i}, all of them without `where`."""
    return [i for i in range(rows) if where is None or bool(where[i])]


def reduced(anchor_losses, defined, reduction):
    """Mean over the defined anchors, sum_i l_i / #{i defined} (0 if none), or all l."""
    if reduction == "none":
        return np.array(anchor_losses)
    return float(np.sum(anchor_losses)) / max(1, int(np.sum(defined)))


def anchor_values(rows, where, anchor_loss):
    """Losses and defined flags [rows]: anchor_loss(i, others) or None if undefined.

    `others` are the kept rows without i: a row never meets itself.
    """
    losses, defined = np.zeros(rows), np.zeros(rows)
    kept = kept_rows(rows, where)
    for i in kept:
        value = anchor_loss(i, [k for k in kept if k != i])
        if value is not None:
            losses[i], defined[i] = value, 1.0
    return losses, defined


def anchor_mean(rows, where, reduction, anchor_loss):
    """The reduced `anchor_values`."""
    return reduced(*anchor_values(rows, where, anchor_loss), reduction)
