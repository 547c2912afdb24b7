# %% [markdown]
# # When does contrastive learning recover the latents?
#
# Data are generated from hidden latents `z`: `x = g(z)`. An encoder `f` is trained with
# InfoNCE. Is `f(g(z))` the latent itself, up to a rotation? This notebook shows when it
# is, when it is not, and how to repair it. It runs on a CPU in about a minute.
#
# The theory is from arXiv 2606.04280. `jaxcl reproduce identifiability` checks every
# statement below.

# %%
try:
    import jaxcl
except ModuleNotFoundError:
    # Colab has jax, but not jaxcl.
    import subprocess
    import sys

    packages = ["jaxcl[train]"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *packages], check=True
    )
    import jaxcl  # noqa: F401

import matplotlib.pyplot as plt
import numpy as np

from jaxcl.labs.identifiability import latents, optima, recovery

SEEDS = (0, 1)
STEPS = 2000

# %% [markdown]
# ## Latents on a sphere
#
# Latents are uniform on the unit sphere. A positive of `z` is another latent near it,
# sampled from a von Mises-Fisher distribution. A linear encoder with normalized outputs
# recovers the sphere with every seed: R² is 1, and no angle changes.

# %%
everywhere = latents.FiberSetting(num_fixed=0)
task = recovery.RecoveryTask(everywhere, num_steps=STEPS, learning_rate=1e-2)
found = recovery.run_recovery(task, recovery.linear_encoder(3), seeds=SEEDS)
print("R²", found.r2.mean(axis=1).round(4), "angle error", found.angle_error.round(4))

# %% [markdown]
# ## Positives that share a coordinate
#
# Now positives keep the first coordinate `u`, as crops of an image keep its scene. They
# lie on a circle, the *fiber* of `z`. This breaks the condition of the theorem, which
# needs positives everywhere. How does the loss change over the maps
# `h(u, v) = (u, λ v) / ‖·‖`? The correct map has λ = 1.

# %%
usual, corrected = latents.FiberSetting(), latents.FiberSetting(constraint_ratio=1.0)
scales = np.geomspace(0.2, 5, 80)
figure, axes = plt.subplots(figsize=(6, 3.2))
for name, setting in (("negatives everywhere", usual), ("on the fiber", corrected)):
    losses = [optima.latitude_loss(setting, optima.scaling_map(s)) for s in scales]
    best = optima.best_scaling(setting)
    axes.plot(scales, losses, label=f"{name}: best λ = {best:.2f}")
axes.set(xscale="log", xlabel="λ", ylabel="exact loss − log M")
axes.legend()
plt.show()

# %% [markdown]
# With negatives from everywhere the best λ is 0.57: the encoder shrinks `v`, since
# spreading it out costs alignment and gains nothing. The *support-corrected* loss takes
# negatives from the anchor's own fiber, and moves the minimum back to 1. Trained
# encoders end at both minima:

# %%
runs = {}
for name, setting, kind in (
    ("usual", usual, {"negatives": "shared"}),
    ("corrected", corrected, {"negatives": "fiber", "num_negatives": 32}),
):
    task = recovery.RecoveryTask(setting, num_steps=STEPS, learning_rate=1e-2, **kind)
    runs[name] = recovery.run_recovery(task, recovery.linear_encoder(3), seeds=SEEDS)
    print(
        f"{name:10} R² {runs[name].r2.mean():.4f}",
        f"λ {recovery.scaling_of(runs[name].params, 1).mean():.3f}",
        f"angle error {runs[name].angle_error.mean():.4f}",
    )

# %% [markdown]
# R² = 0.98 looks good, but λ shows that the encoder is wrong. Look at the angles, not
# only at R².
#
# ## The loss is not enough
#
# An MLP has no reason to be linear. The corrected loss is minimal for every map that
# applies a separate orthogonal map to each fiber, for example the fold `(|u|, v)`, and
# the R² of such maps can be anything. The inductive bias of the encoder decides: an
# encoder that starts near the identity finds the identity.

# %%
grid = optima.ring_grid(16, 12, 1 / 0.3, corrected=True)
identity = optima.grid_loss(grid, grid.latents, 0.3)
fold = grid.latents * np.where(grid.latents[:, :1] < 0, [[-1.0, 1.0, 1.0]], 1.0)
print(
    "loss of the fold minus loss of the identity:",
    optima.grid_loss(grid, fold, 0.3) - identity,
)

# %%
figure = plt.figure(figsize=(9, 3))
for number, (name, run) in enumerate(runs.items(), 1):
    axes = figure.add_subplot(1, len(runs), number, projection="3d", title=name)
    axes.scatter(*run.embeddings[0].T, c=run.latents[:, 0], s=4)
    axes.set_box_aspect((1, 1, 1))
    axes.set_axis_off()
plt.show()

# %% [markdown]
# ## Your turn
#
# * Use `latents.spiral_generator()` and `recovery.mlp_encoder(3)`. Where does the loss
#   end, and what does `optima.restricted_infimum(3, 0.3)` predict?
# * The paper's experiments drew positives as `conditional="sub_sphere"` in
#   `latents.FiberSetting` does. Which λ is best then, with negatives on the fiber?
# * `jaxcl reproduce identifiability --budget cpu --out claims` judges all claims.
