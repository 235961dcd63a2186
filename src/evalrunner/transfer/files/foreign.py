"""What else is called traces: known by its keys, named, and where it can go."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

Keys = frozenset[str]
_DATASET = "rows like these make a dataset: evalrunner dataset push"
_OTLP = "LangSmith takes OpenTelemetry spans at its endpoint /otel/v1/traces"
_OPENINFERENCE = ("context.", "attributes.openinference", "attributes.llm")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


#: By the first object of a file: whether it is one, what it is called, what can be done with it.
KNOWN: list[tuple[Callable[[Keys, dict[str, Any]], bool], str, str]] = [
    (lambda keys, one: {"endpoint", "body_base64"} <= keys, "a trace that LangSmith's SDK could not send",
     "evalrunner upload --replay FOLDER sends a folder of these as they are"),
    (lambda keys, one: bool(keys & {"resourceSpans", "resource_spans", "scopeSpans"}), "OTLP/JSON", _OTLP),
    (lambda keys, one: bool(keys & {"parentObservationId", "parent_observation_id", "observations", "htmlPath",
                                    "bookmarked"} or {"traceId", "projectId"} <= keys), "a Langfuse export",
     "Langfuse has the fields under other names, and no run_type: it needs a conversion"),
    (lambda keys, one: ({"info", "data"} <= keys and "spans" in _dict(one["data"])) or
     "mlflow.traceRequestId" in _dict(one.get("attributes")), "MLflow traces",
     f"MLflow can send its spans by OTLP while they are made, and {_OTLP}"),
    (lambda keys, one: "span_data" in keys or one.get("object") in ("trace", "trace.span"),
     "spans of the OpenAI Agents SDK", "LangSmith's SDK has a tracing processor for it, for new traces"),
    (lambda keys, one: "span_kind" in keys or any(key.startswith(_OPENINFERENCE) for key in keys),
     "OpenInference spans (Phoenix)", _OTLP),
    (lambda keys, one: bool({"span_id", "spanId"} & keys or "span_id" in _dict(one.get("context"))),
     "OpenTelemetry spans", _OTLP),
    (lambda keys, one: bool(keys & {"child_llm_runs", "child_chain_runs", "child_tool_runs"}),
     "runs of LangChain's first tracer", "it needs a conversion"),
    (lambda keys, one: bool(keys & {"traceEvents", "traceID", "localEndpoint"}), "traces of another tracing system",
     "it needs a conversion"),
    (lambda keys, one: "op_name" in keys, "Weave calls", "it needs a conversion"),
    (lambda keys, one: str(one.get("object", "")).startswith(("chat.completion", "text_completion", "response")) or
     {"custom_id"} < keys or {"model", "messages"} <= keys or {"request", "response"} <= keys,
     "logs of calls of a model", "such a log has no runs with times and parents"),
    (lambda keys, one: {"role", "content"} <= keys or "messages" in keys or "conversations" in keys, "chat messages",
     "a chat has no runs with times and parents"),
    (lambda keys, one: "inputs" in keys and bool(keys & {"dataset_id", "outputs", "reference_outputs", "split"}),
     "examples of a dataset", "evalrunner dataset push takes inputs, outputs, metadata and split"),
    (lambda keys, one: bool(keys & {"question", "query", "prompt", "input"}) and
     bool(keys & {"answer", "answers", "response", "output", "completion", "expected", "reference", "ground_truth"}),
     "questions and answers", _DATASET),
]  # fmt: skip


def known(objects: Sequence[dict[str, Any]]) -> tuple[str, str] | None:
    """Return what the first object of a file is called, and where it can go."""
    one = objects[0]
    keys = frozenset(one)
    return next(((name, advice) for test, name, advice in KNOWN if test(keys, one)), None)


_BYTES = [
    (b"PK\x03\x04", "a zip archive (or a spreadsheet)", "unpack it"),
    (b"%PDF", "a PDF", ""),
    (b"SQLite format 3", "an SQLite database", ""),
    (b"\xfd7zXZ", "xz", "unpack it"),
    (b"BZh", "bzip2", "unpack it"),
    (b"\xff\xfe", "UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > utf8.json"),
    (b"\xfe\xff", "UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > utf8.json"),
    (b"\x80\x04", "a Python pickle", ""),
    (b"\x80\x05", "a Python pickle", ""),
]


def no_json(head: bytes) -> tuple[str, str] | None:
    """Return what a file is that is no JSON, by its first bytes, and what to do; None if it may be JSON."""
    found = next(((name, advice) for magic, name, advice in _BYTES if head.startswith(magic)), None)
    if found is None and b"\0" in head:
        found = "bytes that are no text", ""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return found if found or text[:1] in (b"{", b"[") else _text(text)


def _text(text: bytes) -> tuple[str, str] | None:
    if text[:1] == b"<":
        page = text[:200].lower()
        return ("an HTML page" if b"<!doctype html" in page or b"<html" in page else "XML"), ""
    line = text.partition(b"\n")[0]
    try:
        json.loads(line)
    except ValueError:
        table = any(mark in line for mark in (b",", b"\t", b";"))
        return ("CSV", _DATASET) if table else ("plain text", "")
    return None
