"""An experiment as the backend has it, in a form that two runners can be compared by, field by field."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

from langsmith import Client
from langsmith.schemas import Feedback, Run

_ADDRESS = re.compile(r"0x[0-9a-f]+")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ORDER = re.compile(r"[0-9]{8}T[0-9]{12}Z")
#: The revision is `git describe`, which says something else once a file is edited.
_FLEETING = (
    "start_time",
    "end_time",
    "time",
    "dotted_order",
    "session_name",
    "experiment",
    "presigned_url",
    "revision_id",
)
_FRAME = re.compile(r'\s*File "([^"]+)", line (\d+), in (\S+)')


def read(client: Client, name: str) -> dict[str, Any]:
    """Return everything of an experiment, by the `case` in its example's inputs."""
    project = client.read_project(project_name=name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        runs = list(client.list_runs(project_id=project.id))
        scores = list(client.list_feedback(run_ids=[run.id for run in runs])) if runs else []
        judged = [judge for score in scores if (judge := _judge(score))]
        judges = {run.id: run for run in client.list_runs(id=judged)} if judged else {}
    cases = {
        one.id: str((one.inputs or {}).get("case"))
        for one in client.list_examples(dataset_id=project.reference_dataset_id)
    }
    seen: dict[str, Any] = {}
    for run in runs:
        if run.parent_run_id is None:
            example = run.reference_example_id
            key = f"beside: {run.name}" if example is None else cases[example]
            below = [one for one in runs if one.trace_id == run.id]
            seen[key] = {**_tree(run, below), "scores": _scores(run, below, scores, judges)}
    return seen


def _judge(score: Feedback) -> str | None:
    """Return the id of the evaluator's own run, if the score says one."""
    metadata = (score.feedback_source.metadata if score.feedback_source else None) or {}
    found = (metadata.get("__run") or {}).get("run_id")
    return str(found) if found else None


def _tree(run: Run, runs: list[Run]) -> dict[str, Any]:
    below = [_tree(one, runs) for one in runs if one.parent_run_id == run.id]
    return {**_fields(run), "children": sorted(below, key=lambda one: json.dumps(one, sort_keys=True))}


def _fields(run: Run) -> dict[str, Any]:
    extra = run.extra or {}
    return {
        "name": run.name,
        "run_type": run.run_type,
        "inputs": run.inputs,
        "outputs": run.outputs,
        "error": _error(run.error),
        "ended": run.end_time is not None,
        "in order": run.end_time is None or run.start_time <= run.end_time,
        "status": run.status,
        "tags": sorted(run.tags or []),
        "metadata": extra.get("metadata"),
        "extra": sorted(key for key in extra if key not in ("metadata", "runtime")),
        "runtime": sorted(extra.get("runtime") or {}),
        "events": [{k: v for k, v in event.items() if k != "time"} for event in run.events or []],
        "tokens": [run.prompt_tokens, run.completion_tokens, run.total_tokens],
        "attachments": sorted(run.attachments or {}),
        "serialized": run.serialized,
    }


def _error(text: str | None) -> Any:
    """Return what was raised, and where in the user's own files."""
    if text is None:
        return None
    head, _, trace = text.partition("\n\n")
    if trace.strip() == "NoneType: None":
        return {"head": head, "trace": None}
    frames = [
        f"{m[1].rpartition('/')[2]}:{m[2]} {m[3]}" for m in _FRAME.finditer(trace) if "/corpus/" in m[1]
    ]
    said = [line for line in trace.splitlines() if line and not line.startswith((" ", "Traceback"))]
    return {"head": head, "trace": {"frames": frames, "said": said}}


def _scores(
    root: Run, runs: list[Run], scores: list[Feedback], judges: dict[Any, Run]
) -> list[dict[str, Any]]:
    names = {run.id: run.name if run.id != root.id else "the root" for run in runs}
    found = []
    for score in scores:
        if score.run_id not in names:
            continue
        source, judge = score.feedback_source, _judge(score)
        run = next((one for one in judges.values() if str(one.id) == judge), None)
        facts = {k: v for k, v in ((source.metadata if source else None) or {}).items() if k != "__run"}
        found.append({
            "of": names[score.run_id], "key": score.key, "score": score.score, "value": score.value,
            "comment": _comment(score.comment), "correction": score.correction, "extra": score.extra,
            "source": [source.type if source else None, facts],
            "judge": None if judge is None else "is not there" if run is None else _judged(run),
        })  # fmt: skip
    return sorted(found, key=lambda one: (one["key"], json.dumps(one, sort_keys=True, default=repr)))


def _judged(run: Run) -> dict[str, Any]:
    facts = _fields(run)
    if facts["outputs"] and "comment" in facts["outputs"]:
        facts["outputs"]["comment"] = _comment(facts["outputs"]["comment"])
    wanted = ("name", "run_type", "inputs", "outputs", "error", "tags", "metadata", "ended")
    return {name: facts[name] for name in wanted}


def _comment(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except (TypeError, ValueError):  # a comment need not be a text
        return text


def plainly(value: Any) -> Any:
    """Take out what differs between any two runs: addresses, ids, times, the experiment's name."""
    text = json.dumps(value, sort_keys=True, default=repr)
    return _timeless(json.loads(_ORDER.sub("<order>", _UUID.sub("<id>", _ADDRESS.sub("0x", text)))))


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _field(key, one) for key, one in value.items()}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def _field(key: str, value: Any) -> Any:
    if key in _FLEETING:
        return f"<{key}>"
    return _error(value) if key == "error" and isinstance(value, str) else _timeless(value)


def differences(plain: Any, ours: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield every (path, plain, ours) in which two readings differ."""
    if isinstance(plain, dict) and isinstance(ours, dict):
        for key in sorted({*plain, *ours}):
            there, here = plain.get(key, "<nothing>"), ours.get(key, "<nothing>")
            yield from differences(there, here, f"{path}/{key}")
    elif isinstance(plain, list) and isinstance(ours, list) and len(plain) == len(ours):
        for number, (there, here) in enumerate(zip(plain, ours, strict=True)):
            yield from differences(there, here, f"{path}/{number}")
    elif plain != ours or type(plain) is not type(ours):
        yield path, plain, ours
