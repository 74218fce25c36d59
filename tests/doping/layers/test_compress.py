"""``compress_`` on every layer type: the layer stays what it was, with composed weights; checked against float64 loops."""

import copy
import pickle
import warnings

import pytest
import torch
from references.matrices import method_of, reference
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

import doping
from doping import BudgetError, CompressionError, Method, UnfinishedError
from doping.layers.compressed import CompressedLayer
from doping.layers.kinds import weight_names
from doping.matrices import Doped, Sparse

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")

LAYERS = {
    "LSTM": lambda: nn.LSTM(40, 40, 2, dropout=0.0),
    "LSTM, bidirectional": lambda: nn.LSTM(40, 40, 2, bidirectional=True, batch_first=True),
    "LSTM, projection": lambda: nn.LSTM(40, 80, proj_size=40),
    "LSTM, no bias": lambda: nn.LSTM(40, 40, bias=False),
    "GRU": lambda: nn.GRU(40, 40, 2, bidirectional=True),
    "RNN": lambda: nn.RNN(40, 40, nonlinearity="relu"),
    "LSTMCell": lambda: nn.LSTMCell(40, 40),
    "GRUCell": lambda: nn.GRUCell(40, 40),
    "RNNCell": lambda: nn.RNNCell(40, 40),
    "Linear": lambda: nn.Linear(40, 80),
}
METHODS = ["dense", "pruned", "lmf", "hmd", "kp", "doped_kp", "doped_lmf", "doped_hmd", "pruned, rows", "doped_kp, rows"]
every_layer = pytest.mark.parametrize("kind", LAYERS)
every_method = pytest.mark.parametrize("label", METHODS)


def made(kind, label="doped_kp", seed=0, **options):
    """A layer and its compressed copy."""
    torch.manual_seed(seed)
    plain = LAYERS[kind]()
    layer = copy.deepcopy(plain)
    doping.compress_(layer, {"*": method_of(label, 3, **options.pop("settings", {}))}, **options)
    return plain, layer


def inputs(layer, seed=1):
    torch.manual_seed(seed)
    return torch.randn(*((3, 5, 40) if isinstance(layer, nn.RNNBase) else (3, 40)))


def flat(outputs):
    """All tensors of what a layer returns."""
    return [outputs] if isinstance(outputs, torch.Tensor) else [t for part in outputs for t in flat(part)]


def assert_same(ours, theirs, atol=1e-5):
    for mine, its in zip(flat(ours), flat(theirs), strict=True):
        torch.testing.assert_close(mine, its.to(mine.dtype), atol=atol, rtol=0)


def finished(layer):
    doping.Annealer(layer, total_steps=1).finish_(at_once=True)
    return layer


@every_layer
@every_method
def test_a_layer_computes_what_the_plain_one_computes_with_the_written_out_weights_in_float64(kind, label):
    plain, layer = made(kind, label)
    x, exact = inputs(layer), plain.double()
    for state in ("warm", "finished"):
        if state == "finished":
            finished(layer)
        with torch.no_grad():
            for name, matrix in layer.named_matrices():
                getattr(exact, name).copy_(torch.from_numpy(reference(matrix)))
        for mode in (True, False):
            assert_same(layer.train(mode)(x), exact(x.double()))
            with torch.no_grad():
                assert_same(layer(x), exact(x.double()))
                assert_same(layer(x), layer(x), atol=0)


@every_layer
@every_method
def test_gradients_are_those_of_the_composed_weights(kind, label):
    plain, layer = made(kind, label)
    x = inputs(layer)
    with torch.no_grad():
        for name, matrix in layer.named_matrices():
            getattr(plain, name).copy_(matrix.dense())
    for one in (layer, plain):
        sum(output.square().sum() for output in flat(one(x))).backward()
    for name, matrix in layer.named_matrices():
        parameters = list(matrix.parameters())
        expected = torch.autograd.grad(matrix.dense(), parameters, getattr(plain, name).grad)
        for parameter, gradient in zip(parameters, expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, atol=1e-3, rtol=1e-3)


@every_layer
def test_the_layer_stays_what_it_was(kind):
    plain, layer = made(kind)
    assert isinstance(layer, type(plain))
    assert [getattr(layer, name).shape for name in weight_names(plain)] == [
        getattr(plain, name).shape for name in weight_names(plain)
    ]
    x = inputs(layer)
    assert_same(layer(input=x), layer(x), atol=0)
    if isinstance(layer, nn.RNNBase):
        layer.flatten_parameters()
        assert [len(group) for group in layer.all_weights] == [len(group) for group in plain.all_weights]


