"""Losses of two views without labels: Def. 3.1 and 3.2 of arXiv 2506.09781, MoCo."""

import math

import numpy as np

from references.basics import anchor_mean, cosine, kept_rows, log_sum_exp, reduced, same


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


def contrasted(u, v, temperature, where, reduction, admissible):
    """2m rows z: mean of log sum_{k admissible} e^{s(z_i,z_k)/t} - s(z_i,z_i+)/t.

    `admissible(i, k)` of two row numbers; an anchor without such a row is undefined.
    """
    batch = len(u)
    z = [*u, *v]
    kept = [i for i in range(2 * batch) if where is None or bool(where[i % batch])]
    losses, defined = np.zeros(2 * batch), np.zeros(2 * batch)
    for i in kept:
        columns = [k for k in kept if k != i and admissible(i, k)]
        if columns:
            logits = [cosine(z[i], z[k]) / temperature for k in columns]
            partner = (i + batch) % (2 * batch)
            positive = cosine(z[i], z[partner]) / temperature
            losses[i], defined[i] = log_sum_exp(logits) - positive, 1.0
    return reduced(losses.reshape(2, batch), defined, reduction)


def nt_xent_loss(u, v, *, temperature=0.1, where=None, reduction="mean"):
    """SimCLR, 2m rows z: -log(e^{s(z_i,z_i+)/t} / sum_{k != i} e^{s(z_i,z_k)/t})."""
    return contrasted(u, v, temperature, where, reduction, lambda i, k: True)


def dcl_loss(u, v, *, temperature=0.1, where=None, reduction="mean"):
    """DCL (Table 2), 2m rows: the denominator sums over k that are neither i nor i+."""
    batch = len(u)

    def admissible(i, k):
        return k % batch != i % batch

    return contrasted(u, v, temperature, where, reduction, admissible)


def dhel_loss(u, v, *, temperature=0.1, where=None, reduction="mean"):
    """DHEL (Table 2), 2m rows: the denominator sums over k != i in the view of i."""
    batch = len(u)

    def admissible(i, k):
        return i // batch == k // batch

    return contrasted(u, v, temperature, where, reduction, admissible)


def softplus(x):
    """log(1 + e^x), without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def sigmoid_loss(
    u,
    v,
    *,
    logit_scale=10.0,
    logit_bias=-10.0,
    within_view=False,
    where=None,
    reduction="mean",
):
    """SigLIP (Eq. 9, Table 3): 1/m [sum_i sp(-z_ii) + sum_{i != j} sp(z_ij)].

    z = scale s + bias; within views add 1/(2m) sum_{i != j} (sp(z^uu) + sp(z^vv)).
    """

    def logit(a, b):
        return logit_scale * cosine(a, b) + logit_bias

    def anchor_loss(i, others):
        total = softplus(-logit(u[i], v[i]))
        for j in others:
            total += softplus(logit(u[i], v[j]))
            if within_view:
                total += softplus(logit(u[i], u[j])) / 2
                total += softplus(logit(v[i], v[j])) / 2
        return total

    return anchor_mean(len(u), where, reduction, anchor_loss)


def additive_loss(
    u,
    v,
    *,
    positive_fn,
    negative_fn,
    cross_view=True,
    within_view=False,
    where=None,
):
    """Def. 3.2: -mean f(s_ii) + c1 mean g(s_ij) + c2/2 (mean g(uu_ij) + mean g(vv_ij)).

    f = positive_fn, g = negative_fn; means over the ordered pairs i != j, 0 of none.
    """
    kept = kept_rows(len(u), where)
    if not kept:
        return 0.0
    total, pairs = 0.0, len(kept) * (len(kept) - 1)
    for i in kept:
        total -= float(positive_fn(cosine(u[i], v[i]))) / len(kept)
        for j in kept:
            if j != i and cross_view:
                total += float(negative_fn(cosine(u[i], v[j]))) / pairs
            if j != i and within_view:
                total += float(negative_fn(cosine(u[i], u[j]))) / (2 * pairs)
                total += float(negative_fn(cosine(v[i], v[j]))) / (2 * pairs)
    return total


def spectral_loss(u, v, *, within_view=False, where=None):
    """Table 3: -mean_i s_ii + mean_{i != j} s_ij^2 (+ (mean uu^2 + mean vv^2) / 2)."""
    kept = kept_rows(len(u), where)
    positives = [cosine(u[i], v[i]) for i in kept]
    cross, within = [], []
    for i in kept:
        for j in kept:
            if i != j:
                cross.append(cosine(u[i], v[j]) ** 2)
                within.append((cosine(u[i], u[j]) ** 2 + cosine(v[i], v[j]) ** 2) / 2)
    value = -sum(positives) / max(1, len(positives)) + sum(cross) / max(1, len(cross))
    return value + sum(within) / max(1, len(within)) if within_view else value


def queue_nce_loss(
    queries,
    keys,
    queue,
    *,
    temperature=0.2,
    queue_where=None,
    instances=None,
    queue_instances=None,
    where=None,
    reduction="mean",
):
    """MoCo (Eq. 1 of arXiv 1911.05722): -log(e^{qk/t} / (e^{qk/t} + sum_n e^{q n/t})).

    n runs over the kept entries of the queue that are not known to be the anchor's own
    instance.
    """
    entries = kept_rows(len(queue), queue_where)

    def own(i, n):
        if instances is None or queue_instances is None:
            return False
        return same([instances[i], queue_instances[n]], 0, 1)

    def anchor_loss(i, others):
        positive = cosine(queries[i], keys[i]) / temperature
        logits = [positive]
        for n in entries:
            if not own(i, n):
                logits.append(cosine(queries[i], queue[n]) / temperature)
        return log_sum_exp(logits) - positive

    return anchor_mean(len(queries), where, reduction, anchor_loss)
