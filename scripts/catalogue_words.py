"""What the catalogue of losses says that no docstring does."""

FAMILIES = {
    "Two views": (
        *("info_nce_loss", "nt_xent_loss", "dcl_loss", "dhel_loss"),
        *("queue_nce_loss", "sigmoid_loss", "spectral_loss", "additive_loss"),
    ),
    "Labels and biases": (
        *("supcon_loss", "contex_loss", "hierarchical_supcon_loss"),
        *("epsilon_sup_info_nce_loss", "bias_contrastive_loss"),
        *("soft_bias_contrastive_loss", "fair_supcon_loss"),
        "bias_balanced_cross_entropy",
    ),
    "Domains and metadata": (
        *("within_domain_nce_loss", "cross_domain_supcon_loss"),
        *("domain_weighted_supcon_loss", "y_aware_nce_loss"),
        *("kernel_nce_loss", "rank_n_contrast_loss"),
    ),
    "Support": (
        "support_corrected_info_nce_loss",
        "chunked_support_corrected_info_nce_loss",
    ),
    "Penalties": (
        *("negative_variance_penalty", "fair_kl_penalty", "domain_confusion_penalty"),
        *("coral_penalty", "mmd_penalty", "v_rex_penalty", "irm_penalty"),
        "group_dro_weights",
    ),
    "General": ("pairwise_loss",),
}

# Arguments that say what is known beside the rows themselves.
METADATA = (
    *("labels", "label_paths", "instances", "domains", "biases", "groups"),
    *("bias_features", "metadata", "targets", "queue", "queue_instances"),
    *("log_prior", "log_weights", "weights", "rows", "candidates", "candidate_rows"),
)

EXCHANGES = {
    "shared": "the rows of all devices are candidates: a name gathers them with their "
    "side data, `Ring(name)` passes them around.",
    "gathered": "a name and a `Ring` both gather all rows with their side data on "
    "every device.",
    "summed": "only sums over the rows of each domain are exchanged.",
    "counted": "only the number of kept rows is exchanged; no row meets those of other "
    "devices.",
}
# Losses that are not listed are "shared".
EXCHANGE = {
    "bias_balanced_cross_entropy": "counted",
    "chunked_support_corrected_info_nce_loss": "counted",
    "coral_penalty": "summed",
    "group_dro_weights": "summed",
    "irm_penalty": "summed",
    "kernel_nce_loss": "gathered",
    "queue_nce_loss": "counted",
    "rank_n_contrast_loss": "gathered",
    "support_corrected_info_nce_loss": "counted",
    "v_rex_penalty": "summed",
}

INTRODUCTION = """\
# The losses

Made from the docstrings of `jaxcl.losses` by `python scripts/catalogue.py`; change it
there. The tests run every example of this page.

**Where to start.** Two augmented views and nothing else: `nt_xent_loss`. Class labels:
`supcon_loss`. Domains: `within_domain_nce_loss`. More than two views: make them rows
with `jaxcl.pairs.flatten_views` and take a loss of rows. Your own rule of who is
positive, who negative: `pairwise_loss`. A penalty is added to a loss, with a weight.

## What holds for all of them

- **Rows.** `embeddings` is `[rows, dim]`; `u` and `v` are `[batch, dim]`, row i of both
  shows instance i. Rows are scaled to unit length inside, a row of zeros stays zero; a
  loss that takes rows as they are says so.
- **Anchor** is the row whose loss ℓ_i is meant, a **positive** one it shall be near, a
  **negative** one it shall be far from: one that stands in the denominator. Where
  everyone() does, the positives stand there too.
- **Pairs** are said in the words of `jaxcl.pairs`: same(label) holds for two rows with
  one label, different(domain) for rows of two domains, everyone() always; & is and,
  | is or. In brackets stands the side data that is compared. A row never meets itself.
  What is unknown (id −1, NaN) is neither the same as anything nor different from it,
  unless the loss says otherwise.
- **`temperature`** divides the similarities. A traced scalar can be learned.
- **`where`** is True for the rows to keep. A dropped row is no anchor, no positive and
  no negative; what it holds changes nothing.
- **`reduction`** is "mean", or "none" for one value an anchor. An anchor without a
  positive, or without a negative where the loss needs one, counts 0 there and leaves
  the mean.
- **Total.** Finite input gives a finite value and gradient on every batch: no positives
  at all, one row, equal rows, rows of zeros, small temperatures, bfloat16.
- **`block_size`.** Up to about 260,000 pairs the logits are formed in one piece;
  above, in tiles, so that memory is O(rows·dim + rows·block), forward and backward.
  None chooses; an integer forces tiles of that many rows. The numbers are the same to
  rounding. Where memory is more than that, the cost says so.
- **Cost.** A pass visits every pair once for the value, and once more for the gradient:
  O(rows²·dim) time. Where a closed form is named, it is taken with `block_size=None`
  above 1,024 rows (on all devices) that also exceed `dim`; no pair is formed then.
- **`axis_name`** is an axis of `pmap` or `shard_map`. The result is this device's share
  of the global mean: the mean over devices is the value of one device with all rows.
  Differentiate with `jaxcl.training.value_and_grad`. A name gathers the rows of all
  devices on each. `jaxcl.kernels.Ring(name)` passes them around instead, in tiles: the
  same numbers without all rows in one place, one hop after the other.
"""

MIGRATION = """\
## Coming from another library

What a loss is called elsewhere, and what differs. `t` is the temperature; "equal" says
how far value and gradient were apart at most, on the same batches.
"""

NO_MIGRATIONS = "Not made yet: `python scripts/compare_definitions.py --out {path}`.\n"
