"""What other libraries offer for the same losses, as their documentation calls it."""

import importlib.abc
import importlib.machinery
import sys
import types
from typing import Any

import jax.numpy as jnp

from jaxcl.labs.benchmarks._losses._calls import Case, load_torch


def optax_ntxent(case: Case):
    """`optax.losses.ntxent`: rows with the same id are positives."""
    ntxent = importlib.import_module("optax.losses").ntxent

    def loss(u, v, labels, domains):
        del labels, domains
        ids = jnp.tile(jnp.arange(len(u)), 2)
        return ntxent(jnp.concatenate([u, v]), ids, case.temperature)

    return loss


def torch_nt_xent(case: Case):
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

    return loss


def torch_clip(case: Case):
    """CLIP as two cross-entropies, of the logits and of their transpose."""
    torch = load_torch()
    functional = torch.nn.functional

    def loss(u, v, labels):
        del labels
        logits = functional.normalize(u) @ functional.normalize(v).T / case.temperature
        targets = torch.arange(len(u), device=u.device)
        one_way = functional.cross_entropy(logits, targets)
        return (one_way + functional.cross_entropy(logits.T, targets)) / 2

    return loss


def lightly_nt_xent(case: Case):
    """`lightly.loss.NTXentLoss`."""
    criterion = import_lightly().NTXentLoss(temperature=case.temperature)
    return lambda u, v, labels: criterion(u, v)


def pml_nt_xent(case: Case):
    """`pytorch_metric_learning.losses.NTXentLoss`; rows with one id are positives."""
    return _pml("NTXentLoss", case, by_label=False)


def pml_one_positive(case: Case):
    """Its `SupConLoss` with the instance as label: NT-Xent by its fast path."""
    return _pml("SupConLoss", case, by_label=False)


def pml_supcon(case: Case):
    """`pytorch_metric_learning.losses.SupConLoss`."""
    return _pml("SupConLoss", case, by_label=True)


def _pml(name: str, case: Case, *, by_label: bool):
    torch = load_torch()
    losses = importlib.import_module("pytorch_metric_learning.losses")
    criterion = getattr(losses, name)(temperature=case.temperature)

    def loss(u, v, labels):
        ids = labels if by_label else torch.arange(len(u), device=u.device)
        return criterion(torch.cat([u, v]), ids.repeat(2))

    return loss


def supcontrast_nt_xent(case: Case):
    """The SupCon of its reference code without labels, which is NT-Xent."""
    torch = load_torch()

    def loss(u, v, labels):
        del labels
        ids = torch.arange(len(u), device=u.device)
        return supcontrast_loss(u, v, ids, case.temperature)

    return loss


def supcontrast_supcon(case: Case):
    """The SupCon of its reference code, base temperature = temperature."""
    return lambda u, v, labels: supcontrast_loss(u, v, labels, case.temperature)


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

    It imports torchvision for losses that are not compared here, and torch from a CPU
    index has no torchvision beside it.
    """
    try:
        importlib.import_module("torchvision")
        return importlib.import_module("lightly.loss")
    except (ImportError, RuntimeError, OSError):
        pass
    finder = EmptyTorchvision()
    _forget("torchvision", "lightly")
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("lightly.loss")
    finally:
        sys.meta_path.remove(finder)
        _forget("torchvision")


def _forget(*packages: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]


class EmptyTorchvision(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module of torchvision, and makes up whatever is asked of it."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """The specification of a module of torchvision."""
        if fullname.split(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: types.ModuleType) -> None:
        """Gives a module every name that does not begin with two underscores."""
        vars(module)["__getattr__"] = _make_up


def _make_up(name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})
