"""What every method should say of made-up outputs: loops in NumPy, without JAX.

Each is a function of outputs, batch, carry and the settings; those that have a paper's
double loop in `references` only hand the right columns and knobs to it.
"""

import math

import numpy as np
import references
from objectives.made_up import PRIOR, by_view, settings


def heat(outputs):
    """The temperature, which all methods that have one learn here."""
    return math.exp(float(outputs.scalars["log_temperature"]))


def rows_of(outputs):
    """All views as rows, view after view."""
    return np.concatenate([np.float64(view) for view in by_view(outputs.projections)])


def twice(column):
    """One value a row for rows of two views."""
    return np.concatenate([column, column])


def columns_of(batch, *names):
    """Roles and metadata by name, as two views of rows have them."""
    return [
        twice(batch.metadata[name] if name in batch.metadata else getattr(batch, name))
        for name in names
    ]


def numbers_of(batch, names):
    """Metadata side by side."""
    return np.column_stack([batch.metadata[name] for name in names])


def two_views(name, outputs, batch, **options):
    loss = getattr(references, f"{name}_loss")
    u, v = np.float64(by_view(outputs.projections))
    return loss(u, v, where=batch.where, **options)


def of_rows(loss, outputs, batch, *side, **options):
    return loss(
        rows_of(outputs),
        *side,
        temperature=heat(outputs),
        where=twice(batch.where),
        **options,
    )


def of_columns(name, *columns, loss=None, **knobs):
    """The reference of a method, with its columns and those of its knobs."""

    def formula(outputs, batch, carry):
        chosen = settings(name)
        options = {option: getattr(chosen, knob) for option, knob in knobs.items()}
        side = columns_of(batch, *columns)
        if chosen.metadata:
            side.append(twice(numbers_of(batch, chosen.metadata)))
        found = getattr(references, f"{loss or name}_loss")
        return of_rows(found, outputs, batch, *side, **options)

    return formula


def kernel_nce(outputs, batch, carry):
    chosen = settings("kernel_nce")
    numbers = twice(numbers_of(batch, chosen.metadata))

    def kernel(a, b):
        square = sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True))
        return math.exp(-square / (2 * chosen.bandwidth**2))

    side = twice(batch.instance), numbers
    options = {"kernel": kernel, "ridge": chosen.ridge}
    return of_rows(references.kernel_nce_loss, outputs, batch, *side, **options)


def pairwise(outputs, batch, carry):
    """Positives of the label from another domain, negatives of another label."""
    label, domain = columns_of(batch, "label", "domain")
    rows = range(len(label))

    def apart(ids, i, j):
        return -1 not in (ids[i], ids[j]) and ids[i] != ids[j]

    positives = [
        [label[i] == label[j] != -1 and apart(domain, i, j) for j in rows] for i in rows
    ]
    negatives = [[apart(label, i, j) for j in rows] for i in rows]
    return of_rows(
        references.pairwise_loss,
        outputs,
        batch,
        form=settings("pairwise").form,
        positives=np.array(positives, float),
        negatives=np.array(negatives, float),
    )


def sigmoid(outputs, batch, carry, reduction="mean"):
    scale, bias = (float(outputs.scalars[k]) for k in ("log_scale", "logit_bias"))
    options = {"logit_scale": math.exp(scale), "logit_bias": bias}
    return two_views("sigmoid", outputs, batch, reduction=reduction, **options)


def moco_v2(outputs, batch, carry, reduction="mean"):
    return references.queue_nce_loss(
        np.float64(by_view(outputs.projections)[0]),
        np.float64(by_view(outputs.targets)[0]),
        np.float64(carry["queue"]),
        temperature=heat(outputs),
        queue_where=carry["queue_filled"],
        instances=batch.instance,
        queue_instances=carry["queue_instance"],
        where=batch.where,
        reduction=reduction,
    )


def moco_v3(outputs, batch, carry):
    """Algorithm 1 of 2104.02057: ctr(q1, k2) + ctr(q2, k1), ctr = 2 t CE.

    The factor stays that of the temperature in the config when that is learned.
    """
    kept = [i for i, keep in enumerate(batch.where) if keep]
    temperature, total = heat(outputs), 0.0
    for view in (0, 1):
        queries = outputs.predictions[:, view]
        keys = outputs.targets[:, 1 - view]
        for i in kept:
            logits = [references.cosine(queries[i], keys[k]) for k in kept]
            scores = [math.exp(logit / temperature) for logit in logits]
            share = scores[kept.index(i)] / sum(scores)
            total += 2 * settings("moco_v3").temperature * -math.log(share) / len(kept)
    return total


def byol(outputs, batch, carry):
    """Eq. 2 of 2006.07733, both ways: Σ of |q/|q| − z/|z||² of view and other view."""
    kept = [i for i, keep in enumerate(batch.where) if keep]
    total = 0.0
    for view in (0, 1):
        for i in kept:
            q, z = outputs.predictions[i, view], outputs.targets[i, 1 - view]
            q, z = np.float64(q), np.float64(z)
            gap = q / math.sqrt(q @ q) - z / math.sqrt(z @ z)
            total += float(gap @ gap) / len(kept)
    return total


