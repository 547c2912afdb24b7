"""Figures of the page, as SVG."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from jaxcl.labs.identifiability.latents import FiberSetting
from jaxcl.labs.identifiability.optima import (
    best_scaling,
    latitude_loss,
    latitude_r2,
    scaling_map,
)
from jaxcl.labs.reproduce._claim import Outcome
from jaxcl.labs.reproduce._similarity_settings import TABLE_1
from jaxcl.labs.reproduce._support_settings import PUBLISHED_RATIOS, with_ratio
from jaxcl.metrics import negative_variance_bounds
from jaxcl.reports import COLORS, GRAY, as_svg, drawing, one_plot

_BLUE, _ORANGE, _GREEN = COLORS[:3]
_MLP_R2 = (0.053, 0.228, 0.306, 0.226, 0.502, 0.575, 0.525, 0.469, 0.402, 0.440, 0.626)


def draw_figures(outcomes: Sequence[Outcome]) -> list[tuple[str, str, str]]:
    """Title, SVG and a line of explanation of each figure."""
    with drawing():
        figures = [_ratios(), _landscape(), _bounds()]
        spheres: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        histograms: dict[str, np.ndarray] = {}
        for outcome in outcomes:
            spheres |= outcome.measured.spheres
            histograms |= outcome.measured.histograms
        if spheres:
            figures.append(_spheres(spheres))
        if histograms:
            figures.append(_histograms(histograms))
    return figures


def _ratios():
    figure, axes = one_plot()
    ratios = np.linspace(0, 0.98, 20)
    for name, base, color in (
        (
            "exact, positives as sampled (Alg. 13)",
            FiberSetting(conditional="sub_sphere"),
            _BLUE,
        ),
        ("exact, positives as defined (Eq. 6)", FiberSetting(), _GREEN),
    ):
        exact = []
        for ratio in ratios:
            here = with_ratio(base, float(ratio))
            exact.append(latitude_r2(here, scaling_map(best_scaling(here))))
        axes.plot(ratios, exact, color=color, label=name)
    at = list(PUBLISHED_RATIOS)
    published = [row[0] for row in PUBLISHED_RATIOS.values()]
    axes.plot(at, published, "o", color=_BLUE, label="published, inverse encoder")
    axes.plot(at, _MLP_R2, "x", color=_ORANGE, label="published, MLP")
    axes.set(xlabel="share ρ of negatives on the fiber", ylabel="R²", ylim=(0, 1.45))
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.legend(loc="upper left", ncols=2)
    return (
        "Recovery against the share of fiber negatives",
        as_svg(figure, "R² against the share of negatives on the fiber"),
        "Lines are the best h_λ by quadrature, without training. With the positives of "
        "the paper's definition only ρ = 1 is right; with those of its experiments R² "
        "peaks at 0.3, where two errors cancel.",
    )


def _landscape():
    figure, axes = one_plot()
    scales = np.geomspace(0.2, 8, 60)
    for name, setting, color, line in (
        ("usual loss, Eq. 6", FiberSetting(), _GREEN, "-"),
        ("usual loss, Alg. 13", FiberSetting(conditional="sub_sphere"), _BLUE, "-"),
        ("corrected, Eq. 6", FiberSetting(constraint_ratio=1.0), _GREEN, "--"),
        (
            "corrected, Alg. 13",
            FiberSetting(conditional="sub_sphere", constraint_ratio=1.0),
            _BLUE,
            "--",
        ),
    ):
        losses = np.array([latitude_loss(setting, scaling_map(s)) for s in scales])
        losses -= latitude_loss(setting, scaling_map(1.0))
        axes.plot(scales, losses, line, color=color, label=name)
        best = int(losses.argmin())
        if 0 < best < len(scales) - 1:
            axes.plot(scales[best], losses[best], "o", color=color)
    axes.axvline(1, color=GRAY, linewidth=0.7)
    axes.set(xscale="log", xlabel="λ", ylabel="L(h_λ) − L(identity)", ylim=(-0.2, 0.55))
    axes.set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    axes.minorticks_off()
    axes.legend(loc="upper center", ncols=2)
    return (
        "The loss along λ",
        as_svg(figure, "Loss of scaling maps against their factor"),
        "h_λ(u, v) = (u, λv) / ‖·‖; λ = 1 is every orthogonal map. Points are minima. "
        "The corrected loss of the released sampler has none: it falls for ever.",
    )


def _bounds():
    figure, axes = one_plot()
    batches = np.array([32, 64, 128, 256, 512])
    low, high = np.array([negative_variance_bounds(50_000, int(m)) for m in batches]).T
    axes.fill_between(batches, low, high, color=GRAY, alpha=0.25, linewidth=0)
    axes.plot(batches, high, color=GRAY, label="bounds of Thm 5.5, n = 50,000")
    for column, name, color in (
        (0, "published, SimCLR", _BLUE),
        (1, "published, with the penalty", _ORANGE),
    ):
        axes.plot(
            batches,
            [TABLE_1[m][column] for m in batches],
            "o-",
            color=color,
            label=name,
        )
    axes.set(xscale="log", xlabel="batch size", ylabel="variance of negatives")
    axes.set_ylim(0, 0.22)
    axes.set_xticks(batches, [str(m) for m in batches])
    axes.minorticks_off()
    axes.legend(loc="upper right")
    return (
        "Variance against batch size",
        as_svg(figure, "Variance of negative similarities against batch size"),
        "CIFAR-100, ResNet-18 (Tab. 1). The measured variance is five to seventy times "
        "what fixed batches can cause at most: most of it is meaning.",
    )


def _spheres(spheres: Mapping[str, tuple[np.ndarray, np.ndarray]]):
    columns = min(3, len(spheres))
    rows = math.ceil(len(spheres) / columns)
    figure = Figure(figsize=(3.1 * columns, 3.0 * rows), layout="constrained")
    figure.patch.set_alpha(0)
    for number, (name, (latents, embeddings)) in enumerate(spheres.items(), 1):
        axes = figure.add_subplot(rows, columns, number, projection="3d")
        few = slice(0, 200)  # each is a path of the page
        axes.scatter(*embeddings[few].T, c=latents[few, 0], cmap="viridis", s=5)
        axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), title=name)
        axes.set_box_aspect((1, 1, 1))
        axes.set_axis_off()
    return (
        "What the encoders made of the sphere",
        as_svg(
            figure, "Embeddings on the sphere, colored by the first latent coordinate"
        ),
        "Embeddings of uniform latents, colored by u, the coordinate that positives "
        "keep. First seed of each training.",
    )


def _histograms(histograms: Mapping[str, np.ndarray]):
    figure, axes = one_plot()
    for (name, counts), color in zip(histograms.items(), COLORS * 3, strict=False):
        edges = np.linspace(-1, 1, len(counts) + 1)
        heights = counts / counts.sum() / (edges[1] - edges[0])
        axes.stairs(heights, edges, color=color, label=name)
    axes.set(xlabel="cosine of negative pairs", ylabel="density")
    axes.legend()
    return (
        "Similarities of negatives",
        as_svg(figure, "Density of the cosine of negative pairs"),
        "A small encoder on clustered points, 600 steps; first seed.",
    )
