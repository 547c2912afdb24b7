"""The general form: two matrices of weights, domain_metadata.md section 2.1."""

import numpy as np

from references.basics import anchor_values, cosine, distance, dot, log_sum_exp, reduced

SIMILARITIES = {
    "cosine": cosine,
    "dot": dot,
    "negative_euclidean": lambda a, b: -distance(a, b),
}


def pairwise_loss(
    embeddings,
    *,
    positives,
    negatives,
    candidates=None,
    self_weight=0.0,
    form="out",
    anchor_weights=None,
    temperature=0.1,
    similarity="cosine",
    where=None,
    reduction="mean",
):
    """D_ij = self_weight e^{l_ij} + sum_k N_ik e^{l_ik}, P and N matrices of weights.

    out: -sum_j P_ij (l_ij - log D_ij) / sum_j P_ij;
    in: -log sum_j P_ij e^{l_ij} + log sum_k N_ik e^{l_ik}.
    The mean has weights anchor_weights; an anchor is undefined without a weight P > 0,
    or when its denominator is empty. Without candidates the columns are the rows, and
    no row meets itself.
    """
    columns = embeddings if candidates is None else candidates
    measure = SIMILARITIES[similarity]

    def anchor_loss(i, others):
        met = others if candidates is None else range(len(columns))
        logit = {k: measure(embeddings[i], columns[k]) / temperature for k in met}
        chosen = [j for j in met if positives[i, j] > 0.0]
        rivals = [logit[k] for k in met]
        masses = [float(negatives[i, k]) for k in met]
        if not chosen or not (
            sum(masses) > 0.0 or (self_weight > 0.0 and form == "out")
        ):
            return None
        weights = [float(positives[i, j]) for j in chosen]
        if form == "in":
            return log_sum_exp(rivals, masses) - log_sum_exp(
                [logit[j] for j in chosen], weights
            )
        total = 0.0
        for j, weight in zip(chosen, weights, strict=True):
            denominator = log_sum_exp([logit[j], *rivals], [self_weight, *masses])
            total += weight * (denominator - logit[j])
        return total / sum(weights)

    rows = len(embeddings)
    values, defined = anchor_values(rows, where, anchor_loss)
    if reduction == "none" or anchor_weights is None:
        return reduced(values, defined, reduction)
    weights = np.asarray(anchor_weights, float) * defined
    mass = float(np.sum(weights))
    return float(np.sum(weights * values)) / mass if mass > 0.0 else 0.0
