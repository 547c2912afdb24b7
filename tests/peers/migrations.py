"""The table of migrations: what a loss of another library is called here."""

import importlib.metadata
from collections.abc import Iterator
from typing import Any

from peers import translations as t
from peers.equivalence import Library, Migration, Ours, check_migration, find_missing

_LIGHTLY = Library("lightly", "lightly", in_torch=True)
_PML = Library("pytorch-metric-learning", "pytorch_metric_learning", in_torch=True)
_OPTAX = Library("optax", "optax")
_SOLO = Library("solo-learn", "jax")
_SUPCONTRAST = Library("SupContrast", "jax")

_NT_XENT = Ours(
    "nt_xent_loss", "nt_xent_loss(u, v, temperature=t)", t.our("nt_xent_loss")
)
_CLIP = Ours(
    "info_nce_loss", "info_nce_loss(u, v, temperature=t)", t.our("info_nce_loss")
)
_ONE_WAY = Ours(
    "info_nce_loss",
    "info_nce_loss(u, v, temperature=t, symmetric=False)",
    t.our("info_nce_loss", symmetric=False),
)
_STOPPED_KEYS = Ours(
    "info_nce_loss",
    "info_nce_loss(q, stop_gradient(k), temperature=t, symmetric=False)",
    t.our_stopped_keys,
)
_SUPCON = Ours("supcon_loss", "supcon_loss(rows, labels, temperature=t)", t.our_supcon)
_SUPCON_IN = Ours(
    "supcon_loss",
    'supcon_loss(rows, labels, temperature=t, form="in")',
    t.our_supcon_in,
)
_PAIRS = Ours(
    "epsilon_sup_info_nce_loss",
    "l = epsilon_sup_info_nce_loss(rows, labels, epsilon=0.0, temperature=t, "
    'reduction="none"); sum(n_pos * l) / sum(n_pos)',
    t.our_pairs,
)
_SIGMOID = Ours(
    "sigmoid_loss", "sigmoid_loss(u, v, logit_scale=s, logit_bias=b)", t.our_sigmoid
)
_DCL = Ours("dcl_loss", "dcl_loss(u, v, temperature=t)", t.our("dcl_loss"))
_QUEUE = Ours(
    "queue_nce_loss",
    "queue_nce_loss(queries, keys, queue, temperature=t)",
    t.our_queue,
)

MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        _NT_XENT,
        _LIGHTLY,
        their_call="NTXentLoss(temperature=t)(out0, out1)",
        difference="none on one device. On several, negatives stay on their device "
        "unless gather_distributed=True; ours takes axis_name",
        their_loss=t.lightly("NTXentLoss"),
    ),
    Migration(
        _NT_XENT,
        _PML,
        their_call="SelfSupervisedLoss(NTXentLoss(temperature=t))(u, v)",
        difference="none with one positive a row; memory grows with the cube of the "
        "rows. DistributedLossWrapper reports the loss times the number of processes",
        their_loss=t.pml("NTXentLoss", ids="instances"),
    ),
    Migration(
        _NT_XENT,
        _OPTAX,
        their_call="optax.losses.ntxent(concatenate([u, v]), tile(arange(B), 2), t)",
        difference="none with one positive a row; NaN when no row has one (ours: 0); "
        "no gather over devices",
        their_loss=t.optax_ntxent,
    ),
    Migration(
        _NT_XENT,
        _SOLO,
        their_call="simclr_loss_func(cat([z1, z2]), indexes=cat([ids, ids]), t)",
        difference="none with two views; exponents without a shift: NaN at t ≤ 0.01",
        their_loss=t.solo_simclr,
    ),
    Migration(
        _NT_XENT,
        _SUPCONTRAST,
        their_call="SupConLoss(temperature=t)(features)  # [B, 2, dim], unit rows",
        difference="theirs × t_base / t (t_base = 0.07 unless given); rows must be "
        "scaled to length 1 first",
        their_loss=t.supcontrast_views,
    ),
    Migration(
        _ONE_WAY,
        _PML,
        their_call="NTXentLoss(temperature=t)(u, ids, ref_emb=v, "
        "ref_labels=ids.clone())",
        difference="none; theirs is one way: add the call with u and v exchanged and "
        "halve. With ref_labels=ids, the same tensor, all positives are dropped and "
        "the loss is 0",
        their_loss=t.pml("NTXentLoss", ids="other view"),
    ),
    Migration(
        _CLIP,
        _OPTAX,
        their_call="mean of softmax_cross_entropy_with_integer_labels of the logits "
        "and of their transpose",
        difference="none; optax has the parts and no such loss",
        their_loss=t.optax_softmax,
    ),
    Migration(
        _STOPPED_KEYS,
        _SOLO,
        their_call="mocov3_loss_func(query, key, temperature=t)",
        difference="theirs / (2 t): MoCo v3 multiplies by 2 t",
        their_loss=t.solo_mocov3,
    ),
    Migration(
        _SUPCON,
        _PML,
        their_call="SupConLoss(temperature=t)(rows, labels)",
        difference="none: positives in the denominator, mean over the rows that have "
        "one. Without any negative in the batch theirs is 0, ours the loss among the "
        "positives; a row whose loss rounds to 0 leaves their mean",
        their_loss=t.pml("SupConLoss", ids="labels"),
    ),
    Migration(
        _SUPCON,
        _SUPCONTRAST,
        their_call="SupConLoss(temperature=t)(rows[:, None], labels)  # unit rows",
        difference="theirs × t_base / t × rows / rows with a positive: their mean goes "
        "over all rows, one without positive counting as 0 (NaN before Dec. 2023); "
        "rows must be scaled to length 1 first",
        their_loss=t.supcontrast_labels,
    ),
    Migration(
        _SUPCON_IN,
        _SOLO,
        their_call="simclr_loss_func(z, indexes=targets, temperature=t)",
        difference="theirs + mean of log(number of positives): the logarithm outside "
        "the sum and no 1/|P|. inf when a row has no positive",
        their_loss=t.solo_labels,
        lonely_row=False,
    ),
    Migration(
        _PAIRS,
        _OPTAX,
        their_call="optax.losses.ntxent(rows, labels, t)",
        difference="not SupCon: the other positives are left out of each denominator, "
        "and the mean goes over pairs, so that large classes count more",
        their_loss=t.optax_labels,
    ),
    Migration(
        _PAIRS,
        _PML,
        their_call="NTXentLoss(temperature=t)(rows, labels)",
        difference="as optax: the other positives are left out, mean over pairs",
        their_loss=t.pml("NTXentLoss", ids="labels"),
    ),
    Migration(
        _SIGMOID,
        _OPTAX,
        their_call="sum(sigmoid_binary_cross_entropy(s · u vᵀ + b, eye(B))) / B",
        difference="none; optax has the part and no such loss. scale and bias "
        "themselves, not their logarithms",
        their_loss=t.optax_sigmoid,
    ),
    Migration(
        _DCL,
        _LIGHTLY,
        their_call="DCLLoss(temperature=t)(out0, out1)",
        difference="none on one device; gather_distributed as in NTXentLoss",
        their_loss=t.lightly("DCLLoss"),
    ),
    Migration(
        _QUEUE,
        _LIGHTLY,
        their_call="NTXentLoss(t, memory_bank_size=(size, dim))(query, key.detach())",
        difference="theirs keeps the queue, starts it at random and enqueues inside "
        "the call when the query needs a gradient; ours takes it as an argument. Their "
        "keys get a gradient unless detached",
        their_loss=t.lightly_bank,
    ),
    Migration(
        _QUEUE,
        _SOLO,
        their_call="mocov2plus_loss_func(query, key, queue, temperature=t)",
        difference="none; their rows must be scaled before, their queue is "
        "[dim, size], their keys detached",
        their_loss=t.solo_queue,
    ),
)


def check_migrations() -> Iterator[dict[str, Any]]:
    """Every row of the table, checked as far as the packages are installed."""
    for migration in MIGRATIONS:
        library, version = migration.library, "as read"
        if library.package != "jax":
            missing = find_missing(library) is not None
            version = "–" if missing else importlib.metadata.version(library.name)
        yield check_migration(migration) | {"version": version}
