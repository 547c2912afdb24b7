"""Support-corrected InfoNCE: arXiv 2606.04280."""

import math

import numpy as np

from references.basics import anchor_mean, cosine, log_sum_exp


def support_corrected_info_nce_loss(
    anchors,
    positives,
    negatives,
    *,
    temperature,
    log_weights=None,
    where=None,
    reduction="mean",
):
    """(D4): -s+ + log(e^{s+} + M sum_j w_j e^{s_j} / sum_j w_j); w = 1 is Eq. 8.

    An anchor all of whose weights are 0 has no negative and is undefined.
    """
    batch, negatives = len(anchors), np.asarray(negatives)
    count = negatives.shape[-2]
    if negatives.ndim == 2:
        negatives = np.broadcast_to(negatives, (batch, *negatives.shape))
    log_weights = np.zeros(()) if log_weights is None else np.asarray(log_weights)
    log_weights = np.broadcast_to(log_weights, (batch, count))

    def anchor_loss(i, others):
        positive = cosine(anchors[i], positives[i]) / temperature
        logits, total = [], []
        for j in range(count):
            if log_weights[i, j] > -math.inf:
                similarity = cosine(anchors[i], negatives[i, j]) / temperature
                logits.append(similarity + log_weights[i, j])
                total.append(log_weights[i, j])
        if not logits:
            return None
        mass = math.log(count) + log_sum_exp(logits) - log_sum_exp(total)
        return log_sum_exp([positive, mass]) - positive

    return anchor_mean(batch, where, reduction, anchor_loss)


def chunked_support_corrected_info_nce_loss(
    anchors,
    positives,
    negatives_fn,
    key,
    *,
    num_negatives,
    chunk_size,
    temperature,
    where=None,
    reduction="mean",
):
    """Eq. 8 of num_negatives = M negatives, drawn at most chunk_size at a time.

    `negatives_fn(key, count)` must not depend on the key: how the library splits it is
    its own affair.
    """
    chunks, left = [], num_negatives
    while left > 0:
        chunks.append(np.asarray(negatives_fn(key, min(chunk_size, left))))
        left -= chunk_size
    return support_corrected_info_nce_loss(
        anchors,
        positives,
        np.concatenate(chunks, axis=1),
        temperature=temperature,
        where=where,
        reduction=reduction,
    )
