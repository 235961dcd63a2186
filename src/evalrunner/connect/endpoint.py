"""Which LangSmith: the one that the SDK would talk to, or, where none is configured, the local backend.

What counts as configured is what the SDK itself looks at: LANGSMITH_ENDPOINT, LANGSMITH_API_KEY, their
LANGCHAIN_ equivalents, and a profile in ~/.langsmith/config.json (or LANGSMITH_CONFIG_FILE).
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from evalrunner.config import Endpoint
from evalrunner.errors import ConfigError

_VARIABLES = tuple(
    f"{space}_{name}" for name in ("ENDPOINT", "API_KEY") for space in ("LANGSMITH", "LANGCHAIN")
)
_NUMBERS = tuple(
    f"{space}_RUN_COMPRESSION_{name}" for name in ("LEVEL", "THREADS") for space in ("LANGSMITH", "LANGCHAIN")
)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def configured() -> str | None:
    """Return what configures a LangSmith, or None."""
    for name in _VARIABLES:
        if os.environ.get(name, "").strip():
            return name
    return _profile()


def refuse_unimportable() -> None:
    """See that the SDK can be imported: it reads these while it is, and ends with a ValueError over anything else.

    Raises:
        ConfigError: it cannot.
    """
    for name in _NUMBERS:
        value = os.environ.get(name, "")
        try:
            int(value.strip() or 0)
        except ValueError:
            raise ConfigError(
                f"{name}={value} is no whole number, and the LangSmith SDK cannot be imported with that; unset it"
            ) from None


def resolve(source: str) -> Endpoint:
    """Return what the SDK makes of the environment and its profiles.

    Raises:
        ConfigError: it cannot be used.
    """
    refuse_unimportable()
    from langsmith import Client  # noqa: PLC0415 - costs 0.3 s, and the local backend is started before it

    with warnings.catch_warnings():
        # A missing key is said below, in our words, and as an error.
        warnings.simplefilter("ignore")
        try:
            client = Client(auto_batch_tracing=False, tracing_mode="langsmith", tracing_sampling_rate=1.0)
        except Exception as error:
            raise ConfigError(
                f"LangSmith is configured by {source}, and its SDK refuses that: {error}"
            ) from None
    return _usable(Endpoint(client.api_url, key=client.api_key or "", workspace=client.workspace_id), source)


def _usable(endpoint: Endpoint, source: str) -> Endpoint:
    address = urlsplit(endpoint.url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ConfigError(f"the LangSmith endpoint ({source}) takes an http(s) address, not {endpoint.url!r}")
    if not endpoint.key and address.hostname not in _LOOPBACK:
        signs_in = (
            "; a profile that signs in with a browser cannot serve many processes" if _profile() else ""
        )
        raise ConfigError(
            f"the LangSmith endpoint {address.hostname} ({source}) has no API key: "
            f"set LANGSMITH_API_KEY{signs_in}, or say --local"
        )
    return endpoint


def _profile() -> str | None:
    """Return the SDK profile that is selected, or None; its values are the SDK's to read."""
    path = Path(os.environ.get("LANGSMITH_CONFIG_FILE") or "~/.langsmith/config.json")
    try:
        content: Any = json.loads(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return None
    profiles = content.get("profiles") if isinstance(content, dict) else None
    if not isinstance(profiles, dict):
        return None
    name = os.environ.get("LANGSMITH_PROFILE") or content.get("current_profile") or "default"
    return f"profile {name!r} of {path}" if isinstance(profiles.get(name), dict) else None
