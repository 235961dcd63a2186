"""Datasets with the unmodified SDK: versions, tags, splits, changes; and stores of older versions."""

from __future__ import annotations

import io
import sqlite3
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import requests
from langsmith import Client
from langsmith import utils as ls_utils
from langsmith.client import ID_TYPE
from langsmith.schemas import Dataset, DataType, Example

from evalbackend.store.migrate import MIGRATIONS, SCHEMA_VERSION
from tests.support.backend import Backend, running


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("backend") / "store" / "backend.db") as served:
        yield served


@pytest.fixture
def client(backend: Backend) -> Iterator[Client]:
    with backend.client() as made:
        yield made


def name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def filled(client: Client, count: int, **more: Any) -> tuple[Dataset, list[Example]]:
    dataset = client.create_dataset(name("data"), description="numbers")
    rows = [{"inputs": {"x": i}, "reference_outputs": {"y": 2 * i}, **more} for i in range(count)]
    client.create_examples(dataset_id=dataset.id, examples=rows)
    return dataset, list(client.list_examples(dataset_id=dataset.id))


def xs(examples: Any) -> list[int]:
    return [example.inputs["x"] for example in examples]


def test_each_write_makes_a_version(client: Client) -> None:
    dataset, (first, second) = filled(client, 2)
    assert list(client.list_dataset_versions(dataset_id=client.create_dataset(name("empty")).id)) == []
    client.create_example({"x": 2}, dataset_id=dataset.id)
    client.update_example(first.id, inputs={"x": 10})
    client.delete_example(second.id)
    for write in range(3):
        client.update_dataset_splits(
            dataset_id=dataset.id, split_name="s", example_ids=[first.id], remove=bool(write % 2)
        )
    versions = list(client.list_dataset_versions(dataset_name=dataset.name))
    stamps = [version.as_of for version in versions]
    assert len(set(stamps)) == 7
    assert stamps == sorted(stamps, reverse=True)
    assert [version.tags for version in versions] == [["latest"], *([[]] * 6)]
    assert client.read_dataset(dataset_id=dataset.id).modified_at == stamps[0]
    then = [xs(client.list_examples(dataset_id=dataset.id, as_of=stamp)) for stamp in reversed(stamps)]
    assert then == [[0, 1], [0, 1, 2], [10, 1, 2], [10, 2], [10, 2], [10, 2], [10, 2]]
    assert [v.as_of for v in client.list_dataset_versions(dataset_id=dataset.id, limit=2)] == stamps[:2]


def test_many_versions_come_on_pages(client: Client) -> None:
    dataset, (one,) = filled(client, 1)
    for x in range(102):
        client.update_example(one.id, inputs={"x": x}, dataset_id=dataset.id)
    assert len({version.as_of for version in client.list_dataset_versions(dataset_id=dataset.id)}) == 103


def test_tags_name_versions(client: Client) -> None:
    dataset, (first, _) = filled(client, 2)
    before = first.modified_at
    assert before is not None
    client.create_example({"x": 2}, dataset_id=dataset.id)
    client.update_dataset_tag(dataset_name=dataset.name, as_of=before, tag="prod")
    assert xs(client.list_examples(dataset_id=dataset.id, as_of="prod")) == [0, 1]
    assert xs(client.list_examples(dataset_id=dataset.id, as_of="latest")) == [0, 1, 2]
    version = client.read_dataset_version(dataset_id=dataset.id, tag="prod")
    assert (version.as_of, version.tags) == (before, ["prod"])
    latest = client.read_dataset_version(dataset_name=dataset.name, tag="latest")
    assert latest.tags == ["latest"]
    assert latest.as_of > before
    near = client.read_dataset_version(dataset_id=dataset.id, as_of=latest.as_of - timedelta(microseconds=1))
    assert near.as_of == before
    client.update_dataset_tag(dataset_id=dataset.id, as_of=latest.as_of, tag="prod")
    client.update_dataset_tag(dataset_id=dataset.id, as_of=latest.as_of, tag="next")
    assert xs(client.list_examples(dataset_id=dataset.id, as_of="prod")) == [0, 1, 2]
    tagged = list(client.list_dataset_versions(dataset_id=dataset.id, search="ext"))
    assert [(v.as_of, v.tags) for v in tagged] == [(latest.as_of, ["next", "prod", "latest"])]


