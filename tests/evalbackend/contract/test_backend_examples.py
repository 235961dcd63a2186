"""Examples with the unmodified SDK, by each of its ways: what was written, kept, renamed, dropped, deleted."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from langsmith import Client
from langsmith import utils as ls_utils
from langsmith.schemas import (
    AttachmentsOperations,
    DataType,
    Example,
    ExampleCreate,
    ExampleUpdate,
    ExampleUpsertWithAttachments,
)

from tests.support.backend import (
    Backend,
    body,
    part,
    post,
    run_id,
    running,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")

FILES = {"a.txt": ("text/plain", b"one\r\n--x"), "b": ("image/png", bytes(range(256)))}
OLD = {"version": "0.13.0", "instance_flags": {"dataset_examples_multipart_enabled": False}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("backend") / "store" / "backend.db")


@pytest.fixture(scope="module")
def backend(store: Path) -> Iterator[Backend]:
    with running(store) as served:
        yield served


@pytest.fixture(params=["multipart", "json"])
def client(backend: Backend, request: pytest.FixtureRequest) -> Iterator[Client]:
    """The SDK as it is, and as it is towards a service that knows no multipart."""
    with backend.client(**({"info": OLD} if request.param == "json" else {})) as made:
        yield made


@pytest.fixture
def modern(backend: Backend) -> Iterator[Client]:
    with backend.client() as made:
        yield made


def name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def made(client: Client, **more: Any) -> Example:
    """An example of a dataset of its own, read back."""
    dataset = client.create_dataset(name("data"))
    told = {"inputs": {"q": 1}, "outputs": {"a": 2}, "metadata": {"m": {"n": 3}}, **more}
    example = client.create_example(told.pop("inputs"), dataset_id=dataset.id, **told)
    return client.read_example(example.id)


def content(example: Example) -> tuple[Any, Any, Any]:
    return example.inputs, example.outputs, example.metadata


def update(**told: Any) -> ExampleUpdate:
    return ExampleUpdate.model_validate(told)


def files(client: Client, example_id: Any, **more: Any) -> dict[str, tuple[str | None, bytes]]:
    example = client.read_example(example_id, **more)
    return {k: (v["mime_type"], v["reader"].read()) for k, v in (example.attachments or {}).items()}


def test_what_is_not_said_stays(client: Client) -> None:
    one = made(client, split=["s", "t"])
    assert content(one) == ({"q": 1}, {"a": 2}, {"m": {"n": 3}, "dataset_split": ["s", "t"]})
    steps: list[tuple[dict[str, Any], tuple[Any, Any, Any]]] = [
        ({"inputs": {"q": 5}}, ({"q": 5}, {"a": 2}, {"m": {"n": 3}, "dataset_split": ["s", "t"]})),
        ({"outputs": {}}, ({"q": 5}, {}, {"m": {"n": 3}, "dataset_split": ["s", "t"]})),
        ({"metadata": {"k": 1}}, ({"q": 5}, {}, {"k": 1, "dataset_split": ["s", "t"]})),
        ({"split": "u"}, ({"q": 5}, {}, {"k": 1, "dataset_split": ["u"]})),
        ({}, ({"q": 5}, {}, {"k": 1, "dataset_split": ["u"]})),
    ]
    for told, wanted in steps:
        before = client.read_example(one.id).modified_at
        client.update_example(one.id, **told)
        read = client.read_example(one.id)
        assert content(read) == wanted
        assert read.modified_at is not None
        assert before is not None
        assert read.modified_at > before
        assert read.created_at == one.created_at
    assert content(client.read_example(one.id, as_of=one.modified_at)) == content(one)


def test_an_example_without_outputs_keeps_none(client: Client) -> None:
    one = made(client, outputs=None)
    assert one.outputs is None
    client.update_example(one.id, metadata={"k": 1})
    assert client.read_example(one.id).outputs is None
    client.update_example(one.id, outputs={"a": None})
    assert client.read_example(one.id).outputs == {"a": None}


def test_many_are_changed_at_once_or_none(client: Client) -> None:
    first, other = made(client), made(client)
    second = client.create_example({"q": 2}, dataset_id=first.dataset_id)
    changes = [update(id=one.id, outputs={"a": n}) for n, one in enumerate((first, second))]
    client.update_examples(dataset_id=first.dataset_id, updates=changes)
    read = list(client.list_examples(dataset_id=first.dataset_id))
    assert [one.outputs for one in read] == [{"a": 0}, {"a": 1}]
    assert len({one.modified_at for one in read}) == 1
    bad = [update(id=first.id, outputs={"a": 9}), update(id=uuid.uuid4(), outputs={})]
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.update_examples(dataset_id=first.dataset_id, updates=bad)
    foreign = {"id": other.id, "dataset_id": first.dataset_id, "outputs": {"a": 9}}
    with pytest.raises(ls_utils.LangSmithConflictError):
        client.update_examples(dataset_id=first.dataset_id, updates=[bad[0], update(**foreign)])
    with pytest.raises(ls_utils.LangSmithConflictError):
        client.update_example(other.id, dataset_id=first.dataset_id, outputs={"a": 9})
    assert [one.outputs for one in client.list_examples(dataset_id=first.dataset_id)] == [{"a": 0}, {"a": 1}]
    assert content(client.read_example(other.id)) == content(other)


def test_examples_are_deleted_softly(client: Client) -> None:
    dataset = client.create_dataset(name("data"))
    rows = [{"id": uuid.uuid4(), "inputs": {"x": x}} for x in range(4)]
    if client.info.instance_flags == OLD["instance_flags"]:
        client.create_examples(dataset_id=dataset.id, inputs=[{"x": x} for x in range(4)])
    else:
        client.create_examples(dataset_id=dataset.id, examples=rows)
    examples = sorted(client.list_examples(dataset_id=dataset.id), key=lambda e: (e.inputs or {})["x"])
    ids = [example.id for example in examples]
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.delete_examples([ids[0], uuid.uuid4()])
    client.delete_examples([ids[0], ids[2], ids[0]])
    client.delete_example(ids[3])
    assert [e.id for e in client.list_examples(dataset_id=dataset.id)] == [ids[1]]
    assert client.read_dataset(dataset_id=dataset.id).example_count == 1
    assert client.read_example(ids[0], as_of=examples[0].modified_at).inputs == {"x": 0}
    for gone in (client.read_example, client.delete_example):
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            gone(ids[0])
    again = client.create_example({"x": 7}, dataset_id=dataset.id, example_id=ids[0])
    assert client.read_example(again.id).inputs == {"x": 7}


def test_examples_are_erased_from_every_version(modern: Client, store: Path) -> None:
    secret = {"secret": ("text/plain", uuid.uuid4().bytes * 3)}
    one, other = made(modern, attachments=secret), made(modern)
    modern.update_example(one.id, inputs={"q": "later"})
    gone = modern.create_example({"q": "soft"}, dataset_id=one.dataset_id)
    modern.delete_example(gone.id)
    with pytest.raises(requests.HTTPError, match="404"):
        modern.delete_examples([one.id, uuid.uuid4()], hard_delete=True)
    assert modern.read_example(one.id).inputs == {"q": "later"}
    before = modern.read_dataset_version(dataset_id=one.dataset_id, tag="latest").as_of
    modern.delete_examples([one.id, gone.id], hard_delete=True)
    assert modern.read_dataset_version(dataset_id=one.dataset_id, tag="latest").as_of > before
    for stamp in (one.modified_at, before, None):
        assert list(modern.list_examples(dataset_id=one.dataset_id, as_of=stamp)) == []
    assert content(modern.read_example(other.id)) == content(other)
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    kept = connection.execute("SELECT COUNT(*) FROM blobs WHERE data = ?", (secret["secret"][1],)).fetchone()
    connection.close()
    assert kept == (0,)


OPERATIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"metadata": {"k": 1}}, FILES),
    ({"attachments": {"c": ("x/y", b"c")}}, {"c": ("x/y", b"c")}),
    ({"attachments_operations": {"retain": ["b"]}}, {"b": FILES["b"]}),
    ({"attachments_operations": {"rename": {"a.txt": "z.txt"}}}, {"z.txt": FILES["a.txt"]}),
    (
        {"attachments_operations": {"rename": {"a.txt": "z"}, "retain": ["b"]}},
        {"z": FILES["a.txt"], "b": FILES["b"]},
    ),
    (
        {"attachments_operations": {"retain": ["a.txt", "b"]}, "attachments": {"b": ("x/y", b"new")}},
        {"a.txt": FILES["a.txt"], "b": ("x/y", b"new")},
    ),
    ({"attachments_operations": {"retain": ["none such"]}}, {}),
]


@pytest.mark.parametrize(("told", "wanted"), OPERATIONS)
def test_attachments_are_kept_renamed_replaced(modern: Client, told: dict[str, Any], wanted: Any) -> None:
    one = made(modern, attachments=FILES)
    assert files(modern, one.id) == FILES
    kept = dict(told)
    if "attachments_operations" in kept:
        kept["attachments_operations"] = AttachmentsOperations(**kept["attachments_operations"])
    modern.update_example(one.id, **kept)
    assert files(modern, one.id) == wanted
    assert files(modern, one.id, as_of=one.modified_at) == FILES


def test_operations_on_attachments_by_json(backend: Backend, modern: Client) -> None:
    one = made(modern, attachments=FILES)
    told = {"attachments_operations": {"rename": {"b": "c"}, "retain": ["a.txt"]}}
    assert backend.call("PATCH", f"/examples/{one.id}", json=told).status_code == 200
    assert files(modern, one.id) == {"a.txt": FILES["a.txt"], "c": FILES["b"]}
    refusals: list[Any] = [{"rename": []}, {"rename": {"a": 1}}, {"retain": 1}, []]
    for bad in refusals:
        refused = backend.call("PATCH", f"/examples/{one.id}", json={"attachments_operations": bad})
        assert refused.status_code == 422
    assert files(modern, one.id) == {"a.txt": FILES["a.txt"], "c": FILES["b"]}


def test_upsert(modern: Client) -> None:
    old = made(modern, attachments=FILES)
    new = uuid.uuid4()

    def upsert(example: Any, **told: Any) -> Any:
        one = ExampleUpsertWithAttachments(id=example, dataset_id=old.dataset_id, **told)
        return modern.upsert_examples_multipart(upserts=[one])

    assert upsert(old.id, inputs={"q": 8})["example_ids"] == [str(old.id)]
    assert content(modern.read_example(old.id)) == ({"q": 8}, {"a": 2}, old.metadata)
    assert files(modern, old.id) == FILES
    assert upsert(new, inputs={"q": 9}, outputs={"a": 1}, split="s", attachments=FILES)["count"] == 1
    assert content(modern.read_example(new)) == ({"q": 9}, {"a": 1}, {"dataset_split": ["s"]})
    assert files(modern, new) == FILES
    with pytest.raises(ls_utils.LangSmithConflictError):
        modern.upsert_examples_multipart(
            upserts=[ExampleUpsertWithAttachments(id=new, dataset_id=made(modern).dataset_id, inputs={})]
        )
    assert modern.read_dataset(dataset_id=old.dataset_id).example_count == 2


def test_an_upsert_must_name_a_dataset(backend: Backend) -> None:
    example = run_id()
    raw = body(part(example, {}), part(f"{example}.inputs", {"q": 1}))
    kind = {"content-type": "multipart/form-data; boundary=frontier"}
    refused = backend.call("POST", "/v1/platform/examples/multipart", data=raw, headers=kind)
    assert refused.status_code == 422
    assert backend.call("GET", f"/examples/{example}").status_code == 404


def test_examples_from_runs(backend: Backend, modern: Client) -> None:
    run = run_id()
    raw = body(
        post(run, "source", inputs={"i": 1}, outputs={"o": 2}), part(f"attachment.{run}.f", b"f", "x/y")
    )
    assert backend.multipart(raw).status_code == 202
    dataset = modern.create_dataset(name("data"))
    rows: list[ExampleCreate | dict[str, Any]] = [
        {"source_run_id": run, "use_source_run_io": True, "inputs": None},
        {"source_run_id": run, "use_source_run_attachments": ["f"], "inputs": {"q": 1}},
        {"source_run_id": run, "inputs": {"q": 2}},
    ]
    for row in rows:
        modern.create_examples(dataset_id=dataset.id, examples=[row])
    whole, with_file, bare = modern.list_examples(dataset_id=dataset.id, include_attachments=True)
    assert (whole.inputs, whole.outputs) == ({"i": 1}, {"o": 2})
    assert {str(one.source_run_id) for one in (whole, with_file, bare)} == {run}
    assert [sorted(one.attachments or {}) for one in (whole, with_file, bare)] == [["f"], ["f"], []]
    copied = modern.create_example_from_run(modern.read_run(run), dataset_id=dataset.id)
    assert modern.read_example(copied.id).outputs == {"o": 2}


def test_llm_and_chat_examples(modern: Client) -> None:
    llm = modern.create_dataset(name("llm"), data_type=DataType.llm)
    one = modern.create_llm_example("prompt", "generation", dataset_id=llm.id)
    assert content(modern.read_example(one.id))[:2] == ({"input": "prompt"}, {"output": "generation"})
    chat = modern.create_dataset(name("chat"), data_type=DataType.chat)
    said = [{"type": "human", "data": {"content": "hi"}}]
    two = modern.create_chat_example(said, said[0], dataset_id=chat.id)
    assert content(modern.read_example(two.id))[:2] == ({"input": said}, {"output": said[0]})
    assert modern.read_dataset(dataset_id=chat.id).data_type == DataType.chat


def test_an_address_of_an_attachment_expires(backend: Backend, modern: Client, store: Path) -> None:
    one = made(modern, attachments=FILES)
    address = urlsplit(
        backend.call("GET", f"/examples/{one.id}").json()["attachment_urls"]["attachment.b"]["presigned_url"]
    )
    told = {key: values[0] for key, values in parse_qs(address.query).items()}

    def ask(path: str = address.path, **query: str) -> requests.Response:
        return requests.get(f"{backend.url}{path}?{urlencode({**told, **query})}", timeout=60)

    assert 3600 <= int(told["expires"]) - time.time() <= 3661
    assert (ask().status_code, ask().content) == (200, FILES["b"][1])
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    secret = connection.execute("SELECT value FROM meta WHERE key = 'url_secret'").fetchone()[0]
    connection.close()
    sha, late = address.path.rpartition("/")[2], str(int(time.time()) - 1)
    signed = hmac.new(bytes.fromhex(secret), f"{sha}\nimage/png\n{late}".encode(), hashlib.sha256)
    expired = ask(expires=late, signature=signed.hexdigest())
    assert (expired.status_code, "has expired" in expired.json()["detail"]) == (403, True)
    later = str(int(told["expires"]) + 1)
    for forged in (
        ask(expires=later),
        ask(mime="text/html"),
        ask(signature="00"),
        ask("/attachments/" + "0" * 64),
    ):
        assert forged.status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "told", "status"),
    [
        ("PATCH", "/examples/0c0ffee0-0000-4000-8000-000000000001", {}, 404),
        ("PATCH", "/examples/bulk", {}, 422),
        ("PATCH", "/examples/bulk", [{}], 422),
        ("PATCH", "/examples/bulk", [{"id": str(uuid.uuid4()), "inputs": 3}], 422),
        ("DELETE", "/examples", None, 422),
        ("DELETE", "/examples?example_ids=x", None, 422),
        ("POST", "/platform/datasets/examples/delete", {"example_ids": []}, 422),
        ("POST", "/platform/datasets/examples/delete", {"example_ids": ["x"]}, 422),
        ("POST", "/platform/datasets/examples/delete", {"example_ids": [str(uuid.uuid4())]}, 404),
    ],
)
def test_what_is_refused(backend: Backend, method: str, path: str, told: Any, status: int) -> None:
    assert backend.call(method, path, json=told).status_code == status
