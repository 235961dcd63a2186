"""Which facts of the environment may stand in a run's metadata.

The SDK puts every LANGCHAIN_* and LANGSMITH_* variable into the metadata of every run (client.py:2444), but for those
whose names sound secret: `LANGSMITH_DATABASE_URL` with its password rides along, and so does whatever else somebody
keeps under such a name. From here goes what is known to be harmless, and nothing else.
"""

from __future__ import annotations

from typing import Any

from langsmith.env import get_langchain_env_var_metadata

#: The code's revision (the SDK's name for LANGSMITH_REVISION_ID, else `git describe`), and switches of the SDK.
HARMLESS = frozenset(
    {
        "revision_id",
        "LANGCHAIN_CALLBACKS_BACKGROUND",
        "LANGCHAIN_TRACING",
        "LANGCHAIN_TRACING_SAMPLING_RATE",
        "LANGSMITH_HIDE_INPUTS",
        "LANGSMITH_HIDE_METADATA",
        "LANGSMITH_HIDE_OUTPUTS",
        "LANGSMITH_PROJECT",
        "LANGSMITH_TRACING",
        "LANGSMITH_TRACING_SAMPLING_RATE",
        "LANGSMITH_TRACING_V2",
    }
)


def discreet(run: dict[str, Any], key: str | None) -> dict[str, Any]:
    """Return a run as the SDK would send it, without the environment's facts that are nobody's business.

    Args:
        key: the API key; what holds it goes nowhere, whatever it is called.
    """
    extra = run.get("extra")
    metadata = extra.get("metadata") if isinstance(extra, dict) else None
    if isinstance(extra, dict) and isinstance(metadata, dict):
        found = get_langchain_env_var_metadata()
        private = [
            name for name in found if name in metadata and _is_private(name, metadata[name], found, key)
        ]
        if private:
            kept = {name: value for name, value in metadata.items() if name not in private}
            return {**run, "extra": {**extra, "metadata": kept}}
    return run


def be_discreet(key: str | None) -> None:
    """Have every client of this process leave them out, also those that somebody's code makes for itself.

    The SDK works its facts out once, and then gives everybody the same dictionary.
    """
    found = get_langchain_env_var_metadata()
    for name in [name for name in found if _is_private(name, found[name], found, key)]:
        del found[name]


def _is_private(name: str, value: Any, found: dict[str, Any], key: str | None) -> bool:
    # A name that the environment has, with another value, is the user's own metadata.
    return value == found[name] and (name not in HARMLESS or bool(key and key in str(value)))
