"""Golden values of the science documents, in both precisions.

Inputs, formulas and printed numbers: contex_and_bias.md 1.9, similarities.md 7.1,
support_corrected.md 9 (N1, N4, N8). Where a printed number follows another convention
than the library, the table says so and converts it.
"""

import functools
import math

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest
import references
from long_tests import long_only

from jaxcl import losses
from jaxcl.pairs import different, same

pytestmark = pytest.mark.slow

enable_x64 = (
    jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
)

# Four images in two views, of three numbers each.
LABELS = np.tile([0, 0, 1, 1], 2)
BIASES = np.tile([0, 1, 0, 0], 2)
IMAGES = np.tile(np.arange(4), 2)
BIAS_FEATURES = np.tile([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [1.0, 0.0]], (2, 1))
ROWS = {"label": LABELS, "bias": BIASES, "image": IMAGES}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def toys():
    """Toy 1, and toy 2 whose positives beat its negatives."""
    first = unit(np.sin(np.arange(1.0, 25.0).reshape(8, 3)))
    second = 0.3 * first
    second[np.arange(8), LABELS] += 1.0
    return first, unit(second)


def views():
    """The 4 x 3 views of similarities.md 7.1."""
    i, j = np.meshgrid(np.arange(4), np.arange(3), indexing="ij")
    u = np.sin(3 * i + j + 1)
    return u, u + 0.5 * np.cos(5 * i + 2 * j)


TOYS = {
    f"toy {number}, t = {t}": (number - 1, t) for number in (1, 2) for t in (0.1, 0.5)
}
BY_IMAGE = {"positives": same("image"), "negatives": different("label")}
MARGIN = math.exp(-0.5) * same("label") + different("label")
BY_MARGIN = {"positives": same("label"), "negatives": MARGIN}

# what: (loss, side data, options, printed numbers in the order of TOYS)
PRINTED = {
    "L_a": (
        *("contex_loss", (LABELS, IMAGES), {"label_weight": 1.0}),
        (13.2927856524, 3.1869737919, -7.2790033188, -0.4799291700),
    ),
    "L_b": (
        *("contex_loss", (LABELS, IMAGES), {"label_weight": 0.0}),
        (1.6539682153, 1.2002754094, 0.6048647575, 1.1765151525),
    ),
    "SupCon": (
        *("supcon_loss", (LABELS,), {}),
        (13.5147616224, 3.5724340909, 1.2114418422, 1.2978305695),
    ),
    "L_c": (
        *("pairwise_loss", (), BY_IMAGE),
        (1.4319922453, 0.8148151105, -7.8855804035, -0.6012445869),
    ),
    "ConTeX": (
        *("contex_loss", (LABELS, IMAGES), {}),
        (7.4733769338, 2.1936246007, -3.3370692807, 0.3482929913),
    ),
    "ConTeX, base temperature": (
        *("contex_loss", (LABELS, IMAGES), {"base_temperature": 0.07}),
        (10.6762527626, 15.6687471476, -4.7672418295, 2.4878070804),
    ),
    "ConTeX, hinge": (
        *("contex_loss", (LABELS, IMAGES), {"hinge": True}),
        (7.4733769338, 2.1936246007, 0.3024323787, 0.5919277240),
    ),
    "L_a without self positive": (
        "contex_loss",
        (LABELS, IMAGES),
        {"label_weight": 1.0, "instance_in_context": False},
        (19.2231823560, 4.3730531326, -6.9757147764, -0.4192714615),
    ),
    "BiasCon": (
        *("bias_contrastive_loss", (LABELS, BIASES), {}),
        (9.7247065590, 2.3796990961, 0.8363755300, 0.6919087419),
    ),
    "epsilon-SupInfoNCE, 0": (
        *("epsilon_sup_info_nce_loss", (LABELS,), {"epsilon": 0.0}),
        (13.3667776434, 3.3181177102, 0.0021876624, 0.4961439470),
    ),
    "epsilon-SupInfoNCE, 0.5": (
        *("epsilon_sup_info_nce_loss", (LABELS,), {"epsilon": 0.5}),
        (13.3397317432, 3.2717884118, -0.4963994610, 0.2185315055),
    ),
    "epsilon-SupCon, 0.5": (
        *("pairwise_loss", (), BY_MARGIN),
        (13.4336239235, 3.4380567385, 0.7118162503, 0.9053726126),
    ),
    "FSCL": (
        *("fair_supcon_loss", (LABELS, BIASES), {}),
        (6.4582764221, 1.6683495360, -7.1033734279, -0.8863796822),
    ),
}


