"""``compress_`` on a model: patterns on names, mistakes, checkpoints, and the report."""

import pytest
import torch
from torch import nn
from torch_layers.to_compress import finished, made

import doping
from doping import CompressionError, Method, UnfinishedError
from doping.layers.compressed import CompressedLayer
from doping.matrices import Doped

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 40)
        self.encoder = nn.ModuleDict({"rnn": nn.LSTM(40, 40), "norm": nn.LayerNorm(40)})
        self.encoder_of_more = nn.GRU(40, 40)
        self.conv = nn.Conv1d(40, 40, 3)
        self.head = nn.Sequential(nn.Linear(40, 80), nn.ReLU(), nn.Linear(80, 40))


def compressed_in(net):
    return [name for name, module in net.named_modules() if isinstance(module, CompressedLayer)]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("encoder.rnn", ["encoder.rnn"]),
        ("encoder.*", ["encoder.rnn"]),
        (r"encoder\..*", ["encoder.rnn"]),
        (r".*rnn", ["encoder.rnn"]),
        ("encoder*", ["encoder.rnn", "encoder_of_more"]),
        ("head.[02]", ["head.0", "head.2"]),
        ("encoder.rnn.weight_hh_l0", ["encoder.rnn"]),
        ("*", ["encoder.rnn", "encoder_of_more", "head.0", "head.2"]),
    ],
)
def test_patterns(pattern, found):
    net = doping.compress_(Net(), {pattern: Method(name="kp", factor=4)})
    assert compressed_in(net) == found
    if pattern.endswith("weight_hh_l0"):
        assert list(net.encoder["rnn"].matrices) == ["weight_hh_l0"]


def test_what_is_excluded_stays_as_it_is():
    net = doping.compress_(Net(), {"*": Method(name="kp", factor=4)}, exclude=["head.*", "encoder.rnn.weight_ih_l0"])
    assert compressed_in(net) == ["encoder.rnn", "encoder_of_more"]
    assert list(net.encoder["rnn"].matrices) == ["weight_hh_l0"]


def tied():
    net = Net()
    net.head[2].weight = nn.Parameter(torch.randn(40, 80))
    net.other = nn.Linear(80, 40)
    net.other.weight = net.head[2].weight
    return net


def broken():
    net = Net()
    with torch.no_grad():
        net.head[0].weight[0, 0] = torch.nan
    return net


KP = Method(name="kp", factor=4)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (Net, {"encoder.rmn": KP}, r"pattern 'encoder.rmn' matches no layer; did you mean .*'encoder.rnn'"),
        (Net, {"conv": KP}, "'conv', a Conv1d; supported are LSTM, GRU, RNN, LSTMCell, GRUCell, RNNCell, Linear"),
        (Net, {"encoder": KP}, r"'encoder', a ModuleDict, and no layer; name a layer in it, such as 'encoder.rnn'"),
        (Net, {"head.(": KP}, r"pattern 'head\.\(' is no regular expression"),
        (Net, {3: KP}, "a pattern is 3; expected a text"),
        (Net, {"head.0": "kp"}, "the method of pattern 'head.0' is 'kp'; expected a Method"),
        (Net, {}, "methods is empty"),
        (Net, ["head.0"], "methods is a list; expected a dict"),
        (lambda: 3, {"head.0": KP}, "the model is a int; expected a torch.nn.Module"),
        (lambda: nn.Sequential(nn.ReLU()), {"*": KP}, "matches '', a Sequential; supported are"),
        (Net, {"head.0": KP, "head.*": KP}, r"head.0.weight is matched by the patterns 'head.0' and 'head.\*'"),
        (lambda: doping.compress_(Net(), {"head.0": KP}), {"head.0": KP}, "head.0 is compressed already, as kp at 4x"),
        (tied, {"head.2": KP}, "head.2.weight and other.weight are one parameter"),
        (broken, {"head.0": KP}, "head.0.weight has values that are not finite"),
        (lambda: nn.Linear(40, 40, device="meta"), {"*": KP}, "weight is on the device meta"),
        (lambda: nn.LazyLinear(40), {"*": KP}, "weight has no shape yet"),
        (lambda: nn.GRU(40, 40), {"*": Method(name="pruned", factor=4, pattern="gates")}, "pattern gates needs the rows of"),
        (
            lambda: nn.Linear(40, 40),
            {"*": Method(name="kp", factor=4, left_shape=(7, 7))},
            "left_shape 7 x 7 does not divide",
        ),
    ],
)
def test_mistakes_are_said_in_one_line_and_leave_the_model_as_it_was(make, arguments, message):
    model = make()
    before = list(model.state_dict()) if isinstance(model, nn.Module) else None
    with pytest.raises(CompressionError, match=message) as error:
        doping.compress_(model, arguments)
    assert "\n" not in str(error.value)
    assert before is None or list(model.state_dict()) == before