def test_tags_that_are_refused(backend: Backend, client: Client) -> None:
    dataset, (one,) = filled(client, 1)
    assert one.modified_at is not None
    between = one.modified_at + timedelta(microseconds=1)
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.update_dataset_tag(dataset_id=dataset.id, as_of=between, tag="near")
    client.update_dataset_tag(dataset_id=dataset.id, as_of=dataset.created_at, tag="birth")
    assert xs(client.list_examples(dataset_id=dataset.id, as_of="birth")) == []
    for tag in ("latest", "2026-01-02", ""):
        with pytest.raises(ls_utils.LangSmithError, match="422"):
            client.update_dataset_tag(dataset_id=dataset.id, as_of=one.modified_at, tag=tag)
    other, _ = filled(client, 1)
    for unknown in ("near", "birth"):
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            list(client.list_examples(dataset_id=other.id, as_of=unknown))
    for path in ("version?tag=near", "version?as_of=2001-01-01", "splits?as_of=near"):
        assert backend.call("GET", f"/datasets/{dataset.id}/{path}").status_code == 404
    for path in ("version", "version?tag=a&as_of=2001-01-01", "versions/diff", "versions?limit=101"):
        assert backend.call("GET", f"/datasets/{dataset.id}/{path}").status_code == 422
    nowhere = f"/datasets/{uuid.uuid4()}"
    for path in (
        "versions",
        "versions/diff?from_version=latest&to_version=latest",
        "splits",
        "version?tag=a",
    ):
        assert backend.call("GET", f"{nowhere}/{path}").status_code == 404


def test_the_difference_of_two_versions(client: Client) -> None:
    dataset, (changed, removed, kept) = filled(client, 3)
    assert kept.modified_at is not None
    client.update_example(changed.id, outputs={"y": -1})
    client.delete_example(removed.id)
    added = client.create_example({"x": 9}, dataset_id=dataset.id)
    client.update_dataset_tag(dataset_id=dataset.id, as_of=kept.modified_at, tag="old")
    for before in (kept.modified_at, "old"):
        told = client.diff_dataset_versions(
            dataset_name=dataset.name, from_version=before, to_version="latest"
        )
        assert (told.examples_modified, told.examples_added, told.examples_removed) == (
            [changed.id], [added.id], [removed.id],
        )  # fmt: skip
    back = client.diff_dataset_versions(dataset_id=dataset.id, from_version="latest", to_version="old")
    assert (back.examples_added, back.examples_removed) == ([removed.id], [added.id])
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.diff_dataset_versions(dataset_id=dataset.id, from_version="new", to_version="old")


def test_splits(client: Client) -> None:
    dataset, examples = filled(client, 4)
    before = examples[0].modified_at
    ids: list[ID_TYPE] = [example.id for example in examples]
    assert client.list_dataset_splits(dataset_id=dataset.id) == ["base"]
    client.update_dataset_splits(dataset_id=dataset.id, split_name="train", example_ids=ids[:3])
    client.update_dataset_splits(
        dataset_name=dataset.name, split_name="base", example_ids=ids[:2], remove=True
    )
    assert client.list_dataset_splits(dataset_name=dataset.name) == ["base", "train"]
    assert client.list_dataset_splits(dataset_id=dataset.id, as_of=before) == ["base"]

    def of(*splits: str) -> list[int]:
        return xs(client.list_examples(dataset_id=dataset.id, splits=list(splits)))

    assert (of("train"), of("base"), of("train", "base")) == ([0, 1, 2], [2, 3], [0, 1, 2, 3])
    client.update_dataset_splits(dataset_id=dataset.id, split_name="train", example_ids=ids[:3], remove=True)
    assert client.list_dataset_splits(dataset_id=dataset.id) == ["base"]
    assert of("base") == [0, 1, 2, 3]
    count = len(list(client.list_dataset_versions(dataset_id=dataset.id)))
    client.update_dataset_splits(dataset_id=dataset.id, split_name="base", example_ids=ids)
    assert len(list(client.list_dataset_versions(dataset_id=dataset.id))) == count
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.update_dataset_splits(
            dataset_id=dataset.id, split_name="s", example_ids=[ids[0], uuid.uuid4()]
        )
    assert client.list_dataset_splits(dataset_id=dataset.id) == ["base"]