def to_defined_anchors(what, printed, rows, temperature):
    """The printed number as a mean over the anchors that the library calls defined.

    Printed BiasCon divides by all 8 anchors, though images 2 and 3 have no positive.
    Printed FSCL does too, and images 1 have log D = 0 for want of a negative: they
    contribute the mean of -l_ip over their three positives.
    """
    if what == "BiasCon":
        return printed * 8 / 4
    if what == "FSCL":
        logits = rows @ rows.T / temperature
        surplus = 0.0
        for i in (1, 5):
            positives = [p for p in (0, 1, 4, 5) if p != i]
            surplus += sum(-logits[i, p] for p in positives) / 3
        return (8 * printed - surplus) / 6
    return printed


CASES = [
    pytest.param(what, toy, id=f"{what}, {toy}") for what in PRINTED for toy in TOYS
]
both_precisions = pytest.mark.parametrize(
    ("precision", "rtol", "atol"),
    [("float64", 1e-9, 2e-10), *long_only(("float32", 1e-5, 1e-5))],
)


@pytest.mark.parametrize(("what", "toy"), CASES)
def test_the_double_loops_give_the_printed_numbers(what, toy):
    name, side, options, numbers = PRINTED[what]
    number, temperature = TOYS[toy]
    rows = toys()[number]
    if what == "L_c":
        options = {
            "positives": IMAGES[:, None] == IMAGES,
            "negatives": LABELS[:, None] != LABELS,
        }
    elif what.startswith("epsilon-SupCon"):
        alike = LABELS[:, None] == LABELS
        options = {"positives": alike, "negatives": ~alike + math.exp(-0.5) * alike}
    oracle = getattr(references, name)
    found = oracle(rows, *side, temperature=temperature, **options)
    printed = numbers[list(TOYS).index(toy)]
    expected = to_defined_anchors(what, printed, rows, temperature)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=2e-10)


def loss_of(what, rows, temperature):
    name, side, options, _ = PRINTED[what]
    if name == "pairwise_loss":
        options = {**options, "rows": ROWS}
    loss = getattr(losses, name)
    return loss(rows, *map(jnp.asarray, side), temperature=temperature, **options)


@functools.cache
def values_of(what, precision):
    """The values of all toys, in one program."""

    def everything(rows):
        return {toy: loss_of(what, rows[n], t) for toy, (n, t) in TOYS.items()}

    with enable_x64(precision == "float64"):
        return jax.jit(everything)([jnp.asarray(rows, precision) for rows in toys()])


@pytest.mark.parametrize(("what", "toy"), CASES)
@both_precisions
def test_the_losses_give_the_printed_numbers(what, toy, precision, rtol, atol):
    number, temperature = TOYS[toy]
    printed = PRINTED[what][-1][list(TOYS).index(toy)]
    expected = to_defined_anchors(what, printed, toys()[number], temperature)
    found = values_of(what, precision)[toy]
    assert found.dtype == precision
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


@both_precisions
def test_soft_bias_contrastive_loss_gives_the_printed_number(precision, rtol, atol):
    rows = toys()[0]
    expected = 27.4292736489
    options = {"temperature": 0.07}
    oracle = references.soft_bias_contrastive_loss
    np.testing.assert_allclose(
        oracle(rows, LABELS, BIAS_FEATURES, **options), expected, rtol=1e-11
    )
    with enable_x64(precision == "float64"):
        arrays = [jnp.asarray(x, precision) for x in (rows, BIAS_FEATURES)]
        found = losses.soft_bias_contrastive_loss(
            arrays[0], jnp.asarray(LABELS), arrays[1], **options
        )
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


LOGITS = np.array([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]])
PRIOR = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]])


# (prior, value): the released code adds 1e-9 to the prior; no prior is cross-entropy
@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (PRIOR, 1.5984127091),
        (PRIOR + 1e-9, 1.5984127051),
        (PRIOR * 0 + 1, 0.8235753654),
    ],
    ids=["prior", "as released", "no prior"],
)
@both_precisions
def test_bias_balanced_cross_entropy_gives_the_printed_number(
    prior, expected, precision, rtol, atol
):
    side = [[1, 1], [0, 1]]
    oracle = references.bias_balanced_cross_entropy
    value = oracle(LOGITS, *side, np.log(prior))
    np.testing.assert_allclose(value, expected, atol=1e-10)
    with enable_x64(precision == "float64"):
        found = losses.bias_balanced_cross_entropy(
            jnp.asarray(LOGITS, precision),
            *map(jnp.array, side),
            jnp.asarray(np.log(prior), precision),
        )
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


