"""Made-up outputs of networks for a made-up batch, and a config of every objective."""

import jax
import numpy as np

from jaxcl.batch import Batch
from jaxcl.config import OBJECTIVES, ObjectiveConfig, PenaltiesConfig
from jaxcl.objectives import Facts, Objective, Outputs, make_objective

VIEWS, ROWS, WIDTH, DIM, CLASSES = 2, 8, 5, 4, 3
# Two rows in the middle count for nothing: of four devices one has none at all.
WHERE = np.array([1, 1, 0, 0, 1, 1, 1, 1], bool)
PRIOR = np.log(np.float32([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]))
FACTS = Facts(num_instances=50, num_classes=CLASSES, num_domains=3, log_prior=PRIOR)
TEMPERATURE = 0.4

# Values of knobs that differ from their defaults.
_KNOBS = {
    "temperature": TEMPERATURE,
    "learn_temperature": True,
    "positives": "same(label) & different(domain)",
    "negatives": "different(label)",
    "form": "in",
    "label_weight": 0.3,
    "hinge": True,
    "epsilon": 0.6,
    "normalize_groups": True,
    "same_domain_weight": 0.7,
    "bandwidth": 1.7,
    "ridge": 0.3,
    "queue_size": 5,
    "momentum": 0.9,
    "momentum_schedule": "cosine",
    "invariance_weight": 5.0,
    "variance_weight": 3.0,
    "covariance_weight": 2.0,
    "redundancy_weight": 0.2,
}
_METADATA = {
    "soft_bias_contrastive": ("style", "dose"),
    "y_aware": ("age", "dose"),
    "kernel_nce": ("dose", "style"),
    "rank_n_contrast": ("age",),
    "hierarchical_supcon": ("coarse", "fine"),
}


def settings(name: str, **changes) -> ObjectiveConfig:
    """A config of an objective in which every knob of it differs from its default."""
    changed = {knob: _KNOBS[knob] for knob in OBJECTIVES[name].knobs if knob in _KNOBS}
    if name in _METADATA:
        changed["metadata"] = _METADATA[name]
    return ObjectiveConfig(name=name, **{**changed, **changes})


def objective_of(name: str, **changes) -> Objective:
    """The objective of those settings."""
    return make_objective(settings(name, **changes), FACTS)


def penalized(weights, **changes) -> ObjectiveConfig:
    """NT-Xent and penalties by their weights."""
    penalties = PenaltiesConfig(**weights)
    return ObjectiveConfig(temperature=TEMPERATURE, penalties=penalties, **changes)


def made_batch() -> Batch:
    """Eight samples with every column; some of it is unknown."""
    return Batch(
        image=None,
        instance=np.int32([7, 3, 11, 5, 2, 8, 0, 9]),
        where=WHERE,
        label=np.int32([0, 1, 2, 0, 0, 1, 0, -1]),
        domain=np.int32([0, 1, 2, 0, 2, 0, 1, -1]),
        bias=np.int32([0, 1, 0, 1, 1, 0, 0, 1]),
        metadata={
            "age": np.float32([0.1, 2.0, -1.0, 0.5, 1.2, -0.7, np.nan, 0.4]),
            "dose": np.float32([1.0, 0.5, 0.2, 2.0, -1.5, 0.9, 3.0, 0.3]),
            "style": np.float32(np.random.default_rng(5).normal(size=(ROWS, 2))),
            "coarse": np.int32([0, 1, 1, 0, 0, 1, 0, 1]),
            "fine": np.int32([0, 1, 2, 0, 1, 1, 0, 2]),
        },
    )


def made_networks() -> dict[str, np.ndarray]:
    """A matrix for every network."""
    generator = np.random.default_rng(3)
    widths = dict.fromkeys(("embeddings", "projections", "predictions", "targets"), DIM)
    widths["logits"] = CLASSES
    return {
        name: generator.normal(size=(WIDTH, width)).astype(np.float32)
        for name, width in widths.items()
    }


def made_views(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    """Inputs of the networks, `[rows, views, width]`."""
    generator = np.random.default_rng(seed)
    views = generator.normal(size=(VIEWS, rows, WIDTH)).astype(np.float32)
    return views.swapaxes(0, 1)


def by_view(rows) -> np.ndarray:
    """One array of the outputs with the view first, for loops over views."""
    return np.swapaxes(rows, 0, 1)


def made_outputs(rows: int = ROWS, seed: int = 0) -> Outputs:
    """Outputs of the networks for all views."""
    views = made_views(rows, seed)
    return Outputs(**{name: views @ w for name, w in made_networks().items()})


def seen_by(objective: Objective, outputs: Outputs) -> Outputs:
    """The outputs for the views that each network sees, and the learned scalars."""
    online = outputs._replace(targets=None)
    chosen = jax.tree.map(lambda rows: rows[:, objective.online_views], online)
    targets = outputs.targets[:, objective.target_views]
    return chosen._replace(targets=targets, scalars=made_scalars(objective))


def made_scalars(objective: Objective) -> dict[str, np.ndarray]:
    """The scalars of an objective after some steps."""
    return {k: np.float32(v + 0.1) for k, v in objective.scalars.items()}


def made_carry(objective: Objective) -> dict[str, np.ndarray]:
    """The carry after some steps, if there is any."""
    carry = {k: np.array(v) for k, v in objective.init_carry(DIM).items()}
    if "queue" in carry:
        generator = np.random.default_rng(9)
        size = len(carry["queue"])
        keys = generator.normal(size=(size, DIM))
        keys /= np.linalg.norm(keys, axis=1, keepdims=True)
        carry["queue"] = keys.astype(np.float32)
        carry["queue_filled"] = np.arange(size) != 1
        # Two keys are of samples of the batch, one is in a place that is not filled.
        carry["queue_instance"] = np.int32([3, 20, 8, 21, 22][:size])
        carry["queue_next"] = np.int32(2)
    return carry