def test_excluding_everything_and_an_unknown_word_for_small_are_mistakes():
    with pytest.raises(CompressionError, match="exclude leaves no layer"):
        doping.compress_(Net(), {"head.0": KP}, exclude="head.*")
    with pytest.raises(CompressionError, match="small is 'drop'"):
        doping.compress_(Net(), {"head.0": KP}, small="drop")


def test_a_weight_cannot_be_set_and_the_message_says_what_to_do():
    _, layer = made("LSTM")
    for value in (torch.zeros(160, 40), nn.Parameter(torch.zeros(160, 40))):
        with pytest.raises(CompressionError, match=r"weight_hh_l0 of this LSTM is composed of .* doping.merge_"):
            layer.weight_hh_l0 = value


def test_a_checkpoint_knows_its_plan():
    four, eight = (doping.compress_(Net(), {"encoder.rnn": Method(name="doped_kp", factor=factor)}) for factor in (4, 8))
    with pytest.raises(
        RuntimeError, match=r"encoder.rnn.weight_ih_l0 as doped_kp at 8x: .*; this model has it as doped_kp at 4x"
    ):
        four.load_state_dict(eight.state_dict())
    with pytest.raises(
        RuntimeError, match="as a dense weight, and this model has it compressed: load a dense checkpoint before"
    ):
        four.load_state_dict(Net().state_dict(), strict=False)


def test_a_checkpoint_of_the_first_versions_is_loaded():
    """They had a mask of what is left, and did not say what they are of."""
    _, layer = made("LSTM")
    finished(layer)
    old = {name: value for name, value in layer.state_dict().items() if not name.endswith("_extra_state")}
    old = {name.replace(".pruned", ".mask"): value == 0 if name.endswith("pruned") else value for name, value in old.items()}
    _, other = made("LSTM", seed=4)
    other.load_state_dict(old)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in layer.state_dict().items())


def test_merging_an_unfinished_model_warns():
    _, layer = made("LSTM")
    with pytest.warns(UserWarning, match="merged before the pruning is over"):
        doping.merge_(layer)
    with pytest.raises(CompressionError, match="no layer of the LSTM is compressed"):
        doping.merge_(layer)


def test_a_report_counts_what_the_layers_hold():
    net = doping.compress_(Net(), {"encoder.rnn": Method(name="doped_kp", factor=8), "head.0": Method(name="lmf", factor=4)})
    report = doping.report(net)
    rnn, head = report.rows
    assert rnn.planned.values == pytest.approx(2 * 160 * 40 / 8, rel=0.01)
    assert rnn.size.values == sum(p.numel() for p in net.encoder["rnn"].matrices.parameters())
    assert head.size.values == head.planned.values == sum(p.numel() for p in net.head[0].matrices.parameters())
    assert not report.finished
    assert "encoder.rnn  LSTM    doped_kp" in str(report)
    assert report.other_parameters == sum(p.numel() for p in net.parameters()) - rnn.size.values - head.size.values
    annealer = doping.Annealer(net, total_steps=10)
    with pytest.raises(
        UnfinishedError, match=r"0 of 10 steps are done, and it ends with step 8; encoder.rnn has .* are planned"
    ):
        annealer.finish_()
    annealer.finish_(at_once=True)
    assert doping.report(net).finished
    assert all(isinstance(matrix, Doped) for matrix in net.encoder["rnn"].matrices.values())
