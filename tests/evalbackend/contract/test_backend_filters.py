"""The filter language: what it reads, what it asks of SQLite, and what it says about what it does not know."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalbackend.errors import HttpError
from evalbackend.filtering.runs import GRAMMAR
from evalbackend.filtering.syntax import Call, Field, Items, Literal, Node, parse
from evalbackend.store.functions import register
from tests.support.backend import Backend, body, part, patch, post, run_id, running

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")


def spelled(node: Node) -> str:
    """The text of a tree."""
    if isinstance(node, Call):
        return f"{node.name}({', '.join(map(spelled, node.args))})"
    if isinstance(node, Items):
        return f"[{', '.join(map(spelled, node.nodes))}]"
    return node.name if isinstance(node, Field) else json.dumps(node.value)


def bare(node: Node) -> Any:
    """A tree without its places."""
    if isinstance(node, Call):
        return (node.name, [bare(arg) for arg in node.args])
    if isinstance(node, Items):
        return [bare(one) for one in node.nodes]
    return ("field", node.name) if isinstance(node, Field) else ("literal", repr(node.value))


WORDS = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda word: word not in ("true", "false", "null", "none")
)
LITERALS = st.builds(
    Literal,
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    st.just(0),
)  # fmt: skip
LEAVES: st.SearchStrategy[Node] = st.builds(Field, WORDS, st.just(0)) | LITERALS
NODES: st.SearchStrategy[Node] = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Call, WORDS, st.lists(inner, max_size=3).map(tuple), st.just(0))
        | st.builds(Items, st.lists(inner, max_size=3).map(tuple), st.just(0))
    ),
    max_leaves=8,
)


@given(st.builds(Call, WORDS, st.lists(NODES, max_size=4).map(tuple), st.just(0)))
def test_what_is_spelled_is_read(tree: Call) -> None:
    assert bare(parse(spelled(tree))) == bare(tree)


@given(st.text(alphabet="andorteq(),[]\"'\\ 1.5-name") | st.text())
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    refusal: HttpError | None = None
    try:
        GRAMMAR.sql(parse(text))
    except HttpError as error:
        refusal = error
    assert refusal is None or (refusal.status == 400 and "character" in refusal.detail)


# What an oracle in Python says of these rows, SQLite must say too.
ROWS: list[dict[str, Any]] = [
    {"id": f"00000000-0000-0000-0000-00000000000{n}", "name": name, "total_tokens": tokens, "tags": tags}
    for n, (name, tokens, tags) in enumerate([
        ("a", 1, ["x"]), ("b", None, ["x", "y"]), ("a", 7, None), ("c%", 0, []), ("b'--", 3, ["y"]),
    ])
]  # fmt: skip
Row = dict[str, Any]


def compared(name: str, field: str, value: Any) -> Callable[[Row], bool]:
    def judge(row: Row) -> bool:
        held = row[field]
        if name in ("eq", "neq"):
            return bool((held == value) == (name == "eq"))
        if held is None or value is None:
            return False
        truths = {"gt": held > value, "gte": held >= value, "lt": held < value, "lte": held <= value}
        return bool(truths[name])

    return judge


NAMES = st.sampled_from(["a", "b", "c%", "b'--", "c_", ""])
OPS = st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"])
Asked = tuple[str, Callable[[Row], bool]]
ASKED: st.SearchStrategy[Asked] = (
    st.tuples(OPS, NAMES).map(lambda t: (f"{t[0]}(name, {json.dumps(t[1])})", compared(t[0], "name", t[1])))
    | st.tuples(OPS, st.none() | st.integers(-1, 8)).map(
        lambda t: (f"{t[0]}(total_tokens, {json.dumps(t[1])})", compared(t[0], "total_tokens", t[1]))
    )
    | st.sampled_from(["x", "y", "z"]).map(
        lambda t: (f'has(tags, "{t}")', lambda row: t in (row["tags"] or []))
    )
    | st.lists(NAMES, max_size=3).map(
        lambda some: (f"in(name, {json.dumps(some)})", lambda r: r["name"] in some)
    )
)


def combined(inner: st.SearchStrategy[Asked]) -> st.SearchStrategy[Asked]:
    some = st.lists(inner, min_size=1, max_size=3)
    return (
        some.map(lambda t: (f"and({','.join(x[0] for x in t)})", lambda row: all(x[1](row) for x in t)))
        | some.map(lambda t: (f"or({','.join(x[0] for x in t)})", lambda row: any(x[1](row) for x in t)))
        | inner.map(lambda t: (f"not({t[0]})", lambda row: not t[1](row)))
    )


@pytest.fixture(scope="module")
def table() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    register(connection)
    script = resources.files("evalbackend.store").joinpath("schema.sql").read_text(encoding="utf-8")
    connection.executescript(script)
    for row in ROWS:
        tags = None if row["tags"] is None else json.dumps(row["tags"])
        connection.execute(
            "INSERT INTO runs (id, post_n, name, total_tokens, tags) VALUES (?, 1, ?, ?, ?)",
            (row["id"], row["name"], row["total_tokens"], tags),
        )
    yield connection
    connection.close()


@given(st.recursive(ASKED, combined, max_leaves=8))
def test_sqlite_says_what_an_oracle_says(table: sqlite3.Connection, asked: Asked) -> None:
    condition, args = GRAMMAR.sql(parse(asked[0]))
    found = {row[0] for row in table.execute(f"SELECT id FROM runs WHERE {condition}", args)}
    assert found == {row["id"] for row in ROWS if asked[1](row)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "character 0: expected a name"),
        ('eq(name "x")', "character 8: expected ',' or ')', found '\"x\")'"),
        ('eq(name, "x"', "character 12: expected ',' or ')', found the end"),
        ('eq(name, "x")) ', "character 13: expected the end"),
        ("and(eq(name, 'x'), eq(colour, 'red'))", "character 22: the field 'colour' is not known"),
        ('near(name, "x")', "character 0: near(name, ...) is not served"),
        ('eq(start_time, "teatime")', "character 15: start_time must be an ISO 8601 time"),
        ('eq(id, "7")', "character 7: id must be a UUID"),
        ('gt(latency, "long")', "character 12: latency is compared with a number"),
        ('has(metadata, "no json")', "character 14: has() on a JSON field needs a JSON object"),
        ("eq(name, [1])", "character 0: eq(name, ...) is not served"),
        ("in(name, [eq(a, 1)])", "character 10: expected a literal"),
        ("search(7)", "character 7: expected a string"),
        ("name", "character 0: expected a call"),
        ("$", "character 0: expected a name, a literal"),
        ("not(" * 30 + "eq(name, 'x')" + ")" * 30, "expected at most 20 levels"),
    ],
)
def test_what_is_not_known_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(HttpError) as refused:
        GRAMMAR.sql(parse(text))
    assert refused.value.status == 400
    assert told in refused.value.detail


# They stand in parameters, which must be the same in every process that collects them.
A, B, C, CHILD = (f"0c0ffee0-0000-4000-8000-00000000000{n}" for n in range(1, 5))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("filters") / "backend.db") as served:
        start, child = "20260102T030405000006Z", "20260102T030406000006Z"
        given = {"trace_id": A, "dotted_order": f"{start}{A}.{child}{CHILD}", "parent_run_id": A}
        sent = served.multipart(body(
            post(A, "s", name="alpha", tags=["beta", "prod"], end_time="2026-01-02T03:04:08.500006+00:00",
                 inputs={"question": "why is the sky blue?", "n": 4}, outputs={"answer": "scattering"},
                 extra={"metadata": {"user": "ann", "age": 7, "ok": True, "thread_id": "t-1"}}),
            post(CHILD, "s", name="call", run_type="llm", **given,
                 outputs={"usage_metadata": {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11,
                                             "total_cost": 0.25}}),
            post(B, "s", name="beta", inputs={"question": "100%"}, error="ValueError('no')",
                 extra={"metadata": {"user": "bob", "friend": "ann", "session_id": "t-1"}}),
            post(C, "s", name="gamma", end_time=None, start_time="2026-01-03T00:00:00+00:00"),
            patch(C, extra={"metadata": "not an object"}),
            part(f"feedback.{run_id()}", {"run_id": A, "trace_id": A, "key": "good", "score": 1}),
            part(f"feedback.{run_id()}", {"run_id": A, "trace_id": A, "key": "fast", "score": 0.2}),
            part(f"feedback.{run_id()}", {"run_id": B, "trace_id": B, "key": "good", "score": 0,
                                          "value": "poor", "comment": "meh"}),
        ))  # fmt: skip
        assert sent.status_code == 202
        yield served


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # as the SDK's docstrings and the documentation have them
        ('and(eq(run_type, "chain"), gt(latency, 3), lt(latency, "4s"))', {A}),
        ('and(gt(start_time, "2025-07-15T12:34:56Z"), or(neq(error, null), '
         'and(eq(feedback_key, "good"), eq(feedback_score, 1.0))))', {A, B}),
        ('and(or(has(tags, "experimental"), has(tags, "beta")), gt(latency, 2))', {A}),
        ('and(not(has(metadata, \'{"user": "bob"}\')), exists(metadata, "age"))', {A}),
        ('and(eq(metadata_key, "user"), eq(metadata_value, "ann"))', {A}),
        ('eq(metadata_value, "ann")', {A, B}),
        ('in(metadata_key, ["session_id", "conversation_id", "thread_id"])', {A, B}),
        ('eq(thread_id, "t-1")', {A, B}),
        ("gt(total_tokens, 10)", {A, CHILD}),  # as they are shown: a run with its descendants
        ("gte(total_cost, 0.25)", {A, CHILD}),
        ('gt(prompt_tokens, "4")', {A, CHILD}),
        ("eq(completion_tokens, 7)", set()),
        # fields in quotes, as some clients write them
        ('has("metadata", \'{"user": "ann"}\')', {A}),
        (r"""has('metadata', "{\"user\": \"ann\", \"age\": 7}")""", {A}),
        ('and(has("tags", "prod"), or(eq("name", "alpha"), not(eq("name", "alpha"))))', {A}),
        ('and(eq("metadata_key", "user"), eq(\'metadata_value\', "ann"))', {A}),
        ('search("name", "alph")', {A}),
        ('exists("error")', {B}),
        ('and(not(and(neq("error", null), in("name", "beta"))), in("name", ["beta", "gamma"]))', {C}),
        ('neq("start_time", "2026-01-02T03:04:05.000006Z")', {C}),
        ('search("sky")', {A}),
        ('search("100%")', {B}),
        ('search(outputs, "scattering")', {A}),
        ('and(eq(input_key, "question"), like(input_value, "%sky%"))', {A}),
        ('and(eq(output_key, "answer"), eq(output_value, "scattering"))', {A}),
        # one row of feedback must meet both; the second key begins another row
        ('and(eq(feedback_key, "good"), lt(feedback_score, 0.5))', {B}),
        ('and(eq(feedback_key, "good"), eq(feedback_score, 1), eq(feedback_key, "fast"), lt(feedback_score, 0.5))',
         {A}),
        ('and(and(eq(feedback_key, "good"), eq(feedback_score, 0.2)), eq(name, "alpha"))', set()),
        ('and(eq(feedback_key, "good"), or(lt(feedback_score, 0.1), gt(feedback_score, 2)))', {B}),
        ('and(eq(feedback_key, "good"), not(eq(feedback_score, 0)))', {A}),
        ('eq(feedback_value, "poor")', {B}),
        ('eq(feedback_comment, "meh")', {B}),
        ('not(in(feedback_key, ["good"]))', {C, CHILD}),
        # fields, literals
        ("eq(error, true)", {B}),
        ("eq(error, null)", {A, C, CHILD}),
        ('eq(status, "ERROR")', {B}),
        ('eq(status, "pending")', {C}),
        ("eq(end_time, null)", {C}),
        ("exists(end_time)", {A, B, CHILD}),
        ("and(eq(is_root, true), neq(name, 'gamma'))", {A, B}),
        (f'in(id, ["{A}", "{C}"])', {A, C}),
        (f'eq(trace_id, "{A}")', {A, CHILD}),
        (f'eq(parent_run_id, "{A}")', {CHILD}),
        ('eq(tag, "prod")', {A}),
        ('in(tags, ["prod", "x"])', {A}),
        ('and(eq(metadata_key, "age"), eq(metadata_value, 7))', {A}),
        ('and(eq(is_root, true), eq(extra.metadata.user, "ann"))', {A}),
        ('or(gt(metadata.age, 6), eq("metadata.user", "nobody"))', {A}),
        ('and(exists(metadata.age), not(eq(metadata.user, "bob")))', {A}),
        ('and(eq(metadata_key, "ok"), eq(metadata_value, true))', {A}),
        ('has(inputs, \'{"n": 4}\')', {A}),
        ('eq(session_name, "s")', {A, B, C, CHILD}),
        ('gte(start_time, "2026-01-03")', {C}),
        ("eq(name, 'be' )", set()),
        ('eq(name, "\\u0062eta")', {B}),
        ('nlike(name, "%a%")', set()),
    ],
)  # fmt: skip
def test_runs_are_found_by_filter(backend: Backend, text: str, found: set[str]) -> None:
    with backend.client() as client:
        assert {str(run.id) for run in client.list_runs(project_name="s", filter=text)} == found


def test_the_filters_of_the_root_and_of_the_tree(backend: Backend) -> None:
    with backend.client() as client:

        def found(**filters: str) -> set[str]:
            return {str(run.id) for run in client.list_runs(project_name="s", **filters)}

        good = 'and(eq(feedback_key, "good"), eq(feedback_score, 1))'
        assert found(filter='eq(name, "call")', trace_filter=good) == {CHILD}
        assert found(trace_filter=good) == {A, CHILD}
        assert found(trace_filter='eq(name, "call")') == set()
        assert found(tree_filter='eq(name, "call")') == {A, CHILD}
        assert found(filter="eq(is_root, true)", tree_filter='eq(run_type, "llm")') == {A}


def test_a_thread_is_read_through_the_filter(backend: Backend) -> None:
    with backend.client() as client:
        assert {str(run.id) for run in client.read_thread(thread_id="t-1", project_name="s")} == {A, B}


def test_the_place_of_the_fault_reaches_the_client(backend: Backend) -> None:
    answer = backend.call("POST", "/runs/query", json={"id": [A], "filter": 'eq(nam, "x")'})
    assert answer.status_code == 400
    assert "character 3: the field 'nam' is not known" in answer.json()["detail"]
