"""Losses of domains and metadata: domain_metadata.md and the papers it names."""

import math

import numpy as np

from references.basics import (
    anchor_mean,
    cosine_similarity,
    different,
    distance,
    kept_rows,
    log_sum_exp,
    same,
)
from references.labels import supcon_loss


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
    logits = cosine_similarity(embeddings) / temperature

    def anchor_loss(i, others):
        positives = [j for j in others if same(instances, i, j)]
        if not positives:
            return None
        rivals = [
            k
            for k in others
            if k in positives or domains[i] == -1 or domains[k] == domains[i]
        ]
        denominator = log_sum_exp(logits[i, rivals])
        return sum(denominator - logits[i, j] for j in positives) / len(positives)

    return anchor_mean(len(embeddings), where, reduction, anchor_loss)


def domain_weighted_supcon_loss(
    embeddings,
    labels,
    domains,
    *,
    same_domain_weight,
    temperature=0.1,
    where=None,
    reduction="mean",
):
    """ADRMX (2308.06624): -1/|P| sum_p log(m_ip e^{l_ip} / sum_k m_ik e^{l_ik}).

    k != i; m_ij = w for the same domain, 1 - w for different ones, 0 for unknown ones;
    P = rows of the label with m > 0.
    """
    logits = cosine_similarity(embeddings) / temperature

    def weight(i, j):
        if same(domains, i, j):
            return same_domain_weight
        return 1.0 - same_domain_weight if different(domains, i, j) else 0.0

    def anchor_loss(i, others):
        weights = [weight(i, k) for k in others]
        denominator = log_sum_exp(logits[i, others], weights)
        terms = []
        for p in others:
            if same(labels, i, p) and weight(i, p) > 0.0:
                terms.append(denominator - logits[i, p] - math.log(weight(i, p)))
        return sum(terms) / len(terms) if terms else None

    return anchor_mean(len(embeddings), where, reduction, anchor_loss)


def cross_domain_supcon_loss(
    embeddings,
    labels,
    domains,
    *,
    temperature=0.1,
    negatives="everyone",
    where=None,
    reduction="mean",
):
    """CDC: -1/|P| sum_p log(e^{l_ip} / sum_D e^{l_ik}), P same label, different domain.

    D = all others, or the rows of different domains (negatives="other_domains").
    """
    logits = cosine_similarity(embeddings) / temperature

    def anchor_loss(i, others):
        positives = [
            p for p in others if same(labels, i, p) and different(domains, i, p)
        ]
        if not positives:
            return None
        rivals = others
        if negatives == "other_domains":
            rivals = [k for k in others if different(domains, i, k)]
        denominator = log_sum_exp(logits[i, rivals])
        return sum(denominator - logits[i, p] for p in positives) / len(positives)

    return anchor_mean(len(embeddings), where, reduction, anchor_loss)


def columns(metadata):
    """Metadata as [rows, k]."""
    metadata = np.asarray(metadata, float)
    return metadata[:, None] if metadata.ndim == 1 else metadata


def y_aware_nce_loss(
    embeddings,
    instances,
    metadata,
    *,
    bandwidth,
    temperature=0.1,
    where=None,
    reduction="mean",
):
    """y-Aware (2106.08808): -sum_j w_ij log(e^{l_ij} / sum_k e^{l_ik}) / sum w_ij.

    w_ij = exp(-|m_i - m_j|^2 / (2 bandwidth^2)), 0 when a part is NaN; 1 for another
    view of the anchor.
    """
    logits = cosine_similarity(embeddings) / temperature
    metadata = columns(metadata)

    def weight(i, j):
        if same(instances, i, j):
            return 1.0
        square = float(np.sum((metadata[i] - metadata[j]) ** 2))
        return 0.0 if math.isnan(square) else math.exp(-square / (2 * bandwidth**2))

    def anchor_loss(i, others):
        weights = [weight(i, j) for j in others]
        if sum(weights) == 0.0:
            return None
        everyone = log_sum_exp(logits[i, others])
        terms = [
            w * (everyone - logits[i, j])
            for w, j in zip(weights, others, strict=True)
            if w > 0.0
        ]
        return sum(terms) / sum(weights)

    return anchor_mean(len(embeddings), where, reduction, anchor_loss)


