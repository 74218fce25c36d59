"""A deep LSTM between large Linear layers, trained under bfloat16 autocast; all of them ten times smaller.

Invented data: features of a process with a hidden state that the model has to follow.
"""

import torch
from torch import nn

import doping

BFLOAT16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # PyTorch's LSTM has none on CPUs without AVX-512
FEATURES, TIME, STEPS = 40, 20, 300
MIXING = torch.randn(3, FEATURES, generator=torch.Generator().manual_seed(1))


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (batch, time, features), and the slow state behind them, (batch, time, 3)."""
    state = torch.randn(size, TIME, 3).cumsum(1) / 3
    return (state @ MIXING).tanh() + 0.3 * torch.randn(size, TIME, FEATURES), state


class Follower(nn.Module):
    """Linear, three LSTM layers, Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Sequential(nn.Linear(FEATURES, 256), nn.ReLU(), nn.Linear(256, 96))
        self.lstm = nn.LSTM(96, 96, 3, batch_first=True)
        self.out = nn.Sequential(nn.Linear(96, 256), nn.ReLU(), nn.Linear(256, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The state at each step."""
        return self.out(self.lstm(self.wide(x))[0])


def train(factor: float = 1, seed: int = 0, steps: int = STEPS) -> tuple[float, nn.Module]:
    """Squared error, and the model."""
    torch.manual_seed(seed)
    model = Follower()
    method = doping.Method(name="doped_lmf", factor=factor) if factor > 1 else doping.Method()
    doping.compress_(model, {"lstm": method, "wide.*": method, "out.0": method})
    annealer = doping.Annealer(model, total_steps=steps)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(steps):
        x, state = batch(32)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=BFLOAT16):
            loss = nn.functional.mse_loss(model(x).float(), state)
        loss.backward()
        optimizer.step()
        annealer.step()
        optimizer.zero_grad()
    doping.deploy_(model.eval())
    with torch.no_grad():
        x, state = batch(1000)
        return float(nn.functional.mse_loss(model(x), state)), model


if __name__ == "__main__":
    print("dense", train()[0], "ten times smaller", train(10)[0])
