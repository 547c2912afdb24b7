"""What other libraries offer for the same losses, as their documentation calls it."""

import importlib
import importlib.machinery
import sys
import types
from typing import Any

import jax.numpy as jnp

from jaxcl.labs.benchmarks._calls import (
    Prepared,
    load_torch,
    prepare_jax,
    prepare_torch,
)
from jaxcl.labs.benchmarks._cases import Case


def optax_ntxent(case: Case) -> Prepared:
    """`optax.losses.ntxent`: rows with the same id are positives."""
    ntxent = importlib.import_module("optax.losses").ntxent

    def loss(u, v, labels, domains):
        del labels, domains
        ids = jnp.tile(jnp.arange(len(u)), 2)
        return ntxent(jnp.concatenate([u, v]), ids, case.temperature)

    return prepare_jax(loss, case)


def torch_cross_entropy(case: Case) -> Prepared:
    """NT-Xent as the cross-entropy of all rows against all rows, itself left out."""
    torch = load_torch()
    functional = torch.nn.functional

    def loss(u, v, labels):
        del labels
        z = functional.normalize(torch.cat([u, v]))
        logits = z @ z.T / case.temperature
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        logits = logits.masked_fill(itself, float("-inf"))
        targets = torch.arange(len(z), device=z.device).roll(len(u))
        return functional.cross_entropy(logits, targets)

    return prepare_torch(loss, case)


def torch_clip(case: Case) -> Prepared:
    """CLIP as two cross-entropies, of the logits and of their transpose."""
    torch = load_torch()
    functional = torch.nn.functional

    def loss(u, v, labels):
        del labels
        logits = functional.normalize(u) @ functional.normalize(v).T / case.temperature
        targets = torch.arange(len(u), device=u.device)
        one_way = functional.cross_entropy(logits, targets)
        return (one_way + functional.cross_entropy(logits.T, targets)) / 2

    return prepare_torch(loss, case)


def lightly_nt_xent(case: Case) -> Prepared:
    """`lightly.loss.NTXentLoss`."""
    criterion = import_lightly().NTXentLoss(temperature=case.temperature)
    return prepare_torch(lambda u, v, labels: criterion(u, v), case)


def metric_learning_nt_xent(case: Case) -> Prepared:
    """`pytorch_metric_learning.losses.NTXentLoss`; rows with one id are positives."""
    return _metric_learning("NTXentLoss", case, by_label=False)


def metric_learning_one_positive(case: Case) -> Prepared:
    """Its `SupConLoss` with the instance as label: NT-Xent by its fast path."""
    return _metric_learning("SupConLoss", case, by_label=False)


def metric_learning_supcon(case: Case) -> Prepared:
    """`pytorch_metric_learning.losses.SupConLoss`."""
    return _metric_learning("SupConLoss", case, by_label=True)


def _metric_learning(name: str, case: Case, *, by_label: bool) -> Prepared:
    torch = load_torch()
    losses = importlib.import_module("pytorch_metric_learning.losses")
    criterion = getattr(losses, name)(temperature=case.temperature)

    def loss(u, v, labels):
        ids = labels if by_label else torch.arange(len(u), device=u.device)
        return criterion(torch.cat([u, v]), ids.repeat(2))

    return prepare_torch(loss, case)


def supcontrast_nt_xent(case: Case) -> Prepared:
    """The SupCon of its reference code without labels, which is NT-Xent."""
    torch = load_torch()

    def loss(u, v, labels):
        del labels
        ids = torch.arange(len(u), device=u.device)
        return supcontrast_loss(u, v, ids, case.temperature)

    return prepare_torch(loss, case)


def supcontrast_supcon(case: Case) -> Prepared:
    """The SupCon of its reference code, base temperature = temperature."""
    return prepare_torch(
        lambda u, v, labels: supcontrast_loss(u, v, labels, case.temperature), case
    )


def supcontrast_loss(u: Any, v: Any, labels: Any, temperature: float) -> Any:
    """SupCon as its authors compute it: float masks of all pairs, shifted exponents.

    Written from the definition: the shift is the largest logit of a row, itself
    included; the row itself leaves the denominator by a mask; the mean goes over all
    rows.
    """
    torch = load_torch()
    z = torch.nn.functional.normalize(torch.cat([u, v]))
    ids = labels.repeat(2)
    others = 1.0 - torch.eye(len(z), dtype=z.dtype, device=z.device)
    positives = (ids[:, None] == ids[None, :]).to(z.dtype) * others
    logits = z @ z.T / temperature
    logits = logits - logits.max(dim=1, keepdim=True).values.detach()
    denominators = (logits.exp() * others).sum(dim=1, keepdim=True)
    log_ratios = logits - denominators.log()
    return -((positives * log_ratios).sum(dim=1) / positives.sum(dim=1)).mean()


def import_lightly() -> Any:
    """`lightly.loss`; with an empty torchvision where there is none that works.

    Its door imports torchvision for losses that are not compared here, and torch from a
    CPU index has no torchvision beside it.
    """
    try:
        importlib.import_module("torchvision")
        return importlib.import_module("lightly.loss")
    except (ImportError, RuntimeError, OSError):
        pass
    finder = _EmptyTorchvision()
    _forget("torchvision")
    _forget("lightly")
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("lightly.loss")
    finally:
        sys.meta_path.remove(finder)
        _forget("torchvision")


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]


class _EmptyTorchvision:
    """Finds every module of torchvision, and makes up whatever is asked of it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.split(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        return _MadeUpModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


class _MadeUpModule(types.ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})
