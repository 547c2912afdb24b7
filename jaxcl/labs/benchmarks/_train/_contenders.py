"""The training step in PyTorch with lightly, and when a run has none."""

import dataclasses
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from jaxcl.config import TrainConfig
from jaxcl.labs.benchmarks._losses._calls import load_torch, on_accelerator
from jaxcl.labs.benchmarks._losses._peers import import_lightly
from jaxcl.labs.benchmarks._measurement import Excuse, Measurement

OURS = "jaxcl"
WHOLE, INPUT, REST = "whole step", "input", "rest"
# Names, and whether channels are the last axis in memory.
LAYOUTS = {"torch + lightly": False, "torch + lightly, channels last": True}
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
PACKAGES = ("torch", "lightly")


def why_not(config: Mapping[str, Any], devices: int) -> Excuse | None:
    """Why a run on some devices (0 = all) has no peer; None when it has."""
    if any(importlib.util.find_spec(package) is None for package in PACKAGES):
        return Excuse("not installed", "pip install 'jaxcl[bench]'")
    other = _find_other(config) or ("device is one" if devices > 1 else None)
    return Excuse("skipped", f"it is written for runs whose {other}") if other else None


def _find_other(config: Mapping[str, Any]) -> str | None:
    """The first condition of the comparison that a run does not meet."""
    model, objective = config["model"], config["objective"]
    beside = [objective["cross_entropy"], *objective["penalties"].values()]
    wanted = {
        "encoder is ResNet-18 or -34": model["encoder"] in BLOCKS,
        "stem is that of CIFAR": model["stem"] == "cifar",
        "type is float32": model["dtype"] == "float32",
        "norms are BatchNorm": model["norm"] == model["head_norm"] == "batch",
        "head has two layers": model["head_layers"] == 2,
        "head ends with a layer": not model["head_last_norm"],
        "loss is NT-Xent alone": objective["name"] == "nt_xent" and not any(beside),
        "views are two": config["data"]["views"] == 2,
        "optimizer is SGD": config["optimizer"]["name"] == "sgd",
        "gradient is taken at once": config["optimizer"]["accumulate"] == 1,
        "steps are dispatched one by one": config["steps_per_dispatch"] == 1,
    }
    return next((words for words, holds in wanted.items() if not holds), None)


def stand_ins(row: Measurement, excuse: Excuse) -> Iterable[Measurement]:
    """Rows of contenders that are not measured."""
    row = dataclasses.replace(row, status=excuse.status, reason=str(excuse))
    for name in LAYOUTS:
        yield dataclasses.replace(row, contender=name, required=False)


_WIDTH = 64


def make_torch_step(
    config: TrainConfig, views: np.ndarray, *, channels_last: bool
) -> tuple[Callable[[], Any], int]:
    """A step of SGD on given views, which returns the loss; how many parameters."""
    torch = load_torch()
    device = "cuda" if on_accelerator() else "cpu"
    layout = torch.channels_last if channels_last else torch.contiguous_format
    rows = np.moveaxis(views.reshape(-1, *views.shape[2:]), -1, 1)
    images = torch.tensor(np.ascontiguousarray(rows), device=device)
    images = images.to(memory_format=layout)
    network = make_network(config, channels=views.shape[-1])
    network = network.to(device=device, memory_format=layout)
    criterion = import_lightly().NTXentLoss(temperature=config.objective.temperature)
    optimizer = make_sgd(torch, network, config)

    def call() -> Any:
        u, v = network(images).chunk(2)
        loss = criterion(u, v)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return call, sum(one.numel() for one in network.parameters())


def make_sgd(torch: Any, network: Any, config: TrainConfig) -> Any:
    """SGD as ours: biases and scales do not decay."""
    chosen, parameters = config.optimizer, list(network.parameters())
    matrices = [one for one in parameters if one.ndim > 1]
    vectors = [one for one in parameters if one.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": chosen.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=chosen.learning_rate, momentum=chosen.momentum)


def make_network(config: TrainConfig, channels: int) -> Any:
    """ResNet-18 or -34 with the stem for small images, and the head of SimCLR."""
    nn = importlib.import_module("torch").nn

    def conv(features: int, out: int, kernel: int, stride: int) -> Any:
        padding = kernel // 2
        return nn.Sequential(
            nn.Conv2d(features, out, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(out),
        )

    class Block(nn.Module):
        """relu(F(x) + x)."""

        def __init__(self, features: int, out: int, stride: int):
            super().__init__()
            self.first = conv(features, out, 3, stride)
            self.second = conv(out, out, 3, 1)
            same = stride == 1 and features == out
            self.shortcut = nn.Identity() if same else conv(features, out, 1, stride)

        def forward(self, x: Any) -> Any:
            residual = self.second(nn.functional.relu(self.first(x)))
            return nn.functional.relu(residual + self.shortcut(x))

    layers, dim = [conv(channels, _WIDTH, 3, 1), nn.ReLU()], _WIDTH
    for stage, count in enumerate(BLOCKS[config.model.encoder]):
        for i in range(count):
            width = _WIDTH * 2**stage
            layers.append(Block(dim, width, 2 if stage > 0 and i == 0 else 1))
            dim = width
    hidden = config.model.head_hidden
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(dim, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, config.model.head_dim),
    )
