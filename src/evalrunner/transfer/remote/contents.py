"""What a run keeps outside of the answer: attachments, and values too large for it, behind signed addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import msgspec

from evalrunner.transfer.remote.asking import Asking, RefusedError
from evalrunner.transfer.remote.reads import Run, value_of

_PREFIX = "attachment."
_APART = ("inputs", "outputs", "error", "extra", "events", "serialized")
#: The whole of a value, where its addresses have names.
_ROOT = "ROOT"

Attachment = tuple[str, str, IO[bytes]]
"""Name, type, bytes."""
Hole = Callable[[str, str, str], None]
"""Takes what is missing of a run: its kind, its name, and why."""


def attachments(asking: Asking, run: Run, missing: Hole) -> Iterator[Attachment]:
    """Return a run's attachments one after the other: name, type, bytes."""
    for name, url, mime in _addresses(run):
        try:
            data, told = asking.file(url)
        except RefusedError as error:
            missing("attachment", name, str(error))
            continue
        yield name, mime or told or "application/octet-stream", data


def _addresses(run: Run) -> Iterator[tuple[str, str, str]]:
    for name, entry in (run.s3_urls or {}).items():
        if name.startswith(_PREFIX) and (url := _url(entry)):
            yield name.removeprefix(_PREFIX), url, entry.get("mime_type") or ""
    for name, url in (run.attachments or {}).items():  # the newer generation, which does not say the type
        yield name, url, ""


def values(asking: Asking, run: Run, missing: Hole) -> dict[str, bytes]:
    """Return those values of a run that are not in the answer, but behind addresses in it."""
    found: dict[str, bytes] = {}
    for name in _APART:
        addresses = _of_value(run, name)
        if addresses and value_of(run, name) in (b"null", b"{}"):
            try:
                found[name] = _joined({key: _fetched(asking, url) for key, url in addresses.items()})
            except RefusedError as error:
                missing(name, name, str(error))
    return found


def _of_value(run: Run, name: str) -> dict[str, str]:
    """Return the addresses of a value: one by the name of ROOT for the whole, or one for each key of it."""
    told: Mapping[str, Any] = getattr(run, f"{name}_s3_urls", None) or {}
    found = {key: url for key, entry in told.items() if (url := _url(entry))}
    if not found and (url := _url((run.s3_urls or {}).get(name))):
        found = {_ROOT: url}
    return {_ROOT: found[_ROOT]} if _ROOT in found else found


def _url(entry: Any) -> str:
    url = entry.get("presigned_url") if isinstance(entry, dict) else None
    return url if isinstance(url, str) else ""


def _fetched(asking: Asking, url: str) -> bytes:
    data, _ = asking.file(url)
    with data:
        raw = data.read()
    try:
        raw.decode()
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise RefusedError(f"what lies behind its address is no JSON: {error}") from None
    return raw


def _joined(parts: Mapping[str, bytes]) -> bytes:
    if _ROOT in parts:
        return parts[_ROOT]
    return b"{" + b",".join(msgspec.json.encode(key) + b":" + raw for key, raw in parts.items()) + b"}"
