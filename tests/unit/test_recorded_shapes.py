"""What is no file of runs is named in one sentence, and where it can go; what is one is read, in any shape."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from langsmith.schemas import Run

from evalrunner.errors import ConfigError, DataError
from evalrunner.transfer.files import Inputs, read_run

RUN: dict[str, Any] = {
    "id": "5dc1a5a4-3e8d-4b6f-9d0a-0a5f5a6a7b8c", "trace_id": "5dc1a5a4-3e8d-4b6f-9d0a-0a5f5a6a7b8c", "name": "n",
    "run_type": "chain", "start_time": "2024-04-29T00:49:12.090000", "inputs": {"q": 1},
}  # fmt: skip
OTLP = "LangSmith takes OpenTelemetry spans at its endpoint /otel/v1/traces"
CONVERT = "it needs a conversion"
DATASET = "rows like these make a dataset: evalrunner dataset push"
CALLS = "such a log has no runs with times and parents"

#: A file, what is said to be found in it, and where that can go.
FOREIGN: dict[str, tuple[Any, str, str]] = {
    "Langfuse observations": (
        [{"id": "o", "traceId": "t", "projectId": "p", "type": "SPAN", "name": "n", "startTime": "2024-01-01",
          "parentObservationId": None, "input": "{}", "output": "{}"}],
        "a Langfuse export", "Langfuse has the fields under other names, and no run_type: it needs a conversion"),
    "Langfuse JSONL": (
        '{"id":"o","trace_id":"t","project_id":"p","type":"GENERATION","parent_observation_id":"x",'
        '"start_time":"2024-01-01 00:00:00.000","end_time":null,"input":"{}"}\n{"id":"x","trace_id":"t",'
        '"project_id":"p","type":"SPAN","parent_observation_id":null,"start_time":"2024-01-01 00:00:00.000"}\n',
        "a Langfuse export", "Langfuse has the fields under other names, and no run_type: it needs a conversion"),
    "Langfuse trace": (
        {"id": "t", "timestamp": "2024-01-01", "name": "n", "observations": [], "scores": [], "htmlPath": "/x"},
        "a Langfuse export", "Langfuse has the fields under other names, and no run_type: it needs a conversion"),
    "OTLP/JSON": (
        {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [{"traceId": "aa", "spanId": "bb"}]}]}]},
        "OTLP/JSON", OTLP),
    "OTLP/JSON lines": ('{"resourceSpans": []}\n{"resourceSpans": []}\n', "OTLP/JSON", OTLP),
    "MLflow": (
        [{"info": {"request_id": "tr-1", "timestamp_ms": 1}, "data": {"spans": [], "request": "{}"}}],
        "MLflow traces", f"MLflow can send its spans by OTLP while they are made, and {OTLP}"),
    "Agents SDK": (
        [{"object": "trace.span", "id": "span_1", "trace_id": "trace_1", "parent_id": None,
          "started_at": "2024-01-01", "ended_at": "2024-01-01", "span_data": {"type": "agent"}}],
        "spans of the OpenAI Agents SDK", "LangSmith's SDK has a tracing processor for it, for new traces"),
    "Phoenix": (
        [{"context.trace_id": "t", "context.span_id": "s", "parent_id": None, "name": "n", "span_kind": "LLM",
          "start_time": "2024-01-01", "end_time": "2024-01-01", "attributes": {}}],
        "OpenInference spans (Phoenix)", OTLP),
    "OpenTelemetry's console": (
        {"name": "n", "context": {"trace_id": "0x1", "span_id": "0x2"}, "kind": "SpanKind.INTERNAL",
         "parent_id": None, "start_time": "2024-01-01T00:00:00Z", "attributes": {}},
        "OpenTelemetry spans", OTLP),
    "first tracer": (
        [{"id": 1, "start_time": "2023-01-01T00:00:00", "end_time": "2023-01-01T00:00:01", "extra": {},
          "execution_order": 1, "serialized": {}, "session_id": 1, "inputs": {}, "child_llm_runs": [],
          "child_chain_runs": [], "child_tool_runs": []}],
        "runs of LangChain's first tracer", CONVERT),
    "Jaeger": ({"data": [{"traceID": "x", "spans": []}]}, "an object with the keys data", ""),
    "Chrome": ({"traceEvents": [], "displayTimeUnit": "ms"}, "traces of another tracing system", CONVERT),
    "Weave": ([{"id": "x", "op_name": "o", "trace_id": "t", "started_at": "2024-01-01"}], "Weave calls", CONVERT),
    "completions": (
        '{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[]}\n',
        "logs of calls of a model", CALLS),
    "call log": ([{"model": "m", "messages": [], "response": {}}], "logs of calls of a model", CALLS),
    "batch": ('{"custom_id":"1","method":"POST","url":"/v1","body":{}}\n', "logs of calls of a model", CALLS),
    "chat": ([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hi"}], "chat messages",
             "a chat has no runs with times and parents"),
    "chats": ('{"messages": [{"role": "user", "content": "hi"}]}\n', "chat messages",
              "a chat has no runs with times and parents"),
    "questions": ([{"question": "q", "answer": "a"}], "questions and answers", DATASET),
    "inputs and outputs": ([{"prompt": "q", "completion": "a", "score": 1}], "questions and answers", DATASET),
    "examples": (
        [{"id": RUN["id"], "dataset_id": RUN["id"], "inputs": {}, "outputs": {}, "created_at": "2024-01-01"}],
        "examples of a dataset", "evalrunner dataset push takes inputs, outputs, metadata and split"),
    "what the SDK could not send": (
        {"version": 1, "endpoint": "http://x", "headers": {}, "body_base64": "eA=="},
        "a trace that LangSmith's SDK could not send",
        "evalrunner upload --replay FOLDER sends a folder of these as they are"),
    "verdicts": ([{"case": 1, "verdict": "pass", "why": "x"}] * 3, "objects with the keys case, verdict, why", ""),
    "runs in a list of another name": (
        {"exported": "today", "traces": [RUN]}, "an object with the keys exported, traces",
        "take its list out with jq: jq .traces FILE > runs.json"),
    "settings": ({f"key{number}": number for number in range(20)},
                 "an object with the keys key0, key1, key2, key3, key4, key5, key6, key7, ...", ""),
    "no keys": ("{}", "an object with no keys", ""),
    "numbers": ("[1, 2, 3.5]", "numbers", ""),
    "texts": ('["a", "b"]', "texts", ""),
    "lists": ("[[1], [2]]", "lists", ""),
    "nulls": ("[null]", "null", ""),
    "a number": ("7", "numbers", ""),
    "mixed": ('[1, [2], "x"]', "values of several kinds", ""),
    "HTML": ("\n<!DOCTYPE html><html><body>403</body></html>", "an HTML page", ""),
    "XML": ('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML", ""),
    "CSV": ("id,name,inputs\n1,a,{}\n", "CSV", DATASET),
    "quoted CSV": ('"id","name"\n"1","a"\n', "CSV", DATASET),
    "TSV": ("id\tname\n1\ta\n", "CSV", DATASET),
    "text": ("2024-01-01 12:00:00 INFO started\n", "plain text", ""),
    "YAML": ("- id: 1\n  run_type: llm\n", "plain text", ""),
    "zip": (b"PK\x03\x04\x14\0\0\0", "a zip archive (or a spreadsheet)", "unpack it"),
    "xz": (b"\xfd7zXZ\0\0", "xz", "unpack it"),
    "SQLite": (b"SQLite format 3\0", "an SQLite database", ""),
    "pickle": (b"\x80\x04\x95\x10\0", "a Python pickle", ""),
    "UTF-16": ("[]".encode("utf-16"), "UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > utf8.json"),
    "bytes": (b"\x01\x02\0\x03", "bytes that are no text", ""),
    "Python": ("{'id': 1}", "what cannot be read (not JSON (Expecting property name enclosed in double quotes, "
               "at character 2 of it))", ""),
    "half of an object": ('{"a": 1, "b', "what cannot be read (cut off: the file ends inside of it)", ""),
}  # fmt: skip


def written(path: Path, content: Any) -> Path:
    """Write a file: bytes, text, or a value as JSON."""
    text = content if isinstance(content, (bytes, str)) else json.dumps(content)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("shape", FOREIGN)
def test_other_shapes_are_named(tmp_path: Path, shape: str) -> None:
    content, found, advice = FOREIGN[shape]
    path = written(tmp_path / "traces.json", content)
    with pytest.raises(DataError) as caught:
        Inputs([path], tmp_path)
    hint = f" ({advice})" if advice else ""
    expected = "expected runs (objects with id, run_type and start_time)"
    assert str(caught.value) == f"{path}: {expected}, found {found}{hint}; nothing was sent"


@pytest.mark.parametrize(
    ("begins", "found"),
    [
        ('{"resourceSpans": [', "OTLP/JSON"),
        ('{"exported": {"at": 1.5}, "traces": [', "an object with the keys exported, traces"),
    ],
)
def test_of_a_large_object_no_more_is_read_than_its_beginning(
    tmp_path: Path, begins: str, found: str
) -> None:
    path = tmp_path / "traces.json"
    path.write_bytes(begins.encode() + b"{}," * (1 << 18))
    os.truncate(path, 1 << 34)  # 16 GB, none of them on a disk: reading them would take minutes
    with pytest.raises(DataError, match=f"found {found}"):
        Inputs([path], tmp_path)


def test_large_runs_and_lists_of_runs_are_read(tmp_path: Path) -> None:
    large = {**RUN, "inputs": {"x": "y" * (1 << 20)}}
    for content in (
        large,
        {"cursors": {"a": 1}, "runs": [large, RUN]},
        {"id": "i", "extra": {"x": "y" * (1 << 20)}, **RUN},
    ):
        with Inputs([written(tmp_path / "traces.json", content)], tmp_path) as inputs:
            assert all(one.fault is None for one in inputs.elements())


def test_every_format_that_is_known_has_its_row() -> None:
    from evalrunner.transfer.files.foreign import KNOWN

    assert {name for _, name, _ in KNOWN} <= {found for _, found, _ in FOREIGN.values()}


def test_one_of_several_files_is_enough(tmp_path: Path) -> None:
    good = written(tmp_path / "a.json", [RUN])
    bad = written(tmp_path / "b.json", [1])
    with pytest.raises(DataError, match=r"b\.json: expected runs"):
        Inputs([good, bad], tmp_path)
    with pytest.raises(ConfigError, match=r"b\.json holds no runs"):
        Inputs([good, written(bad, [])], tmp_path)


def pydantic() -> dict[str, Any]:
    """Return what list_runs gives, dumped."""
    dumped: dict[str, Any] = json.loads(Run(**RUN).model_dump_json())
    return dumped


SHAPES: dict[str, Any] = {
    "an array": [RUN],
    "lines": json.dumps(RUN) + "\n",
    "a list of runs": {"runs": [RUN]},
    "what a query answers": {"cursors": {"next": "x", "prev": None}, "parsed_query": None, "runs": [RUN]},
    "what the langsmith command gets": {"trace_id": "t", "run_count": 1, "runs": [RUN]},
    "one run": RUN,
    "one run, indented": json.dumps(RUN, indent=2),
    "dumped by pydantic": None,
    "lists of runs on lines": json.dumps({"runs": [RUN]}) + "\n",
    "failed traces": [{"trace_id": "t", "reason": "r", "where": {}, "runs": [RUN]}],
    "odd ones first": [1, "x", {}, RUN],
    "with what a run of the service has too": {
        **RUN, "dotted_order": "20240429T004912090000Z5dc1a5a4", "status": "success", "session_id": RUN["id"],
        "total_tokens": 7, "prompt_cost": "0.1", "child_run_ids": [], "child_runs": None, "app_path": "/o/x",
        "feedback_stats": {"k": {"n": 1}}, "observations": [], "input": "x", "output": "y",
    },
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_runs_are_read_in_every_shape(tmp_path: Path, shape: str) -> None:
    path = written(tmp_path / "traces.json", SHAPES[shape] or [pydantic()])
    with Inputs([path], tmp_path) as inputs:
        found = read_run(list(inputs.elements())[-1].data)
    assert (found.id, found.trace, found.run_type) == (RUN["id"], RUN["trace_id"], "chain")
    assert found.start == 1_714_351_752_090_000
    assert json.loads(found.inputs or b"") == {"q": 1}


def test_a_line_of_the_langsmith_command(tmp_path: Path) -> None:
    line = (
        '{"run_id":"r","trace_id":"r","name":"n","run_type":"llm","parent_run_id":null,'
        '"start_time":"2024-04-29T00:49:12.090123456Z","end_time":"2024-04-29T00:49:13.5Z","duration_ms":1409,'
        '"custom_metadata":{"user":"u","n":1.0},"inputs":{"a":1},"outputs":{"b":2},"error":null,"tags":["x"]}\n'
    )
    with Inputs([written(tmp_path / "r.jsonl", line * 2)], tmp_path) as inputs:
        first, second = inputs.elements()
    assert (first.line, second.line, second.offset) == (1, 2, len(line))
    found = read_run(first.data)
    assert (found.id, found.start, found.end) == ("r", 1_714_351_752_090_123, 1_714_351_753_500_000)
    assert (found.extra, found.tags) == (b'{"metadata":{"user":"u","n":1.0}}', b'["x"]')


@pytest.mark.parametrize("missing", ["id", "run_type", "start_time"])
def test_runs_that_lack_something_are_runs_all_the_same(tmp_path: Path, missing: str) -> None:
    run = {key: value for key, value in RUN.items() if key != missing}
    with Inputs([written(tmp_path / "r.json", [run])], tmp_path) as inputs:
        assert len(list(inputs.elements())) == 1
