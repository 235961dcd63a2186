"""The values that the fuzzer sends: mostly what is meant, sometimes what has broken servers before."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from hypothesis import strategies as st

Schema = dict[str, Any]
T = TypeVar("T")
MARK = "frontier"
_ODD = [
    "", "\x00", "é\u202e", "a" * 5000, "%", "'", "null", "1e400", "../..", "<b>", "2026-02-30", "-1", "success",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59", "99999999999999999999", "chain", "latest",
]  # fmt: skip
_FIELDS = ["name", "latency", "start_time", "tags", "metadata_key", "feedback_score", "error", "id", "inputs",
           "total_tokens", "metadata", "is_root", "thread_id", "total_cost", "run_type", "split"]  # fmt: skip
_WORDS = ["eq", "neq", "gt", "lte", "has", "in", "exists", "search", "like", "and", "or", "not", "nonsense"]
_LITERALS = ['"x"', "1", "-1e999", "99999999999999999999999", "true", "null", "'{\"a\": 1}'", '"2s"', "[1, 'a']",
             '"\\ud800"', "'%'", "[]"]  # fmt: skip
_NUMBERS = [0, 1, -1, 100, 101, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 1.5, 1e308, -0.0]


def mostly(good: st.SearchStrategy[T], odd: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Return a strategy that is `good` fifteen times of sixteen."""
    return st.integers(0, 15).flatmap(lambda lot: odd if lot == 13 else good)


#: Words in the name of a field, or in a path, and the kind of thing that they are about.
_KINDS = {"run": "runs", "trace": "runs", "session": "sessions", "project": "sessions", "experiment": "sessions",
          "example": "examples", "dataset": "datasets",
          "queue": "annotation-queues", "feedback": "feedback"}  # fmt: skip


def _ids(name: str, path: str, known: dict[str, str]) -> st.SearchStrategy[str]:
    """Return mostly the id that is meant, sometimes another one, sometimes a new one."""
    if name == "token":
        meant = known["public" if "datasets" in path or "examples" in path else "shared"]
    else:
        kind = next((kind for word, kind in _KINDS.items() if word in name), None)
        before = [part for part in path.partition("{")[0].split("/") if part in known]
        meant = known[kind or (before[-1] if before else "runs")]
    others = st.one_of(st.sampled_from(sorted(known.values())), st.uuids().map(str))
    return mostly(st.just(meant), others)


def value_of(name: str, schema: Schema, known: dict[str, str], path: str) -> st.SearchStrategy[Any]:
    """Return values of a field of this name and schema, in the operation at `path`."""
    good: st.SearchStrategy[Any]
    if name.endswith("filter"):
        good = _filters()
    elif schema.get("format") == "uuid":
        good = _ids(name, path, known)
    elif schema.get("format") == "date-time" or name in ("as_of", "from_version", "to_version"):
        good = st.sampled_from(
            ["2026-01-02T03:04:05Z", "2000-01-01", "latest", "2030-01-01T00:00:00.123456+02:00"]
        )
    elif schema.get("type") == "array":
        good = st.lists(
            value_of(name, schema["items"], known, path) if "items" in schema else json_values(), max_size=3
        )
    elif schema.get("type") == "object":
        good = st.dictionaries(
            st.sampled_from(["a", "metadata", "$ref", "type", "rename", "days"]), json_values(), max_size=3
        )
    else:
        kinds = {"boolean": st.booleans(), "integer": st.sampled_from([0, 1, 20, 100])}
        good = kinds.get(str(schema.get("type")), st.sampled_from([*_ODD, "run", "a", "kv", "chain", "ASC"]))
    return mostly(good, st.one_of(st.sampled_from(_ODD), json_values()))


def json_values() -> st.SearchStrategy[Any]:
    """Return any JSON."""
    leaves = st.one_of(st.none(), st.booleans(), st.sampled_from(_NUMBERS), st.sampled_from(_ODD))
    keys = st.sampled_from(["", "a", "metadata", "id", "run_id", "type"])
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=5,
    )


def _filters() -> st.SearchStrategy[str]:
    leaf = st.sampled_from([*_FIELDS, *_LITERALS])
    call = st.tuples(st.sampled_from(_WORDS), st.sampled_from(_FIELDS), leaf).map(
        lambda t: f"{t[0]}({t[1]}, {t[2]})"
    )
    wider = st.recursive(
        call,
        lambda inner: st.tuples(st.sampled_from(_WORDS), st.lists(inner, max_size=3)).map(_called),
        max_leaves=6,
    )
    return st.one_of(wider, wider, wider.map(lambda text: text[: len(text) // 2]), st.just("not(" * 500))


def _called(told: tuple[str, list[str]]) -> str:
    return f"{told[0]}({', '.join(told[1])})"


def form(known: dict[str, str]) -> st.SearchStrategy[bytes]:
    """Return multipart bodies: runs, examples, feedback, files; some torn."""
    fields = ["", ".inputs", ".outputs", ".extra", ".error", ".events", ".serialized", ".attachments_operations",
              ".attachment.a", ".nonsense"]  # fmt: skip
    there = st.sampled_from(sorted(known.values()))
    ids = st.one_of(there, st.uuids().map(str), st.sampled_from(["nobody", ""]))
    named = st.tuples(
        st.sampled_from(["post.", "patch.", "feedback.", "attachment.", "", ""]), ids, st.sampled_from(fields)
    ).map("".join)
    names = st.one_of(named, st.sampled_from(["file", "input_keys", "output_keys", "name", "data_type", "x"]))
    run = {"name": "r", "run_type": "chain", "start_time": "2026-01-02T03:04:05Z"}
    keys = [*run, "dataset_id", "id", "split", "key", "score", "dotted_order"]
    data = st.one_of(
        json_values().map(dumped),
        st.just(dumped(run)),
        st.dictionaries(st.sampled_from(keys), json_values() | there).map(dumped),
        st.binary(max_size=20),
        st.sampled_from([b"a,b\n1,2\n", b'a,"b\n', b"a", b"\xff"]),
    )  # fmt: skip
    whole = st.lists(st.tuples(names, data, st.booleans()).map(_part), max_size=4).map(
        lambda parts: b"".join(parts) + f"--{MARK}--\r\n".encode()
    )
    return st.one_of(whole, whole, whole, whole.map(lambda raw: raw[: len(raw) // 2]))


def _part(told: tuple[str, bytes, bool]) -> bytes:
    name, data, honest = told
    length = len(data) if honest else len(data) + 3
    head = f'--{MARK}\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n'
    return (
        f"{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode() + data + b"\r\n"
    )


def dumped(value: Any) -> bytes:
    """Return a value as JSON; text that is no UTF-8 cannot be in it."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
