"""What a user can get wrong in a call of the library: one line each, of an exception that is a ``ValueError``."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

import doping
from doping import Method
from doping.errors import UserError

LMF = Method(name="lmf", factor=4)
PRUNED = Method(name="pruned", factor=4)
Y = torch.ones(4, 3)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(32, 32), nn.Linear(32, 32)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def net(method=LMF):
    return doping.compress_(Net(), {"rnn": method, "head": method})


def annealer(method=PRUNED):
    return doping.Annealer(net(method), 10)


def compress(*arguments, **options):
    return lambda _: doping.compress_(*(arguments or (Net(), {"rnn": LMF})), **options)


def distil(*arguments, **options):
    return lambda _: doping.distillation(*arguments, **options)


def onnx(example=None, path=None, model=None, **options):
    def call(folder):
        x = torch.zeros(5, 2, 32) if example is None else example
        doping.to_onnx(model or net(), x, path or folder / "m.onnx", **options)

    return call


def after(change, call):
    def both(_):
        its = annealer(LMF)
        change(its.model.eval())
        call(its)

    return both


NO_MODULE = "expected a torch.nn.Module"
FLOATS = "expected a tensor of floating-point numbers"
NO_EXAMPLE = "give an input as the model takes it, or a tuple of all"
COMPRESS_FIRST = "no layer of the Net is compressed; call doping.compress_ first"
AT_ANOTHER_TIME = "layers of the model were deployed or merged, so that nothing is annealed there; deploy or merge a copy"
MISTAKES = {
    "compress_, a class": (compress(nn.LSTM, {"*": LMF}), f"the model is the class LSTM, not yet made; {NO_MODULE}"),
    "compress_, weights": (compress({}, {"*": LMF}), f"the model is a dict; {NO_MODULE}"),
    "compress_, one method": (compress(Net(), LMF), "methods is a Method; expected a dict of patterns and methods, such as"),
    "compress_, a name of a method": (compress(Net(), {"rnn": "lmf"}), "the method of pattern 'rnn' is 'lmf'; expected a"),
    "compress_, a layer as pattern": (compress(Net(), {0: LMF}), "a pattern is 0; expected a text, such as 'encoder.rnn'"),
    "compress_, the name of a layer": (compress(nn.LSTM(32, 32), {"rnn": LMF}), "matches no layer; did you mean '*'"),
    "compress_, exclude": (compress(exclude=None), "exclude is None; expected a pattern, or several in a list"),
    "compress_, exclude a number": (compress(exclude=[3]), "a pattern is 3; expected a text"),
    "compress_, fresh": (compress(fresh="yes"), "fresh is 'yes'; expected True or False"),
    "compress_, small": (compress(small=True), "small is True; expected 'keep' or 'raise'"),
    "Annealer, parameters": (lambda _: doping.Annealer(net().parameters(), 9), f"the model is a generator; {NO_MODULE}"),
    "Annealer, steps": (
        lambda _: doping.Annealer(net(), 10.5),
        "total_steps is 10.5; expected the number of optimizer",
    ),
    "Annealer, a dense model": (lambda _: doping.Annealer(Net(), 10), COMPRESS_FIRST),
    "Annealer, another state": (lambda _: annealer().load_state_dict({}), "the state is {}; expected what Annealer.state_d"),
    "Annealer, no state": (lambda _: annealer().load_state_dict(None), "the state is None; expected what Annealer.state_d"),
    "Annealer, a step": (
        lambda _: annealer().advance_to(1.5),
        "the step is 1.5; expected the number of optimizer",
    ),
    "Annealer, a first step": (lambda _: annealer().start_at(-1), "the step is -1; expected the number of optimizer steps"),
    "Annealer, too early": (lambda _: annealer().finish_(), "the pruning is not over: 0 of 10 steps are done, and it ends"),
    "Annealer, deployed": (after(doping.deploy_, doping.Annealer.step), AT_ANOTHER_TIME),
    "Annealer, merged": (after(doping.merge_, doping.Annealer.step), AT_ANOTHER_TIME),
    "Annealer, deployed at the end": (after(doping.deploy_, doping.Annealer.finish_), "take a copy from before deploy_"),
    "report, a text": (lambda _: doping.report("net"), f"the model is a str; {NO_MODULE}"),
    "report, a dense model": (lambda _: doping.report(Net()), COMPRESS_FIRST),
    "merge_, weights": (lambda _: doping.merge_({}), f"the model is a dict; {NO_MODULE}"),
    "merge_, a dense model": (lambda _: doping.merge_(Net()), COMPRESS_FIRST),
    "merge_, deployed": (lambda _: doping.merge_(doping.deploy_(net())), "take a copy from before deploy_"),
    "deploy_, a text": (lambda _: doping.deploy_("net"), f"the model is a str; {NO_MODULE}"),
    "deploy_, a dense model": (lambda _: doping.deploy_(Net()), COMPRESS_FIRST),
    "deploy_, twice": (lambda _: doping.deploy_(doping.deploy_(net())), "take a copy from before deploy_"),
    "deploy_, unfinished": (lambda _: doping.deploy_(net(PRUNED)), "rnn has 8,192 values, and 2,048 are planned"),
    "deploy_, values": (
        lambda _: doping.deploy_(net(), values=torch.int8),
        "values is torch.int8; expected 'float32'",
    ),
    "deploy_, arithmetic": (
        lambda _: doping.deploy_(net(), arithmetic="int4"),
        "arithmetic is 'int4'; expected 'float32'",
    ),
    "to_onnx, values of a dense model": (onnx(model=Net(), values="int8"), COMPRESS_FIRST),
    "to_onnx, a path": (onnx(path=3), "the path is a int; expected a path"),
    "to_onnx, an example of another width": (onnx(torch.zeros(5, 2, 31)), "has 31 features; expected input_size=32"),
    "to_onnx, a list": (onnx([torch.zeros(5, 2, 32)]), NO_EXAMPLE),
    "to_onnx, an array": (onnx(np.zeros((5, 2, 32), np.float32)), NO_EXAMPLE),
    "to_onnx, a shape": (onnx((5, 2, 32)), NO_EXAMPLE),
    "to_onnx, one name": (onnx(input_names="x"), "input_names is 'x'; expected a list of names"),
    "to_onnx, axes": (onnx(dynamic_axes=[0]), "dynamic_axes is [0]; expected names and dimensions, such as"),
    "to_onnx, axes without names": (
        onnx(dynamic_axes={"x": {0: "time"}}),
        "of an input or output; give input_names",
    ),
    "to_onnx, axes of another name": (
        onnx(input_names=["words"], dynamic_axes={"word": {0: "time"}}),
        "dynamic_axes has 'word', which is no name of an input or output; did you mean 'words'?",
    ),
    "to_c, nothing": (lambda folder: doping.to_c(None, folder), "NoneType cannot be written as C; supported are"),
    "to_c, a dense layer": (
        lambda folder: doping.to_c(nn.LSTM(32, 32), folder),
        "doping.compress_ makes them",
    ),
    "to_c, a folder": (lambda _: doping.to_c(net().rnn, None), "the folder is None; expected a path"),
    "to_c, a name": (lambda folder: doping.to_c(net().rnn, folder, 3), "the name 3 cannot begin a C function's"),
    "distillation, labels": (
        distil(Y, torch.tensor([0, 1, 2, 0])),
        f"are numbers of type torch.int64; {FLOATS}",
    ),
    "distillation, two outputs": (distil((Y, Y), (Y, Y)), f"the outputs of the model are a tuple; {FLOATS}"),
    "distillation, a model": (distil(Y, Net()), f"the outputs of the teacher are a Net; {FLOATS}"),
    "distillation, shapes": (distil(Y, Y[:2]), "have shape (4, 3), those of the teacher (2, 3); expected the same"),
    "distillation, devices": (distil(Y, Y.to("meta")), "the outputs are on cpu, those of the teacher on meta"),
    "distillation, of": (distil(Y, Y, "class"), "of is 'class'; expected 'classes' or 'values'"),
    "distillation, temperature": (distil(Y, Y, temperature="2"), "temperature is '2'; expected a positive number"),
    "distillation, no limit": (distil(Y, Y, temperature=float("inf")), "temperature is inf; expected a positive number"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_one_line_that_says_what_was_expected(what, tmp_path):
    call, message = MISTAKES[what]
    with pytest.raises(ValueError) as error:  # noqa: PT011 - what it says is compared below
        call(tmp_path)
    assert isinstance(error.value, UserError | doping.BudgetError)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_number_of_steps_may_be_one_of_numpy():
    assert doping.Annealer(net(), np.int64(10)).state_dict()["total_steps"] == 10


def test_a_name_that_doping_has_not_says_what_is_near():
    with pytest.raises(AttributeError, match=r"module 'doping' has no attribute 'compress'; did you mean 'compress_'"):
        _ = doping.compress


def test_without_pytorch_what_needs_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(vars(doping), "to_c", raising=False)
    monkeypatch.delitem(sys.modules, "doping.deployment.to_c", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"doping\.to_c needs PyTorch 2\.13 or newer; install it with: pip install torch"):
        _ = doping.to_c