@every_layer
def test_a_warm_start_of_a_doped_or_pruned_layer_computes_what_the_dense_one_did(kind):
    for label in ("pruned", "doped_kp"):
        plain, layer = made(kind, label)
        x = inputs(layer)
        assert_same(layer(x), plain(x), atol=1e-4)
        assert not any(module.pruned.any() for module in layer.modules() if isinstance(module, Sparse))


@every_layer
def test_copies_pickles_checkpoints_and_merged_layers_compute_the_same(kind, tmp_path):
    plain, layer = made(kind)
    x = inputs(layer)
    layer(x)  # leaves a graph, which must not be copied
    finished(layer).eval()
    with torch.no_grad():
        expected = layer(x)
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert_same(other(x), expected, atol=0)
            assert type(other) is type(layer)
        torch.save(layer.state_dict(), tmp_path / "layer.pt")
        fresh = made(kind, seed=5)[1].eval()
        fresh(x)
        fresh.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
        assert_same(fresh(x), expected, atol=0)
        merged = doping.merge_(layer)
        assert type(merged) is type(plain)
        assert list(merged.state_dict()) == list(plain.state_dict())
        assert_same(merged(x), expected, atol=0)
    plain.load_state_dict(merged.state_dict())


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_packed_sequences_and_states(kind):
    plain, layer = made(kind)
    packed = pack_sequence([torch.randn(length, 40) for length in (2, 5, 1)], enforce_sorted=False)
    with torch.no_grad():
        for name, matrix in layer.named_matrices():
            getattr(plain, name).copy_(matrix.dense())
    h = torch.randn(2 if kind == "LSTM" else 4, 3, 40)
    state = (h, torch.randn_like(h)) if kind == "LSTM" else h
    for hx in (None, state):
        (ours, ours_state), (theirs, theirs_state) = layer(packed, hx=hx), plain(packed, hx=hx)
        assert_same(pad_packed_sequence(ours)[0], pad_packed_sequence(theirs)[0])
        assert_same(ours_state, theirs_state)


def counted(layer, monkeypatch):
    """Counts how often a matrix of the layer is composed."""
    calls = []
    for matrix in layer.matrices.values():
        original = matrix.dense
        monkeypatch.setattr(matrix, "dense", lambda original=original: calls.append(1) or original())
    return calls


@every_layer
def test_weights_are_composed_once_a_pass_in_training_and_once_at_all_in_evaluation(kind, monkeypatch):
    _, layer = made(kind, "pruned")
    x, calls = inputs(layer), counted(layer, monkeypatch)
    count = len(layer.matrices)
    layer(x)
    assert len(calls) == count
    layer.eval()
    calls.clear()
    with torch.no_grad():
        for _ in range(3):
            layer(x)
    assert len(calls) == count


@every_layer
@pytest.mark.parametrize("optimizer", ["sgd", "adam, fused", "adam, foreach"])
def test_evaluation_sees_every_change_of_the_parameters(kind, optimizer):
    _, layer = made(kind)
    layer.eval()
    x = inputs(layer)
    name, _, how = optimizer.partition(", ")
    step = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[name](layer.parameters(), 0.1, **({how: True} if how else {}))

    def check():
        with torch.no_grad():
            assert_same(layer(x), copy.deepcopy(layer)(x), atol=0)

    check()
    sum(output.square().sum() for output in flat(layer(x))).backward()
    step.step()
    check()
    next(module for module in layer.modules() if isinstance(module, Sparse)).prune(10)
    check()
    layer.load_state_dict(made(kind, seed=3)[1].state_dict())
    check()
    layer.double().float()
    check()
    with torch.inference_mode():
        layer(x)
    check()


def test_noise_of_row_dropout_is_drawn_once_a_pass_and_for_a_cell_once_until_the_backward_pass():
    settings = {"cmr": {"probability": 0.5}}
    x = torch.randn(3, 40)
    _, linear = made("Linear", settings=settings)
    assert not torch.equal(linear(x), linear(x))
    _, cell = made("GRUCell", settings=settings)
    first = cell(x)
    assert torch.equal(cell(x), first)
    (first.sum() + cell(x).sum()).backward()
    assert not torch.equal(cell(x), first)
    cell(x).sum().backward()  # a second graph, not the one that is gone
    cell.eval()
    assert torch.equal(cell(x), cell(x))


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_a_cell_in_checkpoints_of_activations(use_reentrant):
    _, cell = made("GRUCell")
    x = torch.randn(3, 40, requires_grad=True)

    def steps(x):
        return cell(cell(x))

    torch.utils.checkpoint.checkpoint(steps, x, use_reentrant=use_reentrant).sum().backward()
    ours = cell.matrices["weight_ih"].sparse.weight.grad.clone()
    cell.zero_grad()
    steps(x).sum().backward()
    torch.testing.assert_close(cell.matrices["weight_ih"].sparse.weight.grad, ours)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("label", ["pruned", "lmf", "hmd", "kp", "doped_kp"])