@both_precisions
def test_fair_kl_means_follow_from_the_printed_means(precision, rtol, atol):
    """The released code counts the diagonal, four similarities of 1 among six."""
    aligned = (6 * 0.3363210922 - 4) / 2
    expected = (-0.9908104502 - aligned) ** 2 + (0.0221508296 + 0.0134024755) ** 2
    rows, side = toys()[0][:4], (LABELS[:4], BIASES[:4])
    value = references.fair_kl_penalty(rows, *side, form="means")
    np.testing.assert_allclose(value, expected, atol=1e-10)
    with enable_x64(precision == "float64"):
        found = losses.fair_kl_penalty(
            jnp.asarray(rows, precision), *map(jnp.asarray, side), form="means"
        )
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=atol)


def sigmoid(scale, bias):
    """Eq. 9 as an additive loss of four instances: phi, and psi with its factor."""
    return {
        "positive_fn": lambda s: -jax.nn.softplus(bias - scale * s),
        "negative_fn": lambda s: 3 * jax.nn.softplus(scale * s - bias),
    }


WITHIN, ONLY_WITHIN = {"within_view": True}, {"within_view": True, "cross_view": False}
# (loss, options, value): similarities.md 7.1, whose bias b is minus the library's
OF_VIEWS = {
    "DCL, t = 0.5": ("dcl_loss", {"temperature": 0.5}, 0.652894414799),
    "DCL, t = 0.2": ("dcl_loss", {"temperature": 0.2}, 0.491620881549),
    "DHEL, t = 0.5": ("dhel_loss", {"temperature": 0.5}, -0.118371081085),
    "DHEL, t = 0.2": ("dhel_loss", {"temperature": 0.2}, -0.484771967409),
    "sigmoid, 2, 0": (
        *("sigmoid_loss", {"logit_scale": 2.0, "logit_bias": 0.0}),
        2.390941500026,
    ),
    "sigmoid, 2, 0, both": (
        *("sigmoid_loss", {"logit_scale": 2.0, "logit_bias": 0.0, **WITHIN}),
        4.517892135208,
    ),
    "sigmoid, 10, 10": ("sigmoid_loss", {}, 1.609095313521),
    "sigmoid, 10, 10, both": ("sigmoid_loss", WITHIN, 1.899107964516),
    "additive sigmoid, 2, 0": ("additive_loss", sigmoid(2, 0), 2.390941500026),
    "additive sigmoid, 2, 0, within": (
        *("additive_loss", {**sigmoid(2, 0), **ONLY_WITHIN}),
        2.279071121582,
    ),
    "additive sigmoid, 2, 0, both": (
        *("additive_loss", {**sigmoid(2, 0), **WITHIN}),
        4.517892135208,
    ),
    "additive sigmoid, 10, 10, within": (
        *("additive_loss", {**sigmoid(10, 10), **ONLY_WITHIN}),
        1.582396740900,
    ),
    "additive sigmoid, 10, 10, both": (
        *("additive_loss", {**sigmoid(10, 10), **WITHIN}),
        1.899107964516,
    ),
    "spectral": ("spectral_loss", {}, -0.120255746962),
    "additive spectral": (
        "additive_loss",
        {"positive_fn": lambda s: s, "negative_fn": lambda s: s**2},
        -0.120255746962,
    ),
}


@functools.cache
def values_of_views(precision):
    """Every value of the views, in one program."""

    def everything(u, v):
        return {
            what: getattr(losses, name)(u, v, **options)
            for what, (name, options, _) in OF_VIEWS.items()
        }

    with enable_x64(precision == "float64"):
        return jax.jit(everything)(*[jnp.asarray(x, precision) for x in views()])


@pytest.mark.parametrize("what", OF_VIEWS)
@both_precisions
def test_two_view_losses_give_the_printed_numbers(what, precision, rtol, atol):
    expected = OF_VIEWS[what][-1]
    found = values_of_views(precision)[what]
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("what", [w for w in OF_VIEWS if "additive s" not in w])
def test_the_double_loops_of_two_views_give_the_printed_numbers(what):
    name, options, expected = OF_VIEWS[what]
    found = getattr(references, name)(*views(), **options)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


TAU, KAPPA = 0.3, 1 / 0.3


def latents(count, seed):
    """Uniform on the sphere S^2, the first coordinate being the one that is fixed."""
    return unit(np.random.default_rng(seed).normal(size=(count, 3)))


