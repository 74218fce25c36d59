"""Weights & Biases: whether runs are logged, and to where. Workers find it in their environment."""

from __future__ import annotations

import json
import netrc
import os
import socket
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from doping.errors import UserError, suggestion
from sweeps.worker.environment import WANDB_LINKS

Choice = Literal["auto", "offline", "online", "off"]

_PATIENCE_SECONDS = 15.0
"""How long to wait for the server's word on the login."""

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
        # Hidden: the folder is for runs.
        "WANDB_CACHE_DIR": str(folder / "wandb" / ".cache"),
        "WANDB_DATA_DIR": str(folder / "wandb" / ".data"),
        WANDB_LINKS: str(folder / "wandb"),
        "WANDB_SILENT": "true",
    }


def logged_in(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a key for W&B's server, in the environment or in the file where ``wandb login`` puts it."""
    return bool(_key(environment) or environment.get("WANDB_IDENTITY_TOKEN_FILE"))


def login_problem(environment: Mapping[str, str] = os.environ) -> str:
    """Why W&B's server would not take runs, in a few words, with what to do; empty if it takes the login."""
    server, key = _server(environment), _key(environment)
    if not key:
        return ""  # a token, which W&B itself turns into a login
    asked = Request(
        f"{server.rstrip('/')}/graphql",
        json.dumps({"query": "query Viewer { viewer { id } }"}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Basic {b64encode(f'api:{key}'.encode()).decode()}"},
    )
    refused = f"{server} refuses the key: run `wandb login --relogin`"
    try:
        with urlopen(asked, timeout=_PATIENCE_SECONDS) as answer:
            content = json.load(answer)
        return "" if (content.get("data") or {}).get("viewer") else refused
    except HTTPError as error:
        if error.code in (400, 401, 403):
            return refused
        return f"{server} answers with status {error.code}: try again later"
    except (OSError, ValueError, AttributeError) as error:
        reason = getattr(error, "reason", error)
        return f"{server} does not answer ({' '.join(str(reason).split())}): see to the network"


def _key(environment: Mapping[str, str]) -> str:
    if environment.get("WANDB_API_KEY"):
        return environment["WANDB_API_KEY"]
    path = Path(environment.get("NETRC", Path.home() / ".netrc"))
    try:
        found = netrc.netrc(path).authenticators(urlsplit(_server(environment)).hostname or "")
    except (OSError, netrc.NetrcParseError):
        return ""
    return found[2] if found else ""


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
