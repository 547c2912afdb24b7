"""Trains with PyTorch Lightning, as its documentation saves and resumes.

`ModelCheckpoint(save_last=True)`, `OnExceptionCheckpoint`, `fit(ckpt_path="last")`.
"""

# pyright: reportMissingImports=false

import os
import warnings
from typing import Any

import lightning.pytorch as pl
import torch
from faults import Faults, digest, parse
from lightning.pytorch.callbacks import ModelCheckpoint, OnExceptionCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, Dataset

BATCH = 16


class Noisy(Dataset):
    """160 samples, to which every reading adds other noise."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(7)
        self.images = torch.randn(160, 64, generator=generator)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor, int]:
        view = self.images[index] + 0.1 * torch.randn(64)
        return index, view, index % 8


class Classifier(pl.LightningModule):
    """A small network, which notes what it trains on and what is saved."""

    def __init__(self, width: int, rate: float, faults: Faults):
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 8)
        )
        self.rate, self.faults = rate, faults

    def configure_optimizers(self) -> Any:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.rate)

    def digest(self) -> str:
        """Of parameters and moments."""
        # None yet, if a checkpoint could not be loaded and the exception is saved.
        states = [optimizer.state_dict() for optimizer in self.trainer.optimizers]
        moments = [one for state in states for one in state["state"].values()]
        tensors = [*self.state_dict().values()]
        tensors += [value for state in moments for value in state.values()]
        return digest(tensor.numpy() for tensor in tensors)

    def on_train_start(self) -> None:
        """Notes where training goes on."""
        self.faults.note(resumed=self.global_step, state=self.digest())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes what is saved."""
        self.faults.note(reached=self.global_step, state=self.digest())

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        """The loss of a batch."""
        index, views, labels = batch
        step = self.global_step + 1
        loss = nn.functional.cross_entropy(self.network(views), labels)
        loss = loss * self.faults.loss_factor(step)
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        rate = optimizer.param_groups[0]["lr"]
        self.faults.note(
            step=step,
            samples=index.tolist(),
            views=digest([views.numpy()]),
            loss=float(loss),
            rate=rate,
        )
        self.log("loss", loss)
        return loss


class Tell(pl.Callback):
    """Calls `Faults.at_step` after each step."""

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, *_: Any, **__: Any
    ) -> None:
        """The step is done, and not saved yet."""
        pl_module.faults.at_step(trainer.global_step)


def main() -> None:
    arguments = parse(__doc__ or "")
    warnings.filterwarnings("ignore", message=".*(num_workers|litlogger).*")
    faults = Faults(arguments, int(os.environ.get("LOCAL_RANK", "0")))
    pl.seed_everything(arguments.seed, workers=True)
    checkpoints = arguments.directory / "checkpoints"
    loader: Any = DataLoader
    if arguments.stateful:
        from torchdata.stateful_dataloader import StatefulDataLoader as loader
    trainer = pl.Trainer(
        max_steps=arguments.steps,
        accelerator="cpu",
        devices=arguments.processes,
        strategy="ddp" if arguments.processes > 1 else "auto",
        callbacks=[
            ModelCheckpoint(
                checkpoints, every_n_train_steps=2, save_top_k=-1, save_last=True
            ),
            OnExceptionCheckpoint(checkpoints),
            Tell(),
        ],
        logger=CSVLogger(arguments.directory, name="logs", version=0),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Classifier(arguments.width, arguments.rate, faults)
    batches = loader(Noisy(), BATCH // arguments.processes, shuffle=True)
    trainer.fit(model, batches, ckpt_path="last")


if __name__ == "__main__":
    main()
