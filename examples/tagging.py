"""A tagger of packed sequences, bidirectional; its LSTM ten times smaller.

Invented data: words that open, close, or neither; the tag of a word says which there were more of.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import doping

WORDS, TAGS, STEPS = 30, 3, 400


def batch(size: int) -> tuple[PackedSequence, torch.Tensor]:
    """Packed words, and the tag of each."""
    sentences = [torch.randint(WORDS, (length,)) for length in torch.randint(5, 25, (size,)).tolist()]
    steps = [(words < 6).int() - ((words >= 6) & (words < 12)).int() for words in sentences]
    tags = [step.cumsum(0).clamp(-1, 1) + 1 for step in steps]
    return pack_sequence(sentences, enforce_sorted=False), pack_sequence(tags, enforce_sorted=False).data


class Tagger(nn.Module):
    """Embedding, LSTM in both directions, tags."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 64)
        self.lstm = nn.LSTM(64, 96, bidirectional=True)
        self.head = nn.Linear(192, TAGS)

    def forward(self, words: PackedSequence) -> torch.Tensor:
        """Logits of the tags of all words."""
        y, _ = self.lstm(words._replace(data=self.embedding(words.data)))
        return self.head(y.data)


def train(factor: float = 1, seed: int = 0, steps: int = STEPS) -> tuple[float, nn.Module]:
    """The share of wrong tags, and the model."""
    torch.manual_seed(seed)
    model = Tagger()
    method = doping.Method(name="doped_kp", factor=factor) if factor > 1 else doping.Method()
    doping.compress_(model, {"lstm": method})
    annealer = doping.Annealer(model, total_steps=steps // 2)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(steps):
        words, tags = batch(32)
        (nn.functional.cross_entropy(model(words), tags) / 2).backward()
        if step % 2:  # gradients of two batches
            optimizer.step()
            annealer.step()
            optimizer.zero_grad()
    doping.deploy_(model.eval())
    with torch.no_grad():
        words, tags = batch(500)
        return float((model(words).argmax(1) != tags).float().mean()), model


if __name__ == "__main__":
    print("dense", train()[0], "ten times smaller", train(10)[0])
