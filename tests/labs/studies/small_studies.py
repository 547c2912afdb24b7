"""A study that is small enough to run in a test."""

from jaxcl.config import study_from_dict

TREE = {
    "question": "Does the color's name help?",
    "seeds": 2,
    "noise": [0.5],
    "base": {
        "num_steps": 4,
        "data": {"batch_size": 32, "domain": "domain"},
        "model": {"encoder": "mlp", "width": 16, "stages": 1, "head_hidden": 16},
    },
    "shifts": [
        {"name": "color", "fields": {"data": {"name": "colored_digits/rho_0.8"}}}
    ],
    "arms": [
        {"name": "plain", "fields": {"objective": {"name": "nt_xent"}}},
        {
            "name": "within",
            "modes": ["true", "shuffled"],
            "fields": {"objective": {"name": "within_domain"}},
        },
    ],
    "analysis": {
        "labels": [1, 5],
        "primary_labels": 5,
        "ood_labels": [20],
        "max_train": 200,
        "max_test": 100,
        "resamples": 200,
    },
}
SMALL = study_from_dict(TREE)
