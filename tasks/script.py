"""A training of one's own as a task: any function ``train(method, settings, report) -> metric``.

    @script(metric="squared_error", data=["rides.csv"])
    def train(method: Method, settings: MySettings, report: Report) -> float:
        model = MyModel(); doping.compress_(model, {"rnn": method}); ...

A study names it: ``task: {name: "my_file:train", training: {learning_rate: 0.01}}``. What ``settings`` is annotated with (a
dataclass, or a ``pydantic`` model) declares the settings and their defaults; they stand below ``task.training`` and can
be searched there. Optimizer, parameter groups, schedules and loop are those of the function.
``sweeps.worker.script_report`` says what ``report`` is.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn, TypeVar

from pydantic import BaseModel, create_model

from doping.method import Method
from doping.settings import Settings, added_later
from lightning_modules.settings.training import StartFrom
from tasks.base import TaskSettings

Train = Callable[..., Any]
_Function = TypeVar("_Function", bound=Train)


def script(
    metric: str = "loss",
    data: Sequence[str | Path] = (),
    model: Callable[..., Any] | None = None,
    check: Callable[[Any], object] | None = None,
) -> Callable[[_Function], _Function]:
    """Say more of a training than the function does.

    Args:
        metric: name of what it returns; lower is better.
        data: files that it learns from, relative to its own; a study notices when they change.
        model: ``model(settings)`` makes the dense model. Export and the measurement of latency need it, and
            ``report.example``.
        check: is called with the settings before anything starts; what it raises (``DataError``: the data are fewer than a
            batch) is the one line that the study ends with.

    """

    def marked(train: _Function) -> _Function:
        train.doping_script = (metric, tuple(map(str, data)), model, check)  # type: ignore[attr-defined]
        return train

    return marked


class Nothing(Settings):
    """No settings."""


class ScriptTraining(Settings):
    """Settings of a training of one's own; those that it declares are added."""

    start_from: StartFrom | None = added_later(None)
    """A trained dense model of the same function, which ``report.start(model)`` loads."""


class Script(TaskSettings):
    """A training of one's own; a subclass is made for each function."""

    distills = True
    train: ClassVar[Train]
    metric: ClassVar[str]
    files: ClassVar[tuple[str, ...]]
    model_function: ClassVar[Callable[..., Any] | None]
    declared: ClassVar[Callable[..., Any]]
    check: ClassVar[Callable[[Any], object] | None]

    name: str
    data: Nothing = Nothing()
    model: Nothing = Nothing()
    training: ScriptTraining = ScriptTraining()  # type: ignore[assignment]

    @property
    def label(self) -> str:
        """Name of its file."""
        return self.name.partition(":")[0].rpartition(".")[2]

    @property
    def settings(self) -> Any:
        """What the function is given: its own settings, of the type that it declares."""
        return type(self).declared(**{name: value for name, value in self.training if name != "start_from"})

    def lstm_shapes(self) -> dict[str, tuple[int, int]]:
        """None: the function makes the model."""
        return {}

    def data_hash(self) -> str:
        """Hash of its files of data. Raises ``DataError`` if one cannot be read, and what its ``check`` raises."""
        from data import DataError

        if check := type(self).check:
            check(self.settings)
        digest, folder = hashlib.sha256(), Path(inspect.getfile(type(self).train)).parent
        for file in type(self).files:
            try:
                digest.update(hashlib.sha256((folder / file).read_bytes()).digest())
            except OSError as error:
                raise DataError(f"cannot read {folder / file}, data of {self.name}: {error.strerror}") from error
        return digest.hexdigest()

    def build(self, method: Method) -> NoReturn:
        """Raises ``ValueError``: the function makes the model."""
        raise ValueError(f"{self.name} makes its model itself: export it there, with doping.to_onnx or doping.deploy_")


@functools.cache
def script_class(name: str, train: Train) -> type[Script]:
    """The settings of a function. Raises ``ValueError`` if it is no training, or declares settings that have no default."""
    parameters = list(inspect.signature(train).parameters)
    if len(parameters) != 3:
        raise ValueError(f"the function takes ({', '.join(parameters)}); expected train(method, settings, report) -> metric")
    declared = typing.get_type_hints(train).get(parameters[1], dict)
    metric, files, model, check = getattr(train, "doping_script", ("loss", (), None, None))
    fields = _fields(declared)
    # What is made here has no source to look for docstrings in, and to look goes through all modules there are.
    sourceless: Any = {"use_attribute_docstrings": False}
    training: Any = create_model("Training", __base__=ScriptTraining, __cls_kwargs__=sourceless, **fields)
    try:
        default = training()
    except ValueError as error:
        raise ValueError(f"all settings of {name} need a default: {error.errors()[0]['loc']}") from error  # type: ignore[attr-defined]
    fixed: Any = {"name": (Literal[name], name), "training": (training, default)}
    made: Any = create_model("Script", __base__=Script, __cls_kwargs__=sourceless, **fixed)
    made.train, made.metric, made.files, made.declared = train, metric, files, declared
    made.model_function, made.check = model, check
    return typing.cast("type[Script]", made)


def _fields(declared: Any) -> dict[str, Any]:
    if isinstance(declared, type) and issubclass(declared, BaseModel):
        return {name: (field.annotation, field) for name, field in declared.model_fields.items()}
    if dataclasses.is_dataclass(declared):
        hints = typing.get_type_hints(declared)
        return {field.name: (hints[field.name], _default(field)) for field in dataclasses.fields(declared)}
    if declared is dict or typing.get_origin(declared) is dict or declared is Any:
        return {}
    raise ValueError(f"settings are declared as {declared}; expected a dataclass or a pydantic model")


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return ... if field.default is dataclasses.MISSING else field.default