def turned(z, angle):
    """Rows with v turned by an angle on their fiber, [count, ..., 3]."""
    u, angle = z[:, 0], angle.reshape(len(z), -1)
    v = np.hypot(z[:, 1], z[:, 2])[:, None]
    start = np.arctan2(z[:, 2], z[:, 1])[:, None]
    fixed = np.broadcast_to(u[:, None], angle.shape)
    points = [fixed, v * np.cos(start + angle), v * np.sin(start + angle)]
    return np.stack(points, axis=-1).squeeze()


def von_mises_fisher(z, seed):
    """Samples of density e^{kappa z'w} on S^2."""
    generator = np.random.default_rng(seed)
    height = generator.uniform(size=len(z))
    height = 1 + np.log(height + (1 - height) * np.exp(-2 * KAPPA)) / KAPPA
    normal = generator.normal(size=z.shape)
    normal = unit(normal - np.sum(normal * z, axis=1, keepdims=True) * z)
    return height[:, None] * z + np.sqrt(1 - height**2)[:, None] * normal


def full_support(count, negatives):
    """The identity under full support: -.904 for M = 512."""
    z = latents(count, 0)
    return (z, von_mises_fisher(z, 1), latents(negatives, 2)), None


def restricted(count, negatives):
    """The identity, positives of Eq. 6, negatives uniform on the fiber (Eq. 8)."""
    z, generator = latents(count, 0), np.random.default_rng(1)
    around = generator.uniform(-np.pi, np.pi, size=(count, negatives))
    spread = KAPPA * (1 - z[:, 0] ** 2)
    return (z, turned(z, generator.vonmises(0.0, spread)), turned(z, around)), None


def great_circle(count, negatives):
    """Fibers blown up to great circles, positives of Alg. 13."""
    z, generator = latents(count, 0) * [0.0, 1.0, 1.0], np.random.default_rng(1)
    around = generator.uniform(-np.pi, np.pi, size=(count, negatives))
    near = generator.vonmises(0.0, KAPPA, size=count)
    return tuple(
        unit(x.reshape(-1, 3)).reshape(x.shape)
        for x in (z, turned(z, near), turned(z, around))
    ), None


def augmented(count, negatives, weighted):
    """Alg. 14: negatives of the law of the positive; weights e^{-kappa z'z_j} (D4)."""
    z, generator = latents(count, 0), np.random.default_rng(1)
    spread = KAPPA * (1 - z[:, 0] ** 2)
    near = generator.vonmises(0.0, spread[:, None], size=(count, negatives))
    rows = turned(z, near)
    logs = -KAPPA * np.einsum("nd,nmd->nm", z, rows) if weighted else None
    return (z, turned(z, generator.vonmises(0.0, spread)), rows), logs


# (samples, number of negatives, value less log M)
EXPECTATIONS = {
    "full support": (functools.partial(full_support, 20000), 512, -0.904),
    "corrected, Eq. 6": (functools.partial(restricted, 12000), 128, -0.593),
    "corrected, Alg. 13": (functools.partial(great_circle, 12000), 128, -0.899),
    "Alg. 14": (functools.partial(augmented, 6000, weighted=False), 512, 0.167),
    "Alg. 14, weighted": (
        functools.partial(augmented, 6000, weighted=True),
        512,
        -0.596,
    ),
}


@pytest.mark.parametrize("what", EXPECTATIONS)
def test_support_corrected_loss_has_the_expectations_of_the_theory(what):
    samples, count, expected = EXPECTATIONS[what]
    rows, logs = samples(count)
    loss = functools.partial(losses.support_corrected_info_nce_loss, temperature=TAU)
    found = jax.jit(loss)(
        *map(jnp.float32, rows), log_weights=None if logs is None else jnp.float32(logs)
    )
    np.testing.assert_allclose(found - math.log(count), expected, atol=0.02)


def test_support_corrected_loss_of_a_constant_map_is_log_of_all_candidates():
    rows = np.ones((5, 3), np.float32)
    found = losses.support_corrected_info_nce_loss(
        rows, rows, np.ones((5, 7, 3), np.float32), temperature=TAU
    )
    np.testing.assert_allclose(found, math.log(8), rtol=1e-6)


def test_support_corrected_loss_of_two_negatives_by_hand():
    """Similarities 1, 0 and -1: -1/t + log(e^{1/t} + 1 + e^{-1/t})."""
    anchors = jnp.array([[2.0, 0.0]])
    negatives = jnp.array([[[0.0, 3.0], [-0.5, 0.0]]])
    found = losses.support_corrected_info_nce_loss(
        anchors, anchors, negatives, temperature=0.5
    )
    expected = math.log1p(math.exp(-2) + math.exp(-4))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
