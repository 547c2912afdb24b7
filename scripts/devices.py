"""Writes the tables of docs/devices.md: losses of several kinds on eight devices.

python scripts/devices.py            # writes the page
python scripts/devices.py --check    # fails when a verdict of the page is out of date
"""

import datetime
import functools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxcl.losses import nt_xent_loss
from jaxcl.testing import MAPPINGS, DeviceReport, check_devices

PAGE = Path(__file__).parents[1] / "docs" / "devices.md"
ROWS, WIDTH, DIM = 64, 16, 8
# Each verdict of the page is one of these mappings, and the others repeat them.
CHECKED = ("jit, auto axes", "jit, explicit axes", "pmap", "shard_map")


def ours(w, views, axis_name=None):
    u, v = views[:, 0] @ w, views[:, 1] @ w
    return nt_xent_loss(u, v, temperature=0.2, axis_name=axis_name)


def of_optax(w, views, pair):
    rows = jnp.concatenate([views[:, 0], views[:, 1]]) @ w
    return optax.losses.ntxent(rows, jnp.concatenate([pair, pair]), temperature=0.2)


def with_gather(w, views, axis_name=None):
    u, v = (_unit(views[:, k] @ w) for k in (0, 1))
    all_u, all_v, first = u, v, 0
    if axis_name is not None:
        all_u, all_v = (lax.all_gather(x, axis_name, tiled=True) for x in (u, v))
        first = lax.axis_index(axis_name) * len(u)
    own = first + jnp.arange(len(u))
    return (_find(u, all_v, all_u, own) + _find(v, all_u, all_v, own)) / 2


def without_gather(w, views):
    u, v = (_unit(views[:, k] @ w) for k in (0, 1))
    own = jnp.arange(len(u))
    return (_find(u, v, u, own) + _find(v, u, v, own)) / 2


def sigmoid(params, views):
    u, v = (_unit(views[:, k] @ params["w"]) for k in (0, 1))
    logits = params["scale"] * u @ v.T + params["bias"]
    signs = 2 * jnp.eye(len(u)) - 1
    return -jnp.sum(jax.nn.log_sigmoid(signs * logits)) / len(u)


def cross_entropy(w, views, label):
    logits = views[:, 0] @ w
    return optax.softmax_cross_entropy(logits, jax.nn.one_hot(label, DIM)).mean()


def _unit(x):
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def _find(anchors, others, same_view, own):
    """Mean cross-entropy of finding the other view among all rows but oneself."""
    across = anchors @ others.T / 0.2
    itself = own[:, None] == jnp.arange(len(same_view))[None, :]
    within = jnp.where(itself, -jnp.inf, anchors @ same_view.T / 0.2)
    logits = jnp.concatenate([across, within], axis=1)
    return optax.softmax_cross_entropy_with_integer_labels(logits, own).mean()


def reports(mappings: Sequence[str] = MAPPINGS) -> dict[str, DeviceReport]:
    """What `check_devices` finds, loss by loss."""
    generator = np.random.default_rng(0)
    w = np.float32(generator.normal(size=(WIDTH, DIM)))
    views = np.float32(generator.normal(size=(ROWS, 2, WIDTH)))
    pair, label = np.arange(ROWS), np.int32(generator.integers(0, DIM, ROWS))
    scaled = {"w": w, "scale": np.float32(10), "bias": np.float32(-10)}
    check = functools.partial(
        check_devices, devices=jax.devices()[:8], mappings=mappings
    )
    return {
        "ours": check(ours, w, views),
        "of_optax": check(of_optax, w, views, pair),
        "with_gather": check(with_gather, w, views),
        "without_gather": check(without_gather, w, views),
        "sigmoid": check(sigmoid, scaled, views),
        "cross_entropy": check(cross_entropy, w, views, label),
    }


def find_table(name: str, page: str) -> re.Match[str]:
    """Where the page has the table of a loss."""
    table = re.search(rf"<!-- {name} -->\n```\n(.*?)```", page, re.DOTALL)
    assert table, f"the page has no table of {name}"
    return table


def wrong_lines(page: str) -> list[str]:
    """Losses and mappings whose verdict is not that of the page."""
    wrong = []
    for name, report in reports(CHECKED).items():
        lines = find_table(name, page)[1].splitlines()
        shown = {cells[0]: cells[-1] for cells in (re.split("  +", x) for x in lines)}
        for mapping, verdict in report.verdicts().items():
            # The words of JAX in its errors are not ours to check.
            if shown[mapping].split(":")[:2] != verdict.split(":")[:2]:
                wrong.append(f"{name}, {mapping}: {verdict}")
    return wrong


def main() -> int:
    page = PAGE.read_text()
    if "--check" in sys.argv[1:]:
        wrong = wrong_lines(page)
        print("\n".join(wrong))
        return 1 if wrong else 0
    for name, report in reports().items():
        table = find_table(name, page)
        page = page[: table.start(1)] + f"{report}\n" + page[table.end(1) :]
    said = f"jax {jax.__version__}, optax {optax.__version__}, {datetime.date.today()}"
    PAGE.write_text(re.sub(r"jax [\d.]+, optax [\d.]+, [\d-]+", said, page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