def test_other_types_of_numbers_are_fitted_in_float32_and_cast_back(dtype, label):
    """Case 11."""
    torch.manual_seed(0)
    weight = nn.Linear(40, 80).to(dtype)
    exact = doping.compress_(copy.deepcopy(weight).float(), {"*": method_of(label, 3)})
    layer = doping.compress_(weight, {"*": method_of(label, 3)})
    assert {parameter.dtype for parameter in layer.parameters()} == {dtype}
    assert layer(torch.randn(2, 40, dtype=dtype)).dtype == dtype
    torch.testing.assert_close(layer.weight.float(), exact.weight, atol=0.01, rtol=0.02)


class WeightDrop(nn.LSTM):
    """As AWD-LSTM does it: the weight is a plain tensor, made from a raw parameter."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        for name in ("weight_ih_l0", "weight_hh_l0"):
            raw = getattr(self, name)
            del self._parameters[name]
            self.register_parameter(f"{name}_raw", raw)
            setattr(self, name, raw.data.clone())


def pruned_by_torch():
    lstm = nn.LSTM(40, 40)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        prune.l1_unstructured(lstm, name, 0.5)
    return lstm


def normed():
    lstm = nn.LSTM(40, 40)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        lstm = parametrizations.weight_norm(lstm, name)
    return lstm


def normed_by_hooks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(nn.utils.weight_norm(nn.LSTM(40, 40), "weight_ih_l0"), "weight_hh_l0")


@pytest.mark.parametrize("make", [pruned_by_torch, normed, normed_by_hooks, lambda: WeightDrop(40, 40)])
def test_weights_that_other_tools_make_are_taken_as_tensors(make):
    """Case 12."""
    torch.manual_seed(0)
    lstm = make()
    x = torch.randn(5, 2, 40)
    expected = lstm(x)[0].detach()
    doping.compress_(lstm, {"*": Method(name="doped_kp", factor=4)})
    assert_same(lstm(x)[0], expected)
    assert {name.split(".")[0] for name, _ in lstm.named_parameters()} == {"bias_ih_l0", "bias_hh_l0", "matrices"}
    assert_same(finished(copy.deepcopy(lstm))(x)[0], lstm(x)[0], atol=1)
    assert not lstm._forward_pre_hooks


def test_few_inputs_stay_dense_and_are_warned_of_and_reported():
    """Case 13."""
    lstm = nn.LSTM(1, 64)
    with pytest.warns(UserWarning, match=r"weight_ih_l0: 256 x 1 cannot be compressed 10x as doped_kp"):
        doping.compress_(lstm, {"*": Method(name="doped_kp", factor=10)})
    assert isinstance(lstm._parameters["weight_ih_l0"], nn.Parameter)
    assert list(lstm.matrices) == ["weight_hh_l0"]
    table = str(doping.report(lstm))
    assert "left dense in the model: weight_ih_l0" in table
    with pytest.raises(BudgetError, match=r"weight_ih_l0: .*small='keep' leaves such matrices dense"):
        doping.compress_(nn.LSTM(1, 64), {"*": Method(name="doped_kp", factor=10)}, small="raise")


def test_a_matrix_that_is_not_small_is_never_left_dense():
    with pytest.raises(
        BudgetError, match=r"weight: factor 100 in values is impossible for a 128 x 128 matrix.*or exclude it"
    ):
        doping.compress_(nn.Linear(128, 128), {"*": Method(name="lmf", factor=100)})


def test_the_nearest_smaller_plan_is_taken_where_a_family_has_none_of_the_factor():
    layer = doping.compress_(nn.Linear(96, 256), {"*": Method(name="lmf", factor=4)})
    row = doping.report(layer).rows[0]
    assert row.asked == (4,)
    assert row.reached == pytest.approx(96 * 256 / (17 * (96 + 256)))


def test_fresh_matrices_are_random_with_the_scale_of_the_weights():
    torch.manual_seed(0)
    layer = nn.Linear(400, 400)
    before = layer.weight.detach().clone()
    doping.compress_(layer, {"*": Method(name="lmf", factor=4)}, fresh=True)
    after = layer.weight.detach()
    assert float(after.square().mean().sqrt()) == pytest.approx(float(before.square().mean().sqrt()), rel=1e-3)
    assert abs(float(torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1])) < 0.05


def test_resetting_draws_anew_and_prunes_nothing():
    _, layer = made("LSTM")
    finished(layer).reset_parameters()
    assert not any(module.pruned.any() for module in layer.modules() if isinstance(module, Sparse))
    assert float(layer.weight_hh_l0.detach().std()) == pytest.approx(40**-0.5 / 3**0.5, rel=0.05)


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
