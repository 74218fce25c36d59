"""A forecaster with three inputs, in a LightningModule with its own optimizer and schedule; its LSTM ten times smaller.

Invented data: a daily and a weekly wave with noise. The input matrix has three columns and stays dense.
"""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import doping

PAST, EPOCHS = 48, 12


def series(count: int, seed: int) -> TensorDataset:
    """Windows (count, past, 3) and what comes next, (count, 1)."""
    draw = torch.Generator().manual_seed(seed)
    hour = torch.randint(1000, (count, 1), generator=draw) + torch.arange(PAST + 1.0)
    day, week = 2 * torch.pi * hour / 24, 2 * torch.pi * hour / 168
    value = day.sin() * (1 + 0.5 * week.cos()) + 0.1 * torch.randn(hour.shape, generator=draw)
    return TensorDataset(torch.stack([value, day.cos(), week.cos()], 2)[:, :-1], value[:, -1:])


class Forecaster(pl.LightningModule):
    """LSTM and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 96, batch_first=True), nn.Linear(96, 1)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        """Squared error."""
        return nn.functional.mse_loss(self.head(self.lstm(batch[0])[0][:, -1]), batch[1])

    def on_train_batch_end(self, *_: object) -> None:  # noqa: D102
        self.annealer.step()

    def configure_optimizers(self) -> tuple[list, list]:
        """No decay of biases, and a cosine."""
        groups = [{"params": [p], "weight_decay": 0.01 * (p.dim() > 1)} for p in self.parameters()]
        optimizer = torch.optim.AdamW(groups, lr=5e-3)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)]


def train(factor: float = 1, seed: int = 0, epochs: int = EPOCHS) -> tuple[float, nn.Module]:
    """Squared error on new windows (the noise alone is 0.01), and the model."""
    pl.seed_everything(seed, verbose=False)
    model, loader = Forecaster(), DataLoader(series(2000, 1), 64, shuffle=True)
    method = doping.Method(name="doped_kp", factor=factor) if factor > 1 else doping.Method()
    doping.compress_(model, {"lstm": method})
    model.annealer = doping.Annealer(model, total_steps=epochs * len(loader))
    pl.Trainer(max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False).fit(model, loader)
    doping.deploy_(model.eval())
    with torch.no_grad():
        return float(model.training_step(series(2000, 2).tensors, 0)), model


if __name__ == "__main__":
    print("dense", train()[0], "ten times smaller", train(10)[0])
