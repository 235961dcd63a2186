"""Runs as the second generation of reads shows them: chosen by upper-case names, in other words and units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evalbackend.errors import HttpError

Run = dict[str, Any]
_ERROR_PREVIEW = 200
_COSTS = ("PROMPT_COST", "COMPLETION_COST", "TOTAL_COST")
_DETAILS = (
    "PROMPT_TOKEN_DETAILS",
    "COMPLETION_TOKEN_DETAILS",
    "PROMPT_COST_DETAILS",
    "COMPLETION_COST_DETAILS",
)
_UNKNOWN_HERE = ("PRICE_MODEL_ID", "THREAD_EVALUATION_TIME", "LAST_QUEUED_AT", "LS_USER_ID")
_AS_BEFORE = (
    "ID", "NAME", "START_TIME", "END_TIME", "FIRST_TOKEN_TIME", "ERROR", "EXTRA", "METADATA", "EVENTS",
    "INPUTS", "INPUTS_PREVIEW", "OUTPUTS", "OUTPUTS_PREVIEW", "PARENT_RUN_IDS", "TRACE_ID", "THREAD_ID",
    "DOTTED_ORDER", "REFERENCE_EXAMPLE_ID", "REFERENCE_DATASET_ID", "TOTAL_TOKENS", "PROMPT_TOKENS",
    "COMPLETION_TOKENS", "TAGS", "APP_PATH", "FEEDBACK_STATS",
)  # fmt: skip
AGGREGATES = ("TOTAL_TOKENS", "TOTAL_COST", "FIRST_TOKEN_TIME")  # of a trace: told beside its root


@dataclass(frozen=True, slots=True)
class Shape:
    """What a client selected; `base` is this server's address, for links that are shared."""

    selects: tuple[str, ...]
    base: str

    @property
    def fields(self) -> list[str]:
        """The fields that must be read of a run."""
        return [name for token in self.selects for name in _FIELDS[token][0]]

    def shown(self, run: Run) -> Run:
        """Return a run as it is selected."""
        return {token.lower(): _FIELDS[token][1](run, self.base) for token in self.selects}


def shape_of(selects: object, base: str) -> Shape:
    """Return the shape for a list of field names; without any, a run shows its id only. 400 for others."""
    if selects is None or selects == []:
        return Shape(("ID",), base)
    if not isinstance(selects, list) or not all(isinstance(one, str) for one in selects):
        raise HttpError(400, "selects must be a list of field names")
    tokens = tuple(dict.fromkeys(one.upper() for one in selects))
    unknown = [token for token in tokens if token not in _FIELDS]
    if unknown:
        raise HttpError(400, f"selects: {unknown[0]!r} is not one of {', '.join(sorted(_FIELDS))}")
    return Shape(tokens, base)


def seconds_of(run: Run) -> float | None:
    """Return how long a run took."""
    if not run.get("start_time") or not run.get("end_time"):
        return None
    took = datetime.fromisoformat(run["end_time"]) - datetime.fromisoformat(run["start_time"])
    return max(took.total_seconds(), 0.0)


_Show = Callable[[Run, str], Any]


def _as_before(name: str) -> tuple[tuple[str, ...], _Show]:
    return (name,), lambda run, _: run.get(name)


def _upper(name: str) -> tuple[tuple[str, ...], _Show]:
    return (name,), lambda run, _: run[name].upper()


def _cost(name: str) -> tuple[tuple[str, ...], _Show]:
    return (name,), lambda run, _: None if run.get(name) is None else float(run[name])


def _details(name: str) -> tuple[tuple[str, ...], _Show]:
    def wrapped(run: Run, _: str) -> Any:
        return None if run.get(name) is None else {"raw": {key: _plain(run[name][key]) for key in run[name]}}

    return (), wrapped


def _plain(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return None


def _attachments(run: Run, _: str) -> dict[str, str] | None:
    urls = run.get("s3_urls")
    if urls is None:
        return None
    return {name.removeprefix("attachment."): told["presigned_url"] for name, told in urls.items()}


def _share_url(run: Run, base: str) -> str | None:
    return None if run["share_token"] is None else f"{base}/public/{run['share_token']}/r"


_FIELDS: dict[str, tuple[tuple[str, ...], _Show]] = {
    **{token: _as_before(token.lower()) for token in _AS_BEFORE},
    **{token: _upper(token.lower()) for token in ("RUN_TYPE", "STATUS")},
    **{token: _cost(token.lower()) for token in _COSTS},
    **{token: _details(token.lower()) for token in _DETAILS},
    **{token: ((), lambda run, base: None) for token in _UNKNOWN_HERE},
    "PROJECT_ID": (("session_id",), lambda run, _: run["session_id"]),
    "LATENCY_SECONDS": ((), lambda run, _: seconds_of(run)),
    "ERROR_PREVIEW": (("error",), lambda run, _: (run["error"] or "")[:_ERROR_PREVIEW] or None),
    "MANIFEST": (("serialized",), lambda run, _: run["serialized"]),
    "IS_ROOT": (("parent_run_id",), lambda run, _: run["parent_run_id"] is None),
    "IS_IN_DATASET": (("reference_example_id",), lambda run, _: run["reference_example_id"] is not None),
    "SHARE_URL": (("share_token",), _share_url),
    "ATTACHMENTS": (("s3_urls",), _attachments),
}
