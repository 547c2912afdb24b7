# %% [markdown]
# # When does contrastive learning recover the latents?
#
# Data are made from latents `z` that nobody sees: `x = g(z)`. An encoder `f` is trained
# by InfoNCE. Is `f(g(z))` the latent itself, up to a rotation? This notebook shows when
# it is, when it is not, and what repairs it. All of it runs on a CPU in about a minute.
#
# The theory is that of arXiv 2606.04280; every statement below is also a claim that
# `jaxcl reproduce identifiability` judges.

# %%
try:
    import jaxcl
except ModuleNotFoundError:
    # In Colab: a Python with jax, but without jaxcl.
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
# Latents are uniform on the unit sphere; a positive of `z` is another latent near it,
# a von Mises-Fisher sample. An encoder that is linear up to a unit length finds the
# sphere again, whatever its seed: R² is 1, and no angle changes.

# %%
everywhere = latents.FiberSetting(num_fixed=0)
task = recovery.RecoveryTask(everywhere, num_steps=STEPS, learning_rate=1e-2)
found = recovery.run_recovery(task, recovery.linear_encoder(3), seeds=SEEDS)
print("R²", found.r2.mean(axis=1).round(4), "angle error", found.angle_error.round(4))

# %% [markdown]
# ## Positives that keep something
#
# Now positives keep the first coordinate `u`, as crops keep the scene. They lie on a
# circle, the *fiber* of `z`, and the condition of the theorem, that positives can be
# anywhere, is broken. What becomes of the loss along the maps
# `h(u, v) = (u, λ v) / ‖·‖`, of which λ = 1 is right?

# %%
usual, corrected = latents.FiberSetting(), latents.FiberSetting(constraint_ratio=1.0)
scales = np.geomspace(0.2, 5, 80)
figure, axes = plt.subplots(figsize=(6, 3.2))
for name, setting in (("negatives everywhere", usual), ("on the fiber", corrected)):
    losses = [optima.latitude_loss(setting, optima.scaling_map(s)) for s in scales]
    best = optima.best_scaling(setting)
    axes.plot(scales, losses, label=f"{name}: best λ = {best:.2f}")
axes.set(xscale="log", xlabel="λ", ylabel="exact loss, less log M")
axes.legend()
plt.show()

# %% [markdown]
# With negatives from everywhere the best λ is 0.57: `v` is shrunk, since telling it
# apart costs alignment and gains nothing. Negatives from the anchor's own fiber, the
# *support-corrected* loss, put the minimum back to 1. A trained encoder finds both:

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
# R² of 0.98 looks well, and λ says that it is not. Look at the angles, not at R² alone.
#
# ## The loss is not enough
#
# An MLP has no reason to be linear. The corrected loss is least for every map that
# turns each fiber by a rotation of its own, among them the fold `(|u|, v)`; their R²
# can be anything. What selects is the encoder's inductive bias: one that starts near
# the identity finds it.

# %%
grid = optima.ring_grid(16, 12, 1 / 0.3, corrected=True)
identity = optima.grid_loss(grid, grid.latents, 0.3)
fold = grid.latents * np.where(grid.latents[:, :1] < 0, [[-1.0, 1.0, 1.0]], 1.0)
print(
    "loss of the fold less that of the identity:",
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
# * Train `recovery.mlp_encoder(3)` on `latents.spiral_generator()`. What does the loss
#   end at, and what does `optima.restricted_infimum(3, 0.3)` say?
# * The paper's experiments drew positives with `conditional="sub_sphere"` in
#   `latents.FiberSetting`. Which λ is best then, with negatives on the fiber?
# * `jaxcl reproduce identifiability --budget cpu --out claims` judges all of it.