def simsiam(outputs, batch, carry):
    """Eqs. 1 and 2 of 2011.10566: D(p1, z2)/2 + D(p2, z1)/2, D = −cosine."""
    kept = [i for i, keep in enumerate(batch.where) if keep]
    total = 0.0
    for i in kept:
        (p1, p2), (z1, z2) = outputs.predictions[i], outputs.projections[i]
        total -= references.cosine(p1, z2) / 2 + references.cosine(p2, z1) / 2
    return total / len(kept)


def mean(values):
    return sum(values) / len(values)


def covariance(rows, a, b, less=0):
    """Of two dimensions of rows, divided by their number − less."""
    center_a, center_b = mean([row[a] for row in rows]), mean([row[b] for row in rows])
    products = [(row[a] - center_a) * (row[b] - center_b) for row in rows]
    return sum(products) / (len(rows) - less)


def vicreg_terms(outputs, where):
    """Invariance, variance and covariance (eqs. 1-5 of 2105.04906), not weighted."""
    u, v = by_view(np.float64(outputs.projections)[np.asarray(where)])
    dims = range(u.shape[1])
    squares = [(a[d] - b[d]) ** 2 for a, b in zip(u, v, strict=True) for d in dims]
    variance = others = 0.0
    for rows in (u, v):
        for d in dims:
            deviation = math.sqrt(covariance(rows, d, d, 1) + 1e-4)
            variance += max(0.0, 1.0 - deviation) / len(dims) / 2
            for e in dims:
                if e != d:
                    others += covariance(rows, d, e, 1) ** 2 / len(dims)
    return mean(squares), variance, others


def vicreg(outputs, batch, carry):
    chosen = settings("vicreg")
    apart, variance, others = vicreg_terms(outputs, batch.where)
    return (
        chosen.invariance_weight * apart
        + chosen.variance_weight * variance
        + chosen.covariance_weight * others
    )


def barlow_twins(outputs, batch, carry):
    return barlow_twins_of(
        outputs, batch.where, settings("barlow_twins").redundancy_weight
    )


def barlow_twins_of(outputs, where, weight):
    """Eqs. 1 and 2 of 2103.03230; 1e-5 beside each variance, as BatchNorm has it."""
    u, v = by_view(np.float64(outputs.projections)[np.asarray(where)])
    dims, total = range(u.shape[1]), 0.0
    both = np.concatenate([u, v], 1)
    for a in dims:
        for b in dims:
            spread = covariance(u, a, a) + 1e-5, covariance(v, b, b) + 1e-5
            shared = covariance(both, a, len(dims) + b)
            correlation = shared / math.sqrt(spread[0] * spread[1])
            total += (1 - correlation) ** 2 if a == b else weight * correlation**2
    return total


def cross_entropy_of(logits, labels, where, log_prior=None, biases=None):
    """Mean of −log softmax at the label over the kept rows of known label and bias."""
    losses = []
    for view in np.float64(logits):
        for i, scores in enumerate(view):
            if not where[i] or labels[i] < 0 or (biases is not None and biases[i] < 0):
                continue
            if log_prior is not None:
                scores = scores + np.float64(log_prior[biases[i]])
            losses.append(references.log_sum_exp(scores) - scores[labels[i]])
    return mean(losses)


def cross_entropy(outputs, batch, carry):
    return cross_entropy_of(by_view(outputs.logits), batch.label, batch.where)


def bias_balanced(outputs, batch):
    return cross_entropy_of(
        by_view(outputs.logits), batch.label, batch.where, PRIOR, batch.bias
    )


def tempered(name):
    return lambda outputs, batch, carry: two_views(
        name, outputs, batch, temperature=heat(outputs)
    )


FORMULAS = {
    "nt_xent": tempered("nt_xent"),
    "info_nce": tempered("info_nce"),
    "dcl": tempered("dcl"),
    "dhel": tempered("dhel"),
    "sigmoid": sigmoid,
    "spectral": lambda outputs, batch, carry: two_views("spectral", outputs, batch),
    "moco_v2": moco_v2,
    "moco_v3": moco_v3,
    "supcon": of_columns("supcon", "label", form="form"),
    "contex": of_columns(
        "contex", "label", "instance", label_weight="label_weight", hinge="hinge"
    ),
    "epsilon_sup_info_nce": of_columns(
        "epsilon_sup_info_nce", "label", epsilon="epsilon"
    ),
    "bias_contrastive": of_columns("bias_contrastive", "label", "bias"),
    "soft_bias_contrastive": of_columns("soft_bias_contrastive", "label"),
    "fair_supcon": of_columns(
        "fair_supcon", "label", "bias", normalize_groups="normalize_groups"
    ),
    "within_domain": of_columns(
        "within_domain", "instance", "domain", loss="within_domain_nce"
    ),
    "domain_weighted_supcon": of_columns(
        "domain_weighted_supcon",
        "label",
        "domain",
        same_domain_weight="same_domain_weight",
    ),
    "cross_domain_supcon": of_columns("cross_domain_supcon", "label", "domain"),
    "y_aware": of_columns(
        "y_aware", "instance", loss="y_aware_nce", bandwidth="bandwidth"
    ),
    "kernel_nce": kernel_nce,
    "rank_n_contrast": of_columns("rank_n_contrast"),
    "hierarchical_supcon": of_columns("hierarchical_supcon"),
    "pairwise": pairwise,
    "cross_entropy": cross_entropy,
    "vicreg": vicreg,
    "barlow_twins": barlow_twins,
    "byol": byol,
    "simsiam": simsiam,
}
