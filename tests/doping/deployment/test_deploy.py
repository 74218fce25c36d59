"""A deployed layer is the compressed one in evaluation, and behaves like the layer of PyTorch that it was."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch_layers.to_deploy import CELLS, LAYERS, METHODS, compressed

import doping
from doping import CompressionError, Method, UnfinishedError


def pair(layer: nn.Module, method: Method = METHODS[4]) -> tuple[nn.Module, nn.Module]:
    """A compressed layer in float64, and the deployed one."""
    original = compressed(layer, method)
    return copy.deepcopy(original).double(), doping.deploy_(original)


def close(ours, theirs) -> None:
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            close(one, other)
    else:
        torch.testing.assert_close(ours.double(), theirs, atol=3e-5, rtol=0)


def states(layer: nn.Module, *shape: int):
    """A state of random numbers for a layer: of S, B and its widths."""
    h = torch.randn(*shape, getattr(layer, "proj_size", 0) or layer.hidden_size)
    is_lstm = isinstance(layer, nn.LSTM | nn.LSTMCell)
    return (h, torch.randn(*shape, layer.hidden_size)) if is_lstm else h


def double(state):
    return tuple(part.double() for part in state) if isinstance(state, tuple) else state.double()


@pytest.fixture(autouse=True)
def without_gradients():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
@pytest.mark.parametrize("layer", ["lstm", "lstm, projected", "gru", "rnn"])
def test_every_method_and_layer_computes_what_it_did(layer, method):
    reference, deployed = pair(LAYERS[layer](), method)
    x = torch.randn(7, 3, 24)
    close(deployed(x), reference(x.double()))


def test_blocks_of_gates():
    reference, deployed = pair(LAYERS["lstm"](), Method(name="doped_kp", factor=4, pattern="gates"))
    x = torch.randn(7, 3, 24)
    close(deployed(x), reference(x.double()))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
def test_a_linear_layer_of_every_method(method):
    reference, deployed = pair(nn.Linear(24, 64), method)
    for shape in ((24,), (5, 24), (2, 3, 24), (0, 24)):
        x = torch.randn(*shape)
        close(deployed(x), reference(x.double()))


@pytest.mark.parametrize("layer", LAYERS)
def test_states_go_in_and_out(layer):
    reference, deployed = pair(LAYERS[layer]())
    x = torch.randn(5, 2, 24)
    count = reference.num_layers * (2 if reference.bidirectional else 1)
    hx = states(reference, count, 2)
    kept = copy.deepcopy(hx)
    close(deployed(x, hx), reference(x.double(), double(hx)))
    close(deployed(input=x, hx=hx), reference(x.double(), double(hx)))
    close(double(hx), double(kept))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("lengths", [[6, 4, 4, 1], [1, 6, 2, 5]])
def test_packed_sequences_are_read_each_to_its_own_end(layer, lengths):
    reference, deployed = pair(LAYERS[layer]())
    x = torch.randn(6, 4, 24)
    count = reference.num_layers * (2 if reference.bidirectional else 1)
    ordered = lengths == sorted(lengths, reverse=True)
    for hx in (None, states(reference, count, 4)):
        y, last = deployed(pack_padded_sequence(x, lengths, enforce_sorted=ordered), hx)
        wide = None if hx is None else double(hx)
        y_there, last_there = reference(pack_padded_sequence(x.double(), lengths, enforce_sorted=ordered), wide)
        close(pad_packed_sequence(y), (pad_packed_sequence(y_there)[0], pad_packed_sequence(y_there)[1].double()))
        close(last, last_there)


def test_batch_first_and_without_a_batch():
    reference, deployed = pair(nn.GRU(24, 32, batch_first=True))
    for shape in ((3, 5, 24), (5, 24)):
        x = torch.randn(*shape)
        close(deployed(x), reference(x.double()))


@pytest.mark.parametrize("cell", CELLS)
def test_cells(cell):
    reference, deployed = pair(CELLS[cell]())
    for shape in ((4,), ()):
        x, hx = torch.randn(*shape, 24), states(reference, *shape)
        close(deployed(x), reference(x.double()))
        close(deployed(x, hx), reference(x.double(), double(hx)))


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("layer", ["lstm", "gru", "lstm, projected", "rnn"])
@pytest.mark.parametrize("batch", [1, 2, 3, 8, 11])
def test_any_batch_and_number_of_steps(layer, batch):
    reference, deployed = pair(LAYERS[layer]())
    for steps in (1, 9):
        x = torch.randn(steps, batch, 24)
        close(deployed(x), reference(x.double()))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(24, 32, batch_first=True, bidirectional=True)
        self.again = self.rnn
        self.head = nn.Linear(64, 32)

    def forward(self, x):
        return self.head(self.again(x)[0].mean(1))


def net() -> Net:
    model = Net()
    doping.compress_(model, {"rnn": Method(name="doped_kp", factor=4), "head": Method(name="lmf", factor=4)})
    doping.Annealer(model, total_steps=10).finish_(at_once=True)
    return model.eval()


def apply(model, x):
    with torch.no_grad():
        return model(x)


@pytest.mark.parametrize("layer", ["lstm, projected", "gru"])
def test_a_batch_of_no_sequences(layer):
    original, deployed = pair(LAYERS[layer]())
    y, last = deployed(torch.randn(5, 0, 24))
    expected_y, expected_last = original(torch.randn(5, 0, 24, dtype=torch.float64))
    close(y, expected_y)
    close(last, expected_last)


def test_a_model_is_deployed_in_place_wherever_it_holds_a_layer():
    model = net()
    x = torch.randn(2, 5, 24)
    before = model(x)
    seen = []
    model.rnn.register_forward_hook(lambda *_: seen.append(1))
    assert doping.deploy_(model) is model
    torch.testing.assert_close(model(x), before, atol=1e-5, rtol=0)
    assert model.again is model.rnn
    assert seen == [1], "hooks stay"
    assert not list(model.parameters())


def test_it_is_copied_pickled_and_saved():
    model, x = doping.deploy_(net()), torch.randn(2, 5, 24)
    expected = model(x)
    torch.testing.assert_close(copy.deepcopy(model)(x), expected)
    torch.testing.assert_close(pickle.loads(pickle.dumps(model))(x), expected)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    other = doping.deploy_(net())
    assert not torch.allclose(other(x), expected)
    file.seek(0)
    other.load_state_dict(torch.load(file))
    torch.testing.assert_close(other(x), expected)


@pytest.mark.exhaustive
def test_it_is_sent_to_another_process():
    model, x = doping.deploy_(net()), torch.randn(2, 5, 24)
    expected = model(x)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        torch.testing.assert_close(pool.submit(apply, model, x).result(timeout=300), expected)


def test_export_and_compile_see_operators():
    model, x = doping.deploy_(net()), torch.randn(2, 5, 24)
    exported = torch.export.export(
        model, (x,), dynamic_shapes={"x": {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}}
    )
    assert {"doping.linear.default", "doping.recurrent.default"} <= {str(node.target) for node in exported.graph.nodes}
    for shape in ((2, 5, 24), (3, 9, 24)):
        x = torch.randn(*shape)
        torch.testing.assert_close(exported.module()(x), model(x))
        torch.testing.assert_close(torch.compile(model, backend="aot_eager", fullgraph=True)(x), model(x))


def test_the_operators_are_what_they_are_declared_to_be():
    model = doping.deploy_(net())
    torch.library.opcheck(torch.ops.doping.linear.default, (torch.randn(3, 64), model.head.packed, 32))
    arguments = (torch.randn(5, 2, 24), model.rnn.packed_l0, None, None, None, 32, 32)
    torch.library.opcheck(torch.ops.doping.recurrent.default, arguments)


@pytest.mark.parametrize("pattern", ["tiles", "n_of_16", "n_of_32"])
def test_every_pattern_of_an_lstm_is_deployed(pattern):
    torch.manual_seed(0)
    model = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(40, 40)})
    doping.compress_(model, {"rnn": Method(name="pruned", factor=4, pattern=pattern)})
    doping.Annealer(model, total_steps=1).finish_(at_once=True)
    x = torch.randn(5, 2, 40)
    before = model.eval()["rnn"](x)[0].detach()
    torch.testing.assert_close(doping.deploy_(model)["rnn"](x)[0], before, atol=1e-5, rtol=0)


@pytest.mark.parametrize("arithmetic", ["float32", "int8"])
@pytest.mark.parametrize(("values", "share", "off"), [("int8", 0.31, 0.02), ("int4", 0.21, 0.2)])
def test_narrow_values_take_fewer_bytes_and_are_close(values, share, off, arithmetic):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(128, 256), nn.Linear(256, 128)).eval()
    doping.compress_(model, {"*": Method(name="lmf", factor=4)})
    x = torch.randn(20, 128)
    before = model(x)
    wide, narrow = doping.deploy_(copy.deepcopy(model)), doping.deploy_(model, values=values, arithmetic=arithmetic)
    assert (narrow(x) - before).norm() < off * before.norm()
    sizes = [sum(buffer.numel() for buffer in one.buffers()) for one in (wide, narrow)]
    assert sizes[1] < share * sizes[0]
    assert torch.equal(pickle.loads(pickle.dumps(narrow))(x), narrow(x))


def test_values_are_those_of_the_method_unless_others_are_asked_for():
    model = nn.ModuleDict({"rnn": nn.GRU(32, 32), "head": nn.Linear(32, 32)}).eval()
    methods = {"rnn": Method(name="lmf", factor=2, values="int4"), "head": Method(name="lmf", factor=2)}
    doping.compress_(model, methods)
    by_method = doping.deploy_(copy.deepcopy(model))
    for layer, values in (("rnn", "int4"), ("head", "float32")):
        (stored,) = doping.deploy_(copy.deepcopy(model), values=values)[layer].buffers()
        assert torch.equal(next(by_method[layer].buffers()), stored)
    assert next(by_method["rnn"].buffers()).numel() < next(doping.deploy_(model, values="int8")["rnn"].buffers()).numel()


def test_half_precision_comes_back_as_it_came():
    model = doping.deploy_(net())
    x = torch.randn(2, 5, 24)
    found = model(x.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), model(x), atol=0.05, rtol=0.05)


def test_mistakes_say_what_to_do():
    with pytest.raises(CompressionError, match=r"no layer of the Linear is compressed; call doping\.compress_ first"):
        doping.deploy_(nn.Linear(4, 4))
    with pytest.raises(CompressionError, match=r"the model is a str; expected a torch\.nn\.Module"):
        doping.deploy_("model")  # type: ignore[type-var]
    with pytest.raises(CompressionError, match="arithmetic is None; expected 'float32' or 'int8'"):
        doping.deploy_(net(), arithmetic=None)  # type: ignore[arg-type]
    for too_late in (doping.deploy_, doping.report, doping.merge_):
        with pytest.raises(CompressionError, match="are deployed, and compressed no more; take a copy from before deploy_"):
            too_late(doping.deploy_(net()))
    with pytest.raises(CompressionError, match="values='int8' comes too late: the layers are deployed"):
        doping.to_onnx(doping.deploy_(net()), torch.randn(2, 5, 24), "model.onnx", values="int8")
    with pytest.raises(CompressionError, match="values='int8' comes too late: the layers are deployed"):
        doping.to_c(doping.deploy_(net()).rnn, "c", values="int8")
    unfinished = nn.ModuleDict({"rnn": nn.GRU(24, 32)})
    doping.compress_(unfinished, {"rnn": Method(name="pruned", factor=4)})
    with pytest.raises(UnfinishedError, match=r"rnn has 5,376 values, and 1,3\d\d are planned: its pruning is not over"):
        doping.deploy_(unfinished)
    with pytest.raises(CompressionError, match="values is 'int2'; expected 'float32', 'int8' or 'int4'"):
        doping.deploy_(net(), values="int2")  # type: ignore[arg-type]
    model = doping.deploy_(net())
    for wrong, said in (
        (lambda: model.rnn(torch.randn(2, 5, 23)), "the input has 23 features; expected input_size=24"),
        (
            lambda: model.rnn(torch.randn(2, 5, 24), (torch.randn(2, 3, 32),) * 2),
            r"state has shape \(2, 3, 32\); expected \(2, 2, 32\)",
        ),
        (lambda: model.head(torch.randn(2, 63)), "the input has 63 features; expected in_features=64"),
    ):
        with pytest.raises(RuntimeError, match=said):
            wrong()
    with torch.enable_grad(), pytest.raises(RuntimeError, match="a deployed layer has no gradient"):
        model(torch.randn(2, 5, 24, requires_grad=True)).sum().backward()
