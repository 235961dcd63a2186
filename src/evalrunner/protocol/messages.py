"""What supervisor and worker say to each other, as JSON over a pipe.

Nothing here is pickled: a worker runs somebody else's code, and the supervisor must not run what it sends.
Workers report in the past tense (reports.py), supervisors give orders (orders.py).
"""

from __future__ import annotations

from typing import Any, Union, get_args

import orjson

from evalrunner.protocol.loose import LooseRecord
from evalrunner.protocol.orders import Begin, Drain, Lease, LeasedItem, Retire, Stop, Summarise, Trust
from evalrunner.protocol.reports import (
    Ack,
    Leaving,
    ProducedItem,
    Ready,
    Report,
    SettingUp,
    StartFailed,
    Summarised,
)
from evalrunner.protocol.shapes import checked, numbers

Message = Union[
    Begin, Lease, Drain, Stop, Retire, Trust, Summarise,
    SettingUp, Ready, StartFailed, Report, Ack, Leaving, Summarised,
]  # fmt: skip
_KINDS: dict[str, type[Any]] = {c.__name__: c for c in get_args(Message)}


def encode(message: Message) -> bytes:
    """Turn a message into bytes for a pipe."""
    return orjson.dumps([type(message).__name__, message], option=orjson.OPT_NON_STR_KEYS)


def decode(data: bytes) -> Message:
    """Turn bytes from a pipe into a message.

    Raises:
        ValueError: the bytes are not a message.
    """
    try:
        kind, body = orjson.loads(data)
        if kind == "Lease":
            return Lease([LeasedItem(**item) for item in body["items"]])
        if kind == "Report":
            return _report(body)
        message: Message = checked(_KINDS[kind](**body))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"these bytes are no message: {error}") from error
    return message


def _report(body: dict[str, Any]) -> Report:
    return checked(  # type: ignore[no-any-return]
        Report(
            produced=[checked(ProducedItem.from_json(p)) for p in body["produced"]],
            accepted=[_lease(each) for each in body["accepted"]],
            refused=[(*_lease(each), str(each[2])) for each in body["refused"]],
            note=body["note"],
            loose=[LooseRecord.from_json(each) for each in body["loose"]],
            withheld=[(*_lease(each), str(each[2])) for each in body["withheld"]],
        )
    )


def _lease(values: Any) -> tuple[int, int]:
    item, token = numbers(values, 2)
    return item, token
