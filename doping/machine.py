"""What a row of results records of the machine and of the code: cores, hardware, versions, commit, memory."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import math
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Root of the repository."""

PACKAGES = ("torch", "pytorch-lightning", "numpy", "optuna", "wandb", "datasets")


def cores() -> int:
    """Cores this process may use: those it is bound to, or fewer where a container has a quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.is_file():
        allowed, period = quota.read_text().split()
        if allowed != "max":
            bound = min(bound, math.ceil(int(allowed) / int(period)))
    return max(bound, 1)


def gpus() -> list[str]:
    """Names that CUDA knows this machine's GPUs by: those of ``CUDA_VISIBLE_DEVICES``, or all that the driver lists."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        try:
            command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
            listed = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return []
        chosen = ",".join(listed.stdout.split()) if listed.returncode == 0 else ""
    return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]


def host() -> str:
    """A name for this machine that tells it from others and does not say what it is called: six hex digits."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def hardware(device: str = "cpu") -> str:
    """Processor and cores, and the GPU if ``device`` names one."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = models[0] if models else processor
    line = f"{processor}, {cores()} core{'s' if cores() > 1 else ''}"
    return line if device == "cpu" else f"{line}, {device}"


@functools.cache
def versions() -> str:
    """Versions of Python and of the packages that results depend on: ``python=3.11.7 torch=2.13.0 …``."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "none"
    return " ".join(f"{name}={version}" for name, version in found.items())


@functools.cache
def commit() -> str:
    """Commit of the repository, with ``-dirty`` if tracked files have changed since.

    Where the library was installed it is its version, as ``lstm-doping==0.4.0``; ``unknown`` where neither is known.
    """
    if not (ROOT / ".git").exists():  # Not whatever other repository the packages happen to lie in.
        try:
            return f"lstm-doping=={importlib.metadata.version('lstm-doping')}"
        except importlib.metadata.PackageNotFoundError:
            return "unknown"
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return described.stdout.strip() if described.returncode == 0 else "unknown"


def reset_peak_memory() -> None:
    """Start a new measurement of the peak memory, where the system can (Linux); else it is that of the process."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_mb() -> float | None:
    """Most memory (resident, in 10⁶ bytes) this process had since the last reset; None where it is not counted."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux that starts from the memory of the process that started this one.
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return round(int(peak.split()[1]) * 1024 / 1e6, 1)
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
