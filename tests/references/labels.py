"""Losses of labels and biases: contex_and_bias.md and the papers it names."""

import math

import numpy as np

from references.basics import (
    anchor_mean,
    anchor_values,
    cosine_similarity,
    different,
    known,
    log_sum_exp,
    reduced,
    same,
)


def supcon_loss(
    embeddings, labels, *, temperature=0.1, form="out", where=None, reduction="mean"
):
    """SupCon (Eq. 2 and 3 of arXiv 2004.11362), P = others of the label, A = others.

    out: -1/|P| sum_p log(e^{l_ip} / sum_A e^{l_ia});
    in: -log(1/|P| sum_p e^{l_ip} / sum_A e^{l_ia}).
    """
    logits = cosine_similarity(embeddings) / temperature

    def anchor_loss(i, others):
        positives = [p for p in others if same(labels, i, p)]
        if not positives:
            return None
        everyone = log_sum_exp(logits[i, others])
        if form == "in":
            mean = log_sum_exp(logits[i, positives]) - math.log(len(positives))
            return everyone - mean
        return sum(everyone - logits[i, p] for p in positives) / len(positives)

    return anchor_mean(len(embeddings), where, reduction, anchor_loss)


def contex_parts(
    embeddings, labels, instances, temperature, hinge, instance_in_context, where
):
    """Losses and defined flags of both parts, 1.2 and 1.3 of contex_and_bias.md.

    a: -1/|P| sum_p log(e^{l_ip} / sum_N e^{l_in}), each log-ratio clipped at 0 when
    hinged; b: -1/|S| sum_s log(e^{l_is} / sum_A e^{l_ia}).
    P same label, N different label, S same instance, A all others.
    """
    logits = cosine_similarity(embeddings) / temperature

    def part_a(i, others):
        positives = [
            p
            for p in others
            if same(labels, i, p) and (instance_in_context or not same(instances, i, p))
        ]
        negatives = [n for n in others if different(labels, i, n)]
        if not positives or not negatives:
            return None
        rivals = log_sum_exp(logits[i, negatives])
        terms = [rivals - logits[i, p] for p in positives]
        if hinge:
            terms = [max(0.0, term) for term in terms]
        return sum(terms) / len(terms)

    def part_b(i, others):
        views = [s for s in others if same(instances, i, s)]
        if not views:
            return None
        everyone = log_sum_exp(logits[i, others])
        return sum(everyone - logits[i, s] for s in views) / len(views)

    rows = len(embeddings)
    return anchor_values(rows, where, part_a), anchor_values(rows, where, part_b)


def contex_loss(
    embeddings,
    labels,
    instances,
    *,
    temperature=0.1,
    label_weight=0.5,
    hinge=False,
    instance_in_context=True,
    base_temperature=None,
    where=None,
    reduction="mean",
):
    """ConTeX (1.4): t / t0 (w L_a + (1 - w) L_b), each part over its own anchors.

    t0 = base_temperature; no factor when it is None.
    """
    factor = 1.0 if base_temperature is None else temperature / base_temperature
    part_a, part_b = contex_parts(
        embeddings, labels, instances, temperature, hinge, instance_in_context, where
    )
    a, b = reduced(*part_a, reduction), reduced(*part_b, reduction)
    return factor * (label_weight * a + (1.0 - label_weight) * b)


def epsilon_sup_info_nce_loss(
    embeddings, labels, *, epsilon, temperature=0.1, where=None, reduction="mean"
):
    """Eq. 4 of 2211.05568: -mean_p log(e^{l_ip} / (e^{l_ip - e} + sum_N e^{l_in})).

    Anchors without positives or without negatives are undefined.
    """
    logits = cosine_similarity(embeddings) / temperature

    def anchor_loss(i, others):
        positives = [p for p in others if same(labels, i, p)]
        negatives = [n for n in others if different(labels, i, n)]
        if not positives or not negatives:
            return None
        total = 0.0
        for p in positives:
            rivals = [logits[i, p] - epsilon, *logits[i, negatives]]
            total += log_sum_exp(rivals) - logits[i, p]
        return total / len(positives)

    return anchor_mean(len(embeddings), where, reduction, anchor_loss)