def test_a_dataset_is_changed(backend: Backend, client: Client) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    dataset = client.create_dataset(
        name("data"), description="old", metadata={"a": 1}, inputs_schema=schema, outputs_schema={}
    )
    other = client.create_dataset(name("data"))
    path, fresh = f"/datasets/{dataset.id}", name("renamed")
    changed = backend.call("PATCH", path, json={"name": fresh, "metadata": {"b": 2}})
    assert changed.status_code == 200, changed.text
    read = client.read_dataset(dataset_name=fresh)
    assert (read.id, read.description, read.metadata) == (dataset.id, "old", {"b": 2})
    assert (read.inputs_schema, read.outputs_schema) == (schema, {})
    assert read.modified_at is not None
    assert read.modified_at > dataset.created_at
    told = {"description": None, "name": None, "inputs_schema_definition": None}
    assert backend.call("PATCH", path, json=told).status_code == 200
    read = client.read_dataset(dataset_id=dataset.id)
    assert (read.name, read.description, read.inputs_schema, read.metadata) == (fresh, None, None, {"b": 2})
    assert backend.call("PATCH", path, json={"name": other.name}).status_code == 409
    assert backend.call("PATCH", path, json={"metadata": []}).status_code == 422
    assert backend.call("PATCH", f"/datasets/{uuid.uuid4()}", json={}).status_code == 404
    assert client.read_dataset(dataset_id=dataset.id) == read


def test_a_deleted_dataset_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path / "store.db") as backend, backend.client() as client:
        dataset, (one,) = filled(client, 1, attachments={"a": ("text/plain", b"a")})
        assert one.modified_at is not None
        client.update_dataset_tag(dataset_id=dataset.id, as_of=one.modified_at, tag="t")
        client.delete_dataset(dataset_id=dataset.id)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        tables = [
            table
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if "dataset" in table or "example" in table or table == "blobs"
        ]
        assert {t: connection.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0] for t in tables} == (
            dict.fromkeys(tables, 0)
        )
        assert len(tables) >= 6
    connection.close()


def test_a_csv_file_becomes_a_dataset(backend: Backend, client: Client, tmp_path: Path) -> None:
    file = tmp_path / f"{name('file')}.csv"
    long = "z" * 200_000
    file.write_text(f'q,a,who\n"one, ""1""","zwei\nDrei",me\n,ü{long},you\n', encoding="utf-8-sig")
    made = client.upload_csv(str(file), ["q", "who"], ["a"], description="d")
    assert (made.name, made.description, made.example_count) == (file.name, "d", 2)
    read = [(e.inputs, e.outputs, e.metadata) for e in client.list_examples(dataset_id=made.id)]
    base = {"dataset_split": ["base"]}
    assert read == [
        ({"q": 'one, "1"', "who": "me"}, {"a": "zwei\nDrei"}, base),
        ({"q": "", "who": "you"}, {"a": f"ü{long}"}, base),
    ]
    with pytest.raises(ls_utils.LangSmithConflictError):
        client.upload_csv(str(file), ["q"], ["a"])
    named = client.upload_csv(("x.csv", io.BytesIO(b"q,a\n1,2\n")), ["q"], [], name=name("named"))
    assert [(e.inputs, e.outputs) for e in client.list_examples(dataset_name=named.name)] == [
        ({"q": "1"}, None)
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"a,b\n1,2\n", "has no column"),
        (b"q,q\n1,2\n", "two columns of one name"),
        (b"q,a\n1,2\n1\n", "line 3 has 1 values for 2 columns"),
        (b'q\n"1', "not CSV at line 2"),
        (b"q\n\xff\n", "not UTF-8"),
    ],
)
def test_a_csv_file_that_is_not_whole(client: Client, table: bytes, message: str) -> None:
    wanted = name("bad")
    with pytest.raises(ls_utils.LangSmithError, match=message):
        client.upload_csv(("x.csv", io.BytesIO(table)), ["q"], [], name=wanted)
    assert not client.has_dataset(dataset_name=wanted)


