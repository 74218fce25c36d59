"""Weights & Biases: whether runs are logged, and to where. Workers find it in their environment."""

from __future__ import annotations

import netrc
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from doping.errors import UserError
from sweeps.errors import suggestion

Choice = Literal["auto", "offline", "online", "off"]

MONITOR_EVERY = "LSTM_MONITOR_EVERY"
"""Variable that tells workers at every how many validations co-adaptation is measured; 0 is never."""

_MODES = {"offline": "offline", "online": "online", "off": "disabled"}


def wandb_environment(
    choice: Choice, study: str, folder: Path, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Variables that make wandb log ``study`` as chosen, and keep its files in ``folder``.

    ``auto`` is what ``WANDB_MODE`` says, else online for a user who is logged in and has a network, else offline: with a
    key but without a network every run would wait 100 s. Raises ``UserError`` if it cannot be had.
    """
    mode = _MODES.get(choice, "")
    if choice == "auto":
        mode = environment.get("WANDB_MODE", "")
        if mode not in ("", *_MODES.values()):
            raise UserError(f"WANDB_MODE is {mode!r} in the environment; {suggestion(mode, _MODES.values(), 'it may be')}")
        mode = mode or ("online" if logged_in(environment) and _reachable(environment) else "offline")
    if mode == "online" and not logged_in(environment):
        raise UserError("W&B online needs a login: run `wandb login` or set WANDB_API_KEY, or take --wandb offline")
    return {
        "WANDB_MODE": mode,
        "WANDB_RUN_GROUP": study,
        "WANDB_CACHE_DIR": str(folder / "wandb" / "cache"),
        "WANDB_DATA_DIR": str(folder / "wandb" / "data"),
        "WANDB_SILENT": "true",
    }


def logged_in(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a key for W&B's server, in the environment or in the file where ``wandb login`` puts it."""
    if environment.get("WANDB_API_KEY"):
        return True
    path = Path(environment.get("NETRC", Path.home() / ".netrc"))
    try:
        return netrc.netrc(path).authenticators(urlsplit(_server(environment)).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _server(environment: Mapping[str, str]) -> str:
    return environment.get("WANDB_BASE_URL", "https://api.wandb.ai")


def _reachable(environment: Mapping[str, str]) -> bool:
    if any(environment.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")):
        return True
    address = urlsplit(_server(environment))
    try:
        socket.create_connection((address.hostname or "", address.port or 443), timeout=2).close()
    except OSError:
        return False
    return True
