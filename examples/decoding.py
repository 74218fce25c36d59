"""An encoder, an LSTM with a projection, and a decoder, an LSTMCell; both ten times smaller.

Invented data: four numbers come in one by one, and are to be written backwards.
"""

import torch
from torch import nn

import doping

NUMBERS, LENGTH, STEPS = 12, 4, 600


class Reverser(nn.Module):
    """Reads numbers, and writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(NUMBERS + 1, 64)
        self.encoder = nn.LSTM(64, 128, proj_size=64)
        self.cell = nn.LSTMCell(64, 64)
        self.bridge, self.head = nn.Linear(128, 64), nn.Linear(64, NUMBERS)

    def forward(self, numbers: torch.Tensor, told: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (time, batch, numbers); of what ``told`` says it was, or of what it wrote itself."""
        _, (h, c) = self.encoder(self.embedding(numbers))
        state, last, logits = (h[0], self.bridge(c[0])), torch.full_like(numbers[0], NUMBERS), []
        for time in range(LENGTH):
            state = self.cell(self.embedding(last), state)
            logits.append(self.head(state[0]))
            last = logits[-1].argmax(1) if told is None else told[time]
        return torch.stack(logits)


def train(factor: float = 1, seed: int = 0, steps: int = STEPS) -> tuple[float, nn.Module]:
    """The share of wrong numbers, and the model."""
    torch.manual_seed(seed)
    model = Reverser()
    method = doping.Method(name="doped_lmf", factor=factor) if factor > 1 else doping.Method()
    doping.compress_(model, {"encoder": method, "cell": method})
    annealer = doping.Annealer(model, total_steps=steps)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(steps):
        numbers = torch.randint(NUMBERS, (LENGTH, 64))
        nn.functional.cross_entropy(model(numbers, numbers.flip(0)).flatten(0, 1), numbers.flip(0).flatten()).backward()
        optimizer.step()
        annealer.step()
        optimizer.zero_grad()
    doping.deploy_(model.eval())
    with torch.no_grad():
        numbers = torch.randint(NUMBERS, (LENGTH, 2000))
        return float((model(numbers).argmax(2) != numbers.flip(0)).float().mean()), model


if __name__ == "__main__":
    print("dense", train()[0], "ten times smaller", train(10)[0])