def test_a_shared_dataset_is_read_without_a_key(backend: Backend, client: Client) -> None:
    files = {"a.b": ("text/plain", b"file")}
    dataset, examples = filled(client, 120, attachments=files)
    project = client.create_project(name("p"), reference_dataset_id=dataset.id)
    filled(client, 1)
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.read_dataset_shared_schema(dataset_id=dataset.id)
    shared = client.share_dataset(dataset_id=dataset.id)
    token = str(shared["share_token"])
    assert client.share_dataset(dataset_name=dataset.name) == shared
    assert client.read_dataset_shared_schema(dataset_name=dataset.name)["share_token"] == token
    with backend.client(api_key="nobody") as stranger:
        read = stranger.read_shared_dataset(token)
        assert (read.id, read.name, read.example_count) == (dataset.id, dataset.name, 120)
        told = list(stranger.list_shared_examples(token))
        assert [(e.id, e.inputs, e.outputs) for e in told] == [(e.id, e.inputs, e.outputs) for e in examples]
        some = list(stranger.list_shared_examples(token, example_ids=[examples[7].id]))
        assert [e.id for e in some] == [examples[7].id]
        one = requests.get(f"{backend.url}/public/{token}/examples?limit=1", timeout=60).json()[0]
        address = one["attachment_urls"]["attachment.a.b"]["presigned_url"]
        assert requests.get(address, timeout=60).content == b"file"
        projects = list(stranger.list_shared_projects(dataset_share_token=token))
        assert [(p.id, p.name, p.run_count) for p in projects] == [(project.id, project.name, 0)]
        assert list(stranger.list_shared_projects(dataset_share_token=token, name="other")) == []
        for private in (f"/datasets/{dataset.id}", f"/examples?dataset={dataset.id}", "/public/../datasets"):
            with pytest.raises(ls_utils.LangSmithAuthError):
                stranger.request_with_retries("GET", private)
        client.unshare_dataset(dataset.id)
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            stranger.read_shared_dataset(token)
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            list(stranger.list_shared_examples(token))
    assert client.share_dataset(dataset_id=dataset.id)["share_token"] != token
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.share_dataset(dataset_id=uuid.uuid4())


def test_a_public_dataset_is_cloned_from_another_server(client: Client, tmp_path: Path) -> None:
    with running(tmp_path / "other.db") as other, other.client() as theirs:
        dataset, examples = filled(theirs, 105)
        token = str(theirs.share_dataset(dataset_id=dataset.id)["share_token"])
        clone = client.clone_public_dataset(token, source_api_url=other.url)
        copies = list(client.list_examples(dataset_id=clone.id))
        assert (clone.name, clone.description) == (dataset.name, "numbers")
        assert sorted(xs(copies)) == xs(examples)
        assert all(copy.outputs == {"y": 2 * x} for copy, x in zip(copies, xs(copies), strict=True))
        assert client.clone_public_dataset(token, source_api_url=other.url).id == clone.id