def kernel_nce_loss(
    embeddings,
    instances,
    metadata,
    *,
    kernel,
    ridge,
    temperature=0.1,
    where=None,
    reduction="mean",
):
    """CCL-K (2202.05458): mean_p -log(e^{l_ip} / (e^{l_ip} + sum_k N_ik e^{l_ik})).

    N_ik = (n - 1) max(0, [(K + ridge I)^{-1} K]_ki), k != i, K = kernel over the n kept
    rows, 0 where metadata is NaN; p runs over the other rows of the anchor's instance.
    """
    logits = cosine_similarity(embeddings) / temperature
    kept = kept_rows(len(embeddings), where)
    gram = np.zeros((len(kept), len(kept)))
    for a, i in enumerate(kept):
        for b, j in enumerate(kept):
            if not (np.isnan(metadata[i]).any() or np.isnan(metadata[j]).any()):
                gram[a, b] = float(kernel(metadata[i], metadata[j]))
    smoothed = np.linalg.solve(gram + ridge * np.eye(len(kept)), gram)
    weights = {
        (i, k): (len(kept) - 1) * max(0.0, smoothed[b, a])
        for a, i in enumerate(kept)
        for b, k in enumerate(kept)
    }

    def anchor_loss(i, others):
        positives = [p for p in others if same(instances, i, p)]
        if not positives:
            return None
        total = 0.0
        for p in positives:
            terms = [logits[i, p], *logits[i, others]]
            masses = [1.0, *(weights[i, k] for k in others)]
            total += log_sum_exp(terms, masses) - logits[i, p]
        return total / len(positives)

    return anchor_mean(len(embeddings), where, reduction, anchor_loss)


def rank_n_contrast_loss(
    embeddings, targets, *, temperature=2.0, where=None, reduction="mean"
):
    """RnC (arXiv 2210.01189): -1/(B-1) sum_j log(e^{s_ij} / sum_{k farther} e^{s_ik}).

    s_ij = -|z_i - z_j| / t of the rows as they are; k is farther than j from i when
    |m_i - m_k| >= |m_i - m_j|; rows of unknown target take no part.
    """
    targets = columns(targets)

    def gap(i, j):
        return float(np.sum(np.abs(targets[i] - targets[j])))

    def anchor_loss(i, others):
        gaps = {k: gap(i, k) for k in others if not math.isnan(gap(i, k))}
        if not gaps:
            return None
        logits = {
            k: -distance(embeddings[i], embeddings[k]) / temperature for k in gaps
        }
        total = 0.0
        for j in gaps:
            farther = [logits[k] for k in gaps if gaps[k] >= gaps[j]]
            total += log_sum_exp(farther) - logits[j]
        return total / len(gaps)

    return anchor_mean(len(embeddings), where, reduction, anchor_loss)


def hierarchical_supcon_loss(
    embeddings,
    label_paths,
    *,
    temperature=0.1,
    level_weights=None,
    where=None,
    reduction="mean",
):
    """HMC (2204.13207): sum_l w_l SupCon(equal prefixes of length l+1) / sum_l w_l.

    A prefix with an unknown part is unknown; every level is its own mean.
    """
    paths = np.asarray(label_paths)
    levels = paths.shape[1]
    weights = [1.0] * levels if level_weights is None else list(level_weights)
    total = 0.0
    for level, weight in enumerate(weights):
        names, labels = {}, []
        for path in paths[:, : level + 1]:
            prefix = tuple(int(x) for x in path)
            labels.append(-1 if -1 in prefix else names.setdefault(prefix, len(names)))
        choices = {"temperature": temperature, "where": where, "reduction": reduction}
        total = total + weight * supcon_loss(embeddings, labels, **choices)
    return total / sum(weights)
