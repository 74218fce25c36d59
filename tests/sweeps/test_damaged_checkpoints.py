"""A checkpoint that cannot be read is put aside, and the training starts anew: the same result as without it."""

from pathlib import Path

import pytest
import small_text
import torch

from doping.method import Method
from sweeps.trials.outcome import Interrupted, Progress
from sweeps.trials.trial import Trial
from sweeps.worker import train as training
from sweeps.worker.train import train
from tasks.language_model import LanguageModelTask

TASK = LanguageModelTask(
    data=small_text.DATA | {"limit": 600},
    model={"hidden": 20},
    training={"epochs": 3, "batch_size": 4, "sequence_length": 10, "validations": 2},
)


@pytest.fixture(scope="module")
def trial() -> Trial:
    return Trial(task=TASK, method=Method(name="pruned", factor=4), seed=1, data_hash=TASK.data_hash())


@pytest.fixture(scope="module")
def whole(trial, tmp_path_factory):
    """The outcome of a training that nothing disturbs."""
    return train(trial, tmp_path_factory.mktemp("whole"), lambda progress: None, 1)


@pytest.fixture(scope="module")
def checkpoint(trial, tmp_path_factory) -> bytes:
    """What a training that was interrupted left behind."""
    folder = tmp_path_factory.mktemp("interrupted")
    stop_after(trial, folder, 0.4)
    return (folder / "checkpoint.ckpt").read_bytes()


def stop_after(trial: Trial, folder: Path, share: float) -> None:
    def report(progress: Progress) -> None:
        if progress.share > share:
            raise Interrupted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CHECKPOINT_SECONDS", 0)
        patch.setattr(training, "REPORT_SECONDS", 0)
        with pytest.raises(Interrupted):
            train(trial, folder, report, 1)


def another(checkpoint: bytes, folder: Path, **changes: object) -> bytes:
    """The checkpoint with other content at some keys."""
    path = folder / "altered.ckpt"
    path.write_bytes(checkpoint)
    content = torch.load(path, weights_only=False) | changes
    torch.save(content, path)
    return path.read_bytes()


DAMAGES = {
    "empty": lambda whole, folder: b"",
    "random": lambda whole, folder: bytes(range(256)) * 2,
    "cut": lambda whole, folder: whole[: len(whole) // 2],
    "zeros at the end": lambda whole, folder: whole[:-4096] + bytes(4096),
    "zeros in the middle": lambda whole, folder: whole[:3000] + bytes(3000) + whole[6000:],
    "no weights": lambda whole, folder: another(whole, folder, state_dict={}),
    "weights of another shape": lambda whole, folder: another(whole, folder, state_dict={"softmax.bias": torch.zeros(3)}),
    "loops of another kind": lambda whole, folder: another(whole, folder, loops={"fit_loop": 3}),
    "a list": lambda whole, folder: another(whole, folder, loops=[1]),
}


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_does_not_fail_its_trial(damage, trial, whole, checkpoint, tmp_path, capfd):
    damaged = damage(checkpoint, tmp_path)
    (tmp_path / "checkpoint.ckpt").write_bytes(damaged)
    outcome = train(trial, tmp_path, lambda progress: None, 1)
    assert outcome == whole
    (aside,) = tmp_path.glob("checkpoint.ckpt.unreadable-*")
    assert aside.read_bytes() == damaged
    said = capfd.readouterr().out
    assert "cannot be read" in said
    assert "weights_only" not in said
    assert (tmp_path / "model.ckpt").exists()


def test_a_whole_checkpoint_is_gone_on_from(trial, whole, checkpoint, tmp_path, capfd):
    (tmp_path / "checkpoint.ckpt").write_bytes(checkpoint)
    shares = []
    assert train(trial, tmp_path, lambda progress: shares.append(progress.share), 1) == whole
    assert not list(tmp_path.glob("*.unreadable-*"))


def test_an_error_of_the_training_itself_leaves_the_checkpoint(trial, checkpoint, tmp_path):
    (tmp_path / "checkpoint.ckpt").write_bytes(checkpoint)

    def report(progress: Progress) -> None:
        if progress.step:
            raise RuntimeError("out of paper")

    with pytest.raises(RuntimeError, match="out of paper"):
        train(trial, tmp_path, report, 1)
    assert (tmp_path / "checkpoint.ckpt").read_bytes() == checkpoint


def test_an_evil_checkpoint_runs_no_code(trial, whole, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Evil()}, tmp_path / "checkpoint.ckpt")
    assert train(trial, tmp_path, lambda progress: None, 1) == whole
    assert not (tmp_path / "ran").exists()