def test_a_dataset_as_chats(client: Client) -> None:
    dataset = client.create_dataset(name("chats"), data_type=DataType.chat)
    human = {"type": "human", "data": {"content": "hi"}}
    called = {"type": "ai", "data": {"content": "", "additional_kwargs": {"tool_calls": [{"id": "1"}]}}}
    client.create_example({"input": [human]}, outputs={"output": called}, dataset_id=dataset.id)
    plain: dict[str, Any] = {
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        "tools": [{}],
    }
    client.create_example(
        plain, outputs={"message": {"role": "assistant", "content": "a"}}, dataset_id=dataset.id
    )
    client.create_example({"q": "text"}, outputs={"a": 1, "b": 2}, dataset_id=dataset.id)
    assert client.read_dataset_openai_finetuning(dataset_id=dataset.id) == [
        {"messages": [{"role": "user", "content": "hi"},
                      {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}]},
        {"messages": [*plain["messages"], {"role": "assistant", "content": "a"}], "tools": [{}]},
        {"messages": [{"role": "user", "content": "text"},
                      {"role": "assistant", "content": '{"a":1,"b":2}'}]},
    ]  # fmt: skip


def older(path: Path, version: int) -> sqlite3.Connection:
    """A store as an older version left it."""
    connection = sqlite3.connect(path)
    scripts = ["schema.sql", *(MIGRATIONS[n] for n in range(1, version))]
    for script in scripts:
        text = resources.files("evalbackend.store").joinpath(script).read_text(encoding="utf-8")
        connection.executescript(text)
    connection.execute("INSERT INTO meta VALUES ('tenant_id', ?), ('url_secret', '00')", (str(uuid.uuid4()),))
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    return connection


def test_versions_of_an_older_store_are_found(tmp_path: Path) -> None:
    connection = older(tmp_path / "store.db", 1)
    dataset, kept, gone = (str(uuid.uuid4()) for _ in range(3))
    made, then, now = (f"2026-01-0{day}T00:00:00.000000+00:00" for day in (1, 2, 3))
    with connection:
        connection.execute(
            "INSERT INTO datasets (id, name, data_type, created_at, modified_at) VALUES (?, 'd', 'kv', ?, ?)",
            (dataset, made, made),
        )
        connection.executemany(
            "INSERT INTO example_versions (example_id, dataset_id, created_at, valid_from, valid_to, metadata, "
            'inputs) VALUES (?, ?, ?, ?, ?, \'{"dataset_split": ["base"]}\', CAST(? AS BLOB))',
            [(kept, dataset, then, then, None, '{"x": 1}'), (gone, dataset, then, then, now, '{"x": 2}')],
        )
    connection.close()
    with running(tmp_path / "store.db") as backend, backend.client() as client:
        versions = list(client.list_dataset_versions(dataset_name="d"))
        assert [version.as_of.day for version in versions] == [3, 2]
        assert client.read_dataset(dataset_name="d").modified_at == versions[0].as_of
        client.update_dataset_tag(dataset_id=dataset, as_of=versions[1].as_of, tag="then")
        assert xs(client.list_examples(dataset_id=dataset)) == [1]
        assert sorted(xs(client.list_examples(dataset_id=dataset, as_of="then"))) == [1, 2]
        client.create_example({"x": 3}, dataset_id=dataset)
        newest = client.read_dataset_version(dataset_id=dataset, tag="latest").as_of
        assert newest > datetime(2026, 1, 3, tzinfo=timezone.utc)


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_store_of_every_older_version_is_opened(tmp_path: Path, version: int) -> None:
    older(tmp_path / "store.db", version).close()
    with running(tmp_path / "store.db") as backend, backend.client() as client:
        dataset, _ = filled(client, 2)
        token = str(client.share_dataset(dataset_id=dataset.id)["share_token"])
        assert xs(client.list_shared_examples(token)) == [0, 1]
