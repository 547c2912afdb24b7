"""Penalties: on pair similarities, on domains' features, on per-anchor losses."""

import math

import numpy as np

from references.basics import (
    anchor_mean,
    cosine,
    cosine_similarity,
    different,
    kept_rows,
    log_sum_exp,
    same,
)
from references.statistics import moments


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


def fair_kl_penalty(embeddings, labels, biases, *, form="gaussian", where=None):
    """FairKL (Eq. 9 of arXiv 2211.05568), sum over same and different labels.

    gaussian: KL(N(mu, v) || N(mu', v')) = ((v + (mu - mu')^2) / v' - log(v / v') - 1)/2
    of the similarities of same (mu, v) and of different bias (mu', v');
    means: (mu' - mu)^2. An empty group, or one of variance 0 in the first form, adds 0.
    """
    kept = kept_rows(len(embeddings), where)
    penalty = 0.0
    for label_relation in (same, different):
        groups = {same: [], different: []}
        for i in kept:
            for j in kept:
                if i == j or not label_relation(labels, i, j):
                    continue
                for bias_relation, values in groups.items():
                    if bias_relation(biases, i, j):
                        values.append(cosine(embeddings[i], embeddings[j]))
        if not groups[same] or not groups[different]:
            continue
        aligned, conflicting = moments(groups[same]), moments(groups[different])
        gap = (aligned["mean"] - conflicting["mean"]) ** 2
        if form == "means":
            penalty += gap
        elif aligned["variance"] > 0.0 and conflicting["variance"] > 0.0:
            ratio = aligned["variance"] / conflicting["variance"]
            penalty += (ratio + gap / conflicting["variance"] - math.log(ratio) - 1) / 2
    return penalty


def domain_confusion_penalty(
    embeddings, domains, labels=None, *, temperature=0.1, where=None, reduction="mean"
):
    """CAD (arXiv 2201.00057): -log(sum_{d_j != d_i} e^{l_ij} / sum_{k != i} e^{l_ik}).

    With labels (CondCAD) both sums run over rows of the anchor's label only.
    """
    logits = cosine_similarity(embeddings) / temperature

    def anchor_loss(i, others):
        rivals = [k for k in others if labels is None or same(labels, i, k)]
        positives = [j for j in rivals if different(domains, i, j)]
        if not positives:
            return None
        return log_sum_exp(logits[i, rivals]) - log_sum_exp(logits[i, positives])

    return anchor_mean(len(embeddings), where, reduction, anchor_loss)


def rows_by_domain(domains, where):
    """Kept row numbers of every known domain present, by domain."""
    members = {}
    for i in kept_rows(len(domains), where):
        if domains[i] != -1:
            members.setdefault(int(domains[i]), []).append(i)
    return {domain: members[domain] for domain in sorted(members)}


def mean_over_domain_pairs(embeddings, domains, where, distance):
    """Mean of distance(rows of a, rows of b) over the pairs of domains present."""
    rows = np.asarray(embeddings, float)
    members = [rows[ids] for ids in rows_by_domain(domains, where).values()]
    total, pairs = 0.0, 0
    for a in range(len(members)):
        for b in range(a + 1, len(members)):
            total += distance(members[a], members[b])
            pairs += 1
    return total / max(1, pairs)


def mean_and_covariance(x):
    """mu_k, and the unbiased C_kl = sum_i (x_ik - mu_k)(x_il - mu_l) / (n - 1).

    C = 0 for a single row.
    """
    n, dim = x.shape
    mean = [sum(x[i, k] for i in range(n)) / n for k in range(dim)]
    covariance = np.zeros((dim, dim))
    for k in range(dim):
        for m in range(dim):
            for i in range(n):
                covariance[k, m] += (x[i, k] - mean[k]) * (x[i, m] - mean[m])
    return np.array(mean), covariance / max(1, n - 1)


def coral_penalty(embeddings, domains, *, num_domains=None, where=None):
    """CORAL (DomainBed): mean_{a<b} of mean (mu_a - mu_b)^2 + mean (C_a - C_b)^2."""

    def distance(a, b):
        (mean_a, spread_a), (mean_b, spread_b) = map(mean_and_covariance, (a, b))
        return np.mean((mean_a - mean_b) ** 2) + np.mean((spread_a - spread_b) ** 2)

    return mean_over_domain_pairs(embeddings, domains, where, distance)


def mmd_penalty(embeddings, domains, *, num_domains=None, where=None):
    """MMD (DomainBed): mean_{a<b} of K_aa + K_bb - 2 K_ab, means over row pairs.

    k(x, y) = sum_g exp(-g |x - y|^2), g = 1e-3, 1e-2, ..., 1e3.
    """

    def mean_kernel(a, b):
        total = 0.0
        for x in a:
            for y in b:
                square = sum((p - q) ** 2 for p, q in zip(x, y, strict=True))
                total += sum(math.exp(-(10.0**g) * square) for g in range(-3, 4))
        return total / (len(a) * len(b))

    def distance(a, b):
        return mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b)

    return mean_over_domain_pairs(embeddings, domains, where, distance)


def domain_means(anchor_losses, domains, where):
    """Mean loss of every domain present, by domain."""
    return {
        domain: sum(float(anchor_losses[i]) for i in members) / len(members)
        for domain, members in rows_by_domain(domains, where).items()
    }


def v_rex_penalty(anchor_losses, domains, *, num_domains=None, where=None):
    """V-REx (arXiv 2003.00688): population variance over domains of their mean loss."""
    means = list(domain_means(anchor_losses, domains, where).values())
    return moments(means)["variance"] if means else 0.0


def group_dro_weights(
    anchor_losses, domains, weights, *, step_size, num_domains=None, where=None
):
    """GroupDRO (Alg. 1 of arXiv 1911.08731): q_e e^{eta L_e} / sum_f q_f e^{eta L_f}.

    L_e = mean loss of domain e, 0 when it is absent.
    """
    means = domain_means(anchor_losses, domains, where)
    steps = [step_size * means.get(domain, 0.0) for domain in range(len(weights))]
    # A common factor cancels.
    raised = np.array(
        [
            float(q) * math.exp(step - max(steps))
            for q, step in zip(weights, steps, strict=True)
        ]
    )
    return raised / raised.sum()


def irm_penalty(loss_fn, domains, *, num_domains=None, where=None):
    """IRMv1 (arXiv 1907.02893): mean over domains of (d/dw mean_e loss_fn(w) at 1)^2.

    The derivative by central differences of sixth order.
    """
    step, slopes = 1e-2, np.zeros(len(domains))
    for k, factor in [(1, 45.0), (2, -9.0), (3, 1.0)]:
        up, down = loss_fn(1.0 + k * step), loss_fn(1.0 - k * step)
        slopes += factor * (np.asarray(up) - np.asarray(down)) / (60.0 * step)
    means = list(domain_means(slopes, domains, where).values())
    return sum(slope**2 for slope in means) / max(1, len(means))
