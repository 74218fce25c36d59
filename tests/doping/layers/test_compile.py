"""Compressed layers in compiled, exported and traced models: as plain ones, and compiled once for all p of row dropout."""

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

import doping
from doping import Method

pytestmark = pytest.mark.filterwarnings("ignore")
METHOD = Method(name="doped_kp", factor=3, cmr={"probability": 0.4})
LAYERS = {
    "Linear": (lambda: nn.Linear(40, 80), (3, 40)),
    "GRUCell": (lambda: nn.GRUCell(40, 40), (3, 40)),
    "LSTM": (lambda: nn.LSTM(40, 40), (5, 3, 40)),
    "GRU": (lambda: nn.GRU(40, 40, bidirectional=True), (5, 3, 40)),
}
every_layer = pytest.mark.parametrize("kind", LAYERS)


class Net(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        y = self.layer(torch.relu(x))
        return torch.relu(y[0] if isinstance(y, tuple) else y)


def compressed(kind):
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    return doping.compress_(Net(make()), {"layer": METHOD}), torch.randn(shape)


@pytest.mark.exhaustive(keep=["LSTM"])
@every_layer
def test_training_is_compiled_once_while_row_dropout_anneals(kind):
    torch._dynamo.reset()
    counters.clear()
    net, x = compressed(kind)
    fast = torch.compile(net, backend="aot_eager")
    annealer, optimizer = doping.Annealer(net, total_steps=20), torch.optim.Adam(net.parameters())
    graphs = []
    for _ in range(20):
        fast(x).square().sum().backward()
        assert all(p.grad is not None for p in net.parameters())
        optimizer.step()
        annealer.step()
        optimizer.zero_grad()
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[-1]
    annealer.finish_()
    net.eval()
    torch.testing.assert_close(fast(x), net(x))
    with torch.no_grad():
        torch.testing.assert_close(fast(x), net(x))


@pytest.mark.exhaustive
def test_row_dropout_in_compiled_code_drops_whole_rows_and_keeps_the_mean():
    torch._dynamo.reset()
    net, _ = compressed("Linear")
    with torch.no_grad():
        net.layer.matrices["weight"].structured.b.zero_()
        net.layer.bias.zero_()
    dense = net.layer.weight.detach()
    fast = torch.compile(net.layer, backend="aot_eager")
    drawn = torch.stack([fast(torch.eye(40)).mT.detach() for _ in range(200)])
    ratio = drawn / dense
    kept = ratio[:, :, 0] > 0.5
    torch.testing.assert_close(ratio, (kept / 0.6)[..., None].expand_as(ratio), atol=1e-3, rtol=1e-3)
    assert float(kept.float().mean()) == pytest.approx(0.6, abs=0.02)


@pytest.mark.exhaustive(keep_every=3)
@every_layer
@pytest.mark.parametrize("how", ["export", "trace"])
def test_a_model_in_evaluation_is_exported_and_traced(kind, how):
    net, x = compressed(kind)
    net.eval()
    other = torch.export.export(net, (x,)).module() if how == "export" else torch.jit.trace(net, (x,))
    torch.testing.assert_close(other(2 * x), net(2 * x))
