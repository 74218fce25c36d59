"""Data sets of the Hugging Face hub, whose copies stay in the cache of ``datasets``: offline they come from there."""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from doping.errors import UserError


class HubError(UserError):
    """A data set cannot be had; the message is the reason, in one line."""


def load(dataset: str, revision: str | None, /, **options: Any) -> Any:
    """Load a data set as ``datasets.load_dataset`` does, see :func:`found`."""
    return found(dataset, revision, **options)[0]


def found(dataset: str, revision: str | None, /, **options: Any) -> tuple[Any, str]:
    """A data set as ``datasets.load_dataset`` has it, and in words where it was found.

    It is that of the hub; where the hub cannot be reached, its copy in the cache. If ``dataset`` is a folder, its files are
    read as those of the hub are, without asking the network.

    Raises:
        HubError: it is neither on the hub nor in the cache, or the hub cannot be reached.

    """
    import datasets.config
    import datasets.load
    import huggingface_hub.constants

    local = Path(dataset).is_dir()
    # Without this, datasets tries again for half a minute where there is no network.
    online = not local and not huggingface_hub.constants.HF_HUB_OFFLINE and reachable(huggingface_hub.constants.ENDPOINT)
    before = datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE
    if not online:
        datasets.config.HF_HUB_OFFLINE = huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        data = datasets.load.load_dataset(dataset, revision=None if local else revision, **options)
    except Exception as error:  # the hub's client raises errors of many unrelated classes
        reason = f"{type(error).__name__}: {error}".partition("\n")[0] if online or local else "cannot be reached"
        raise HubError(reason) from error
    finally:
        datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE = before
    if local:
        return data, "in a folder"
    return data, "on the Hugging Face hub" if online else "in the cache, as the Hugging Face hub cannot be reached"


def reachable(url: str, timeout: float = 5.0) -> bool:
    """Whether a server answers at all within so many seconds; in a thread, as a name lookup has no time-out."""
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout).close()
        except urllib.error.HTTPError:
            answered.set()
        except (OSError, ValueError, http.client.HTTPException):
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return answered.is_set()