def bias_contrastive_loss(
    embeddings, labels, biases, *, temperature=0.1, where=None, reduction="mean"
):
    """BiasCon: -1/|Q| sum_q log(e^{l_iq} / sum_A e^{l_ia}), Q same label, other bias.

    Anchors without such a row are undefined (the released code counts them as 0).
    """
    logits = cosine_similarity(embeddings) / temperature

    def anchor_loss(i, others):
        positives = [
            q for q in others if same(labels, i, q) and different(biases, i, q)
        ]
        if not positives:
            return None
        everyone = log_sum_exp(logits[i, others])
        return sum(everyone - logits[i, q] for q in positives) / len(positives)

    return anchor_mean(len(embeddings), where, reduction, anchor_loss)


def soft_bias_contrastive_loss(
    embeddings, labels, bias_features, *, temperature=0.1, where=None, reduction="mean"
):
    """SoftCon: -sum_j w_ij log(e^{l_ij} / sum_A e^{l_ia}) / sum_j w_ij.

    w_ij = [same label] (1 - cos(g_i, g_j)), g = bias features.
    """
    logits = cosine_similarity(embeddings) / temperature
    bias_similarities = cosine_similarity(bias_features)

    def anchor_loss(i, others):
        everyone = log_sum_exp(logits[i, others])
        total = mass = 0.0
        for j in others:
            if same(labels, i, j):
                weight = max(0.0, 1.0 - bias_similarities[i, j])
                total += weight * (everyone - logits[i, j])
                mass += weight
        return total / mass if mass > 0.0 else None

    return anchor_mean(len(embeddings), where, reduction, anchor_loss)


def fair_supcon_loss(
    embeddings,
    labels,
    groups,
    *,
    temperature=0.1,
    normalize_groups=False,
    where=None,
    reduction="mean",
):
    """FSCL (arXiv 2203.16209): -sum_p w_p log(e^{l_ip} / sum_D e^{l_ik}) / sum_p w_p.

    P same label, D different label and same group, w = 1. Normalized (FSCL+):
    w_p = 1 / n_p, n = number of kept rows of the (label, group) of that row, itself
    included, and the mean over anchors has weights 1 / n_i; a row of unknown group has
    no n and weight 0.
    """
    logits = cosine_similarity(embeddings) / temperature
    rows = len(embeddings)
    kept = [i for i in range(rows) if where is None or bool(where[i])]

    def share(j):
        members = [k for k in kept if same(labels, j, k) and same(groups, j, k)]
        return 1.0 / len(members) if members else 0.0

    def anchor_loss(i, others):
        weights = {
            p: share(p) if normalize_groups else 1.0
            for p in others
            if same(labels, i, p)
        }
        rivals = [k for k in others if different(labels, i, k) and same(groups, i, k)]
        mass = sum(weights.values())
        if mass == 0.0 or not rivals:
            return None
        denominator = log_sum_exp(logits[i, rivals])
        return sum(w * (denominator - logits[i, p]) for p, w in weights.items()) / mass

    values, defined = anchor_values(rows, where, anchor_loss)
    if reduction == "none" or not normalize_groups:
        return reduced(values, defined, reduction)
    weights = np.array([share(i) if defined[i] else 0.0 for i in range(rows)])
    return float(np.sum(weights * values) / max(np.sum(weights), 1e-300))


def bias_balanced_cross_entropy(
    logits, labels, biases, log_prior, *, where=None, reduction="mean"
):
    """BiasBal: -log softmax(f(x_i) + log p(. | b_i))[y_i], log_prior: [biases, labels].

    Rows of unknown label or bias are undefined.
    """

    def anchor_loss(i, others):
        if not known(labels[i]) or not known(biases[i]):
            return None
        scores = [
            float(logits[i][c]) + float(log_prior[int(biases[i])][c])
            for c in range(len(logits[i]))
        ]
        return log_sum_exp(scores) - scores[int(labels[i])]

    return anchor_mean(len(logits), where, reduction, anchor_loss)
