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

# Arguments that are side data of the rows.
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

Made from the docstrings of `jaxcl.losses` by `python scripts/catalogue.py`; edit those
instead of this page. The tests run every example of this page.

**Where to start.** Two augmented views and nothing else: `nt_xent_loss`. Class labels:
`supcon_loss`. Domains: `within_domain_nce_loss`. More than two views: turn them into
rows with `jaxcl.pairs.flatten_views` and use a loss of rows. Your own rule for
positives and negatives: `pairwise_loss`. A penalty is added to a loss, with a weight.

## Terms

- **Anchor**: the row whose loss ℓ_i is meant. A **positive** is a row it should be
  near, a **negative** one it should be far from: one that stands in the denominator. If
  everyone() stands there, so do the positives.
- **Pairs** are given in the words of `jaxcl.pairs`: same(label) holds for two rows with
  one label, different(domain) for rows of two domains, everyone() always; & is and,
  | is or. The name in brackets is the side data that is compared. A row never meets
  itself. An unknown value (id −1, NaN) is neither the same as anything nor different
  from it, unless the loss says otherwise.
- **Cost.** A pass visits every pair once for the value, and once more for the gradient:
  O(rows²·dim) time. A closed form, where one is named, is used with `block_size=None`
  above 1,024 rows (on all devices) if they also exceed `dim`; then no pair is formed.
  Memory is O(rows·dim + rows·block) unless the cost says otherwise.
"""

MIGRATION = """\
## Coming from another library

The names of the losses elsewhere, and the differences. `t` is the temperature; "equal
to" gives the largest difference of value and gradient on the same batches.
"""

NO_MIGRATIONS = "Not made yet: `python scripts/compare_definitions.py --out {path}`.\n"
