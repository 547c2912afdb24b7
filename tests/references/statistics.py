"""Statistics of similarities: definition 4.1 and theorem 5.5 of arXiv 2506.09781."""

from references.basics import cosine, kept_rows


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
