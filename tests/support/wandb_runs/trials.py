"""Small trials whose W&B runs tests look at."""

import small_text

from data import data_hash
from doping.method import Method
from sweeps.trials.trial import Trial
from sweeps.worker.train import train
from tasks.language_model import LanguageModelTask

DOPED = Method(name="doped_kp", factor=5, cmr={"probability": 0.3})


def tiny(method=DOPED, epochs=2):
    task = LanguageModelTask(
        data=small_text.DATA,
        model={"hidden": 20},
        training={"epochs": epochs, "batch_size": 8, "sequence_length": 20, "validations": 4},
    )
    return Trial(task=task, method=method, seed=1, data_hash=data_hash(task.data))


def run(trial, folder, report=lambda progress: None):
    folder.mkdir(exist_ok=True)
    return train(trial, folder, report, threads=1)
