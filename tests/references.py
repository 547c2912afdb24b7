"""The papers' formulas as double loops in float64: slow, plain, independent.

Nothing here calls the library or JAX. Every function takes numpy arrays and the
argument names of the loss it is the oracle of; `where` is True for rows that count.
Definitions are those of arXiv 2506.09781; t = temperature, s = cosine similarity.
"""

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


def cosine_similarity(x, y=None):
    """All pairs: S_ij = s(x_i, y_j), with y = x when it is left out."""
    y = x if y is None else y
    return np.array([[cosine(a, b) for b in y] for a in x])


def kept_rows(rows, where):
    """Row numbers that count: {i : where_i}, all of them without `where`."""
    return [i for i in range(rows) if where is None or bool(where[i])]


def reduced(anchor_losses, defined, reduction):
    """Mean over the defined anchors, sum_i l_i / #{i defined} (0 if none), or all l."""
    if reduction == "none":
        return np.array(anchor_losses)
    return float(np.sum(anchor_losses)) / max(1, int(np.sum(defined)))


def one_sided_info_nce(
    u, v, kept, temperature, cross_view, within_view, decoupled, losses, defined
):
    """Def. 3.1: psi(c1 sum_j phi((v_j - v_i).u_i) + c2 sum_j phi((u_j - v_i).u_i)).

    phi(x) = exp(x/t); psi(x) = log(1 + x), or log(x) when decoupled.
    """
    for i in kept:
        total, positive = 0.0, cosine(u[i], v[i])
        for j in kept:
            if j != i and cross_view:
                total += math.exp((cosine(u[i], v[j]) - positive) / temperature)
            if j != i and within_view:
                total += math.exp((cosine(u[i], u[j]) - positive) / temperature)
        if not decoupled:
            losses[i], defined[i] = math.log1p(total), 1.0
        elif total > 0.0:
            losses[i], defined[i] = math.log(total), 1.0


def info_nce_loss(
    u,
    v,
    *,
    temperature=0.1,
    cross_view=True,
    within_view=False,
    decoupled=False,
    symmetric=True,
    where=None,
    reduction="mean",
):
    """L = (L_info(U, V) + L_info(V, U)) / 2, or L_info(U, V) when not symmetric."""
    kept = kept_rows(len(u), where)
    sides = [(u, v), (v, u)] if symmetric else [(u, v)]
    losses, defined = np.zeros((len(sides), len(u))), np.zeros((len(sides), len(u)))
    for side, (x, y) in enumerate(sides):
        one_sided_info_nce(
            x,
            y,
            kept,
            temperature,
            cross_view,
            within_view,
            decoupled,
            losses[side],
            defined[side],
        )
    if not symmetric:
        losses, defined = losses[0], defined[0]
    return reduced(losses, defined, reduction)


def nt_xent_loss(u, v, *, temperature=0.1, where=None, reduction="mean"):
    """SimCLR, 2m rows z: -log(e^{s(z_i,z_i+)/t} / sum_{k != i} e^{s(z_i,z_k)/t})."""
    batch = len(u)
    z = [*u, *v]
    kept = [i for i in range(2 * batch) if where is None or bool(where[i % batch])]
    losses, defined = np.zeros(2 * batch), np.zeros(2 * batch)
    for i in kept:
        partner = (i + batch) % (2 * batch)
        denominator = 0.0
        for k in kept:
            if k != i:
                denominator += math.exp(cosine(z[i], z[k]) / temperature)
        losses[i] = math.log(denominator) - cosine(z[i], z[partner]) / temperature
        defined[i] = 1.0
    return reduced(losses.reshape(2, batch), defined, reduction)


def negative_variance_penalty(u, v, *, num_instances, power=2, target=None, where=None):
    """Def. 5.7: mean over i != j of |u_i.v_j - target|^power, target = -1/(n-1)."""
    if target is None:
        target = -1.0 / (num_instances - 1)
    kept = kept_rows(len(u), where)
    total, pairs = 0.0, 0
    for i in kept:
        for j in kept:
            if i != j:
                total += abs(cosine(u[i], v[j]) - target) ** power
                pairs += 1
    return total / max(1, pairs)


def within_domain_nce_loss(
    embeddings,
    instances,
    domains,
    *,
    temperature=0.1,
    where=None,
    reduction="mean",
):
    """Within-domain NCE: mean_{j in P(i)} log(sum_{k in D(i)} e^{s_ik/t} / e^{s_ij/t}).

    P(i) = other rows of the same known instance; D(i) = P(i) and the other rows of the
    same domain, or all other rows when the domain of i is unknown (-1).
    """
    rows = len(embeddings)
    kept = kept_rows(rows, where)
    losses, defined = np.zeros(rows), np.zeros(rows)
    for i in kept:
        positives, denominator = [], 0.0
        for k in kept:
            if k == i:
                continue
            logit = cosine(embeddings[i], embeddings[k]) / temperature
            positive = instances[i] != -1 and instances[k] == instances[i]
            if positive:
                positives.append(logit)
            if positive or domains[i] == -1 or domains[k] == domains[i]:
                denominator += math.exp(logit)
        if positives:
            terms = [math.log(denominator) - logit for logit in positives]
            losses[i] = sum(terms) / len(terms)
            defined[i] = 1.0
    return reduced(losses, defined, reduction)


def moments(values):
    """Population moments: mean = sum x / N, variance = sum (x - mean)^2 / N."""
    mean = sum(values) / len(values)
    variance = sum((x - mean) ** 2 for x in values) / len(values)
    return {
        "mean": mean,
        "variance": variance,
        "min": min(values),
        "max": max(values),
        "count": len(values),
    }


def pair_similarities(u, v, where=None):
    """Positive s(u_i, v_i); negative s(u_i, v_j); within s(u_i, u_j), s(v_i, v_j)."""
    kept = kept_rows(len(u), where)
    pairs = {"positive": [], "negative": [], "within": []}
    for i in kept:
        pairs["positive"].append(cosine(u[i], v[i]))
        for j in kept:
            if i != j:
                pairs["negative"].append(cosine(u[i], v[j]))
                pairs["within"].append(cosine(u[i], u[j]))
                pairs["within"].append(cosine(v[i], v[j]))
    return pairs


def similarity_statistics(u, v, where=None):
    """Def. 4.1: population moments of the pairs, i != j ordered, fields by name."""
    return {
        f"{kind}_{moment}": value
        for kind, values in pair_similarities(u, v, where).items()
        for moment, value in moments(values).items()
    }


def negative_variance_bounds(num_instances, batch_size):
    """Theorem 5.5: (n-m) / ((m-1)(n-1)^2) and n(n-m) / ((m-1)(n-1)^2)."""
    n, m = num_instances, batch_size
    lower = (n - m) / ((m - 1) * (n - 1) ** 2)
    return lower, n * lower
