"""Environment variables that change what a worker does: those it is given, those it honours, and those taken from it.

All else in the environment reaches workers as it is and changes nothing of a trial. docs/monitoring.md has the same list.
"""

from __future__ import annotations

from collections.abc import Mapping

MONITOR_EVERY = "LSTM_MONITOR_EVERY"
"""At every how many validations co-adaptation is measured; 0 is never."""

WANDB_LINKS = "LSTM_WANDB_LINKS"
"""Folder that gets a link to each trial's W&B run."""

UNLESS_SET = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 2**30),
    "GOMP_SPINCOUNT": "10000",
}
"""Set for each worker, unless the user has set them; the numbers of a trial stay the same.

The first two make the C library (glibc) keep freed memory for the next step. It returns large blocks otherwise, such as the
logits of 10,000 words (16 to 28 MB), and the kernel clears them anew at each step: one of 2 x 200 units took 0.20 s of
processor time so, and 0.15 s with these.

The third lets threads of OpenMP that wait for another fall asleep sooner. Beside other work, the one that all wait for may
not have a core: a step of 2 x 200 units on two threads took 0.25 to 3.4 s beside two busy processes, 0.19 to 0.40 s with it.
On an idle machine no difference was seen.
"""

GIVEN = {
    "OMP_NUM_THREADS": "threads of a trial, also for MKL, OpenBLAS and NumExpr",
    "PYTHONPATH": "the project, then what it was",
    "CUDA_VISIBLE_DEVICES": "one GPU, of those it named before",
    MONITOR_EVERY: "from --monitor",
    WANDB_LINKS: "the study's folder wandb/",
    "WANDB_MODE": "from --wandb; with `auto`, the variable itself is asked first",
    "WANDB_RUN_GROUP": "study and preset",
    "WANDB_CACHE_DIR": "in the study's folder",
    "WANDB_DATA_DIR": "in the study's folder",
    "WANDB_SILENT": "true",
}
"""Set for each worker, whatever they were."""

HONOURED = {
    **dict.fromkeys(UNLESS_SET, "when the C library returns memory to the system, and how long threads wait awake"),
    "LSTM_DATA": "where corpora are",
    "LSTM_CACHE": "where corpora are kept as numbers",
    "CC": "compiler of the kernels",
    "WANDB_API_KEY": "the login",
    "WANDB_IDENTITY_TOKEN_FILE": "the login",
    "WANDB_BASE_URL": "the server",
    "WANDB_ENTITY": "the team",
    "WANDB_PROJECT": "the project, in place of lstm-doping",
    "WANDB_TAGS": "tags of each run",
    "WANDB_NOTES": "notes on each run",
    "WANDB_CONFIG_DIR": "W&B's own settings",
    "WANDB_HTTP_TIMEOUT": "seconds that W&B waits for an answer",
    "WANDB_INSECURE_DISABLE_SSL": "a server with a certificate of its own",
    "NETRC": "file with the login",
    "HTTPS_PROXY": "as all programs do, like HTTP_PROXY and NO_PROXY",
}
"""Meant for the trials: they keep what the user has set."""

PASSED_ON = ("LSTM_DATA", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT", "WANDB_TAGS", "WANDB_NOTES")
"""Those honoured that also reach the workers of a cluster. No secrets: the network may hear them."""

TAKEN_OUT = {
    "WANDB_": "all others, such as WANDB_RUN_ID, WANDB_SWEEP_ID, WANDB_RESUME, WANDB_NAME, WANDB_DIR, WANDB_SERVICE: they "
    "would make one run of all trials, or put them elsewhere",
    "SLURM_": "Lightning would take a trial for a part of the job that started it",
    "TORCHELASTIC_": "the same",
    "PL_": "Lightning's, such as a global seed",
    "RANK": "Lightning's place in a distributed training, like those that follow",
    "LOCAL_RANK": "",
    "GROUP_RANK": "",
    "NODE_RANK": "",
    "WORLD_SIZE": "",
    "MASTER_ADDR": "",
    "MASTER_PORT": "",
    "NVIDIA_TF32_OVERRIDE": "other numbers from the same settings",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "other numbers from the same settings",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "would let a checkpoint run code",
    "PYTHONINSPECT": "a worker would wait for a person at its end",
    "PYTHONOPTIMIZE": "takes checks out",
}
"""Kept from workers; a name that ends with ``_`` stands for all that begin with it."""


def is_taken_out(name: str) -> bool:
    """Whether a variable is kept from workers."""
    if name in GIVEN or name in HONOURED:
        return False
    return name in TAKEN_OUT or name.startswith(tuple(prefix for prefix in TAKEN_OUT if prefix.endswith("_")))


def worker_environment(around: Mapping[str, str]) -> dict[str, str]:
    """What a worker keeps of the environment around it."""
    return {name: value for name, value in around.items() if not is_taken_out(name)}


def defaults(kept: Mapping[str, str]) -> dict[str, str]:
    """What a worker is given beside what it keeps. Who chooses how threads wait (``OMP_WAIT_POLICY``) has chosen."""
    chosen = {"GOMP_SPINCOUNT"} if "OMP_WAIT_POLICY" in kept else set()
    return {name: value for name, value in UNLESS_SET.items() if name not in kept and name not in chosen}


def notice(around: Mapping[str, str]) -> str:
    """A line on an environment that was made for a single W&B run, and not for a study; empty where it was not."""
    taken = sorted(name for name in around if name.startswith("WANDB_") and is_taken_out(name))
    if "WANDB_SWEEP_ID" in taken:
        return "inside a W&B sweep: the trials are runs of their own, not runs of the sweep (docs/monitoring.md)"
    if {"WANDB_RUN_ID", "WANDB_RESUME", "WANDB_NAME", "WANDB_DIR"} & set(taken):
        return f"each trial is a W&B run of its own, so it is not told {', '.join(taken)}"
    return ""
