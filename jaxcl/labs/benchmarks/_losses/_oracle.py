"""Loss and gradient in float64, in a form that stays accurate near zero.

Plain NumPy and gradients by hand; shares no code with the losses it checks.
"""

import numpy as np


def nt_xent(u: np.ndarray, v: np.ndarray, temperature: float):
    """NT-Xent and its gradient with respect to u and v, `[2, batch, dim]`.

    ℓ_i = softplus(log Σ_{k≠i,i⁺} e^{s_ik/t} − s_ii⁺/t), where 1 − s_ii⁺ is half the
    squared distance of the unit rows.
    """
    z, lengths = _unit(np.concatenate([u, v]).astype(np.float64))
    rows, batch = len(z), len(u)
    partner = (np.arange(rows) + batch) % rows
    logits = z @ z.T / temperature
    logits[np.arange(rows), np.arange(rows)] = -np.inf
    logits[np.arange(rows), partner] = -np.inf
    logsumexp = _logsumexp(logits)
    distances = np.sum((z - z[partner]) ** 2, axis=1) / 2
    arguments = logsumexp - (1 - distances) / temperature
    value = np.mean(np.logaddexp(0, arguments))
    slopes = _sigmoid(arguments) / rows
    pulls = slopes[:, None] * np.exp(logits - logsumexp[:, None]) / temperature
    gradient = (pulls + pulls.T) @ z
    both = (slopes + slopes[partner])[:, None]
    gradient += both * (z - z[partner]) / temperature
    return value, _through_unit(gradient, z, lengths).reshape(2, batch, -1)


def supcon(u: np.ndarray, v: np.ndarray, labels: np.ndarray, temperature: float):
    """SupCon, form "out", and its gradient with respect to u and v.

    ℓ_i = (λ⁺ − mean_P s/t) + softplus(λ⁻ − λ⁺), λ± the log-sum-exp over the positives
    and over the rows of other labels.
    """
    z, lengths = _unit(np.concatenate([u, v]).astype(np.float64))
    rows, ids = len(z), np.tile(labels, 2)
    logits = z @ z.T / temperature
    positive = (ids[:, None] == ids[None, :]) & ~np.eye(rows, dtype=bool)
    negative = ids[:, None] != ids[None, :]
    upper = _logsumexp(np.where(positive, logits, -np.inf))
    lower = _logsumexp(np.where(negative, logits, -np.inf))
    shares = positive / positive.sum(axis=1, keepdims=True)
    bracket = upper - np.sum(shares * logits, axis=1)
    value = np.mean(bracket + np.logaddexp(0, lower - upper))
    slopes = _sigmoid(lower - upper)[:, None]
    among = np.where(positive, np.exp(logits - upper[:, None]), 0.0)
    rivals = np.where(negative, np.exp(logits - lower[:, None]), 0.0)
    pulls = ((among - shares) - slopes * among + slopes * rivals) / (rows * temperature)
    gradient = (pulls + pulls.T) @ z
    return value, _through_unit(gradient, z, lengths).reshape(2, len(u), -1)


def _unit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths, lengths


def _through_unit(gradient, z, lengths):
    along = np.sum(gradient * z, axis=1, keepdims=True)
    return (gradient - along * z) / lengths


def _logsumexp(logits: np.ndarray) -> np.ndarray:
    largest = np.max(logits, axis=1)
    return largest + np.log(np.sum(np.exp(logits - largest[:, None]), axis=1))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))
