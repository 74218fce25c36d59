"""Keyword spotting: a convolution over spectra, two GRU layers, and a word; the GRU ten times smaller.

Invented data: a word is a melody of eight notes among 20 bands, sung at any moment into noise.
"""

import torch
from torch import nn

import doping

WORDS, BANDS, TIME, STEPS = 8, 20, 24, 500
MELODIES = torch.randint(BANDS, (WORDS, 8), generator=torch.Generator().manual_seed(1))


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Spectra (batch, bands, time), and the words in them."""
    x, words = torch.randn(size, BANDS, TIME), torch.randint(WORDS, (size,))
    times = torch.randint(TIME - 8, (size, 1)) + torch.arange(8)
    x[torch.arange(size)[:, None], MELODIES[words], times] += 2.0
    return x, words


class Spotter(nn.Module):
    """Convolution, GRU, word."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(BANDS, 64, 3, padding=1)
        self.gru = nn.GRU(64, 96, 2, batch_first=True)
        self.head = nn.Linear(96, WORDS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the words."""
        y, _ = self.gru(self.conv(x).relu().transpose(1, 2))
        return self.head(y.amax(1))


def train(factor: float = 1, seed: int = 0, steps: int = STEPS) -> tuple[float, nn.Module]:
    """The share of wrong words, and the model."""
    torch.manual_seed(seed)
    model = Spotter()
    method = doping.Method(name="doped_kp", factor=factor) if factor > 1 else doping.Method()
    doping.compress_(model, {"gru": method})
    annealer = doping.Annealer(model, total_steps=steps)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        x, words = batch(32)
        nn.functional.cross_entropy(model(x), words).backward()
        optimizer.step()
        annealer.step()
        optimizer.zero_grad()
    doping.deploy_(model.eval())
    with torch.no_grad():
        x, words = batch(2000)
        return float((model(x).argmax(1) != words).float().mean()), model


if __name__ == "__main__":
    print("dense", train()[0], "ten times smaller", train(10)[0])
