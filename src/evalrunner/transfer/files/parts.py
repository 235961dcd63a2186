"""Those parts of a recorded run that are more than one value: metadata, attachments, feedback, what is elsewhere."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from evalrunner.transfer.files.fields import FieldError, entries, given, kind_of, objects, payload


class _Attachment(msgspec.Struct):
    mime_type: str
    data: str


class _Feedback(msgspec.Struct):
    key: str


_attachments = msgspec.json.Decoder(dict[str, _Attachment]).decode
_feedback = msgspec.json.Decoder(list[_Feedback]).decode


def inputs_or_outputs(name: str, raw: Raw, *links: Raw) -> bytes | None:
    """Return inputs or outputs.

    Args:
        links: where the service says that a run's contents are at an address.

    Raises:
        FieldError: they are no object, or not in the file but at such an address.
    """
    data = payload(name, raw, "object")
    if (data is None or data == b"{}") and any(_links(name, link) for link in links):
        raise FieldError(
            f"its {name} are not in the file, but at an address that has run out or will: {_AGAIN}"
        )
    return data


_AGAIN = "read the project with `evalrunner download`, which fetches them"


def _links(name: str, raw: Raw) -> bool:
    """Tell whether a map of addresses has one for these contents (`ROOT`, or by their name)."""
    data = given(raw)
    if data is None or data[:1] != b"{":
        return False
    return any(
        key in ("ROOT", name) and value not in (b"null", b"{}") for key, value in entries(data).items()
    )


def extra_of(extra: Raw, *metadata: Raw) -> bytes | None:
    """Return `extra`, with metadata that stands beside it put in; no value is encoded again.

    Args:
        metadata: the fields beside it; what `extra` says itself goes before them, and the first before the second.

    Raises:
        FieldError: one of them is no object.
    """
    whole = payload("extra", extra, "object")
    beside = [data for raw in metadata if (data := payload("metadata", raw, "object")) not in (None, b"{}")]
    if not beside:
        return whole
    found = entries(whole) if whole else {}
    own = found.get("metadata", b"null")
    if own != b"null":
        if own[:1] != b"{":
            raise FieldError(f"the metadata of its extra is {kind_of(own)}, not an object")
        beside.insert(0, own)
    merged: dict[str, bytes] = {}
    for data in beside:
        for name, value in entries(data or b"{}").items():
            merged.setdefault(name, value)
    return joined({**found, "metadata": joined(merged)})


def joined(values: dict[str, bytes]) -> bytes:
    """Return an object of values that are JSON already."""
    return b"{" + b",".join(msgspec.json.encode(name) + b":" + data for name, data in values.items()) + b"}"


def attachments(raw: Raw, links: Raw) -> bytes | None:
    """Return the files of a run.

    Raises:
        FieldError: they are not in the form that `download` writes, or not in the file.
    """
    data = payload("attachments", raw, "object")
    if data is not None and data != b"{}":
        try:
            _attachments(data)
        except msgspec.ValidationError:
            raise FieldError(
                'its attachments are not {NAME: {"mime_type": TYPE, "data": BASE64}}; '
                f"where they are addresses, {_AGAIN}"
            ) from None
        return data
    elsewhere = [name for name in entries(given(links) or b"{}") if name.startswith("attachment.")]
    if elsewhere:
        raise FieldError(
            f"its attachment {elsewhere[0][11:]!r} is not in the file, but at an address: {_AGAIN}"
        )
    return data


def feedback(raw: Raw) -> bytes | None:
    """Return the feedback of a run.

    Raises:
        FieldError: it is no list of objects that have a key.
    """
    data = objects("feedback", raw)
    if data is not None:
        try:
            _feedback(data)
        except msgspec.ValidationError:
            raise FieldError("its feedback is not a list of objects with a key, all of them") from None
    return data
