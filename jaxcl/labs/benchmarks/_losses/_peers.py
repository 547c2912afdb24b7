"""The same losses in other libraries, called as their documentation says.

Torch and its libraries are imported by the first call: not everybody installs them.
"""

import functools
import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from typing import Any

import jax.numpy as jnp
import optax

from jaxcl.labs.benchmarks._losses._calls import load_torch


def optax_ntxent(u, v, labels, domains, temperature):
    """`optax.losses.ntxent`: rows with the same id are positives."""
    ids = jnp.tile(jnp.arange(len(u)), 2)
    return optax.losses.ntxent(jnp.concatenate([u, v]), ids, temperature)


def torch_nt_xent(u, v, labels, domains, temperature):
    """NT-Xent as the cross-entropy of each row against all the others."""
    torch = load_torch()
    z = torch.nn.functional.normalize(torch.cat([u, v]))
    logits = z @ z.T / temperature
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logits = logits.masked_fill(itself, float("-inf"))
    targets = torch.arange(len(z), device=z.device).roll(len(u))
    return torch.nn.functional.cross_entropy(logits, targets)


def torch_clip(u, v, labels, domains, temperature):
    """CLIP as two cross-entropies, of the logits and of their transpose."""
    functional = load_torch().nn.functional
    logits = functional.normalize(u) @ functional.normalize(v).T / temperature
    targets = _instances(u)
    one_way = functional.cross_entropy(logits, targets)
    return (one_way + functional.cross_entropy(logits.T, targets)) / 2


def lightly_nt_xent(u, v, labels, domains, temperature):
    """`lightly.loss.NTXentLoss`."""
    return _criterion("lightly", "NTXentLoss", temperature)(u, v)


def pml_nt_xent(u, v, labels, domains, temperature):
    """`pytorch_metric_learning.losses.NTXentLoss`; rows with one id are positives."""
    return _pml("NTXentLoss", u, v, _instances(u), temperature)


def pml_one_positive(u, v, labels, domains, temperature):
    """Its `SupConLoss` with the instance as label: NT-Xent by its fast path."""
    return _pml("SupConLoss", u, v, _instances(u), temperature)


def pml_supcon(u, v, labels, domains, temperature):
    """`pytorch_metric_learning.losses.SupConLoss`."""
    return _pml("SupConLoss", u, v, labels, temperature)


def supcontrast_nt_xent(u, v, labels, domains, temperature):
    """The SupCon of its reference code without labels, which is NT-Xent."""
    return supcontrast_supcon(u, v, _instances(u), domains, temperature)


def _instances(u: Any) -> Any:
    return load_torch().arange(len(u), device=u.device)


def _pml(name: str, u: Any, v: Any, ids: Any, temperature: float) -> Any:
    criterion = _criterion("pytorch_metric_learning", name, temperature)
    return criterion(load_torch().cat([u, v]), ids.repeat(2))


@functools.cache
def _criterion(library: str, name: str, temperature: float) -> Any:
    """A loss of another library, made once for all calls."""
    if library == "lightly":
        return getattr(import_lightly(), name)(temperature=temperature)
    losses = importlib.import_module(f"{library}.losses")
    return getattr(losses, name)(temperature=temperature)


def supcontrast_supcon(u, v, labels, domains, temperature):
    """SupCon as its authors compute it, with base temperature = temperature.

    Written from the definition: masks of all pairs are floats; the largest logit of a
    row, its own included, is subtracted before the exponential; the mean is over rows.
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
    """Provides every module of torchvision with empty classes of any name."""

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
