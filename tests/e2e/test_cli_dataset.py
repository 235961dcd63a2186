"""`evalrunner dataset` on the local backend: all or nothing, and twice is once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalrunner.connect.embedded import Embedded
from evalrunner.service.client import find_dataset, make_client
from tests.support.cli import Done, done


def run(folder: Path, *arguments: str) -> Done:
    return done(folder, "dataset", *arguments)


def lines(folder: Path, count: int, *, name: str = "a.jsonl") -> None:
    rows = [
        {"inputs": {"n": n}, "outputs": {"m": -n}, "split": "odd" if n % 2 else "even"} for n in range(count)
    ]
    (folder / name).write_text("\n".join(json.dumps(row) for row in rows))


def test_pushing_twice_adds_nothing_and_more_adds_the_rest(tmp_path: Path) -> None:
    store = tmp_path / ".evalrunner" / "store.sqlite"
    lines(tmp_path, 240)
    lines(tmp_path, 250, name="b.jsonl")
    with Embedded(store) as endpoint:
        first = run(tmp_path, "push", "a.jsonl", "--name", "numbers", "--description", "first", "--json")
        told = json.loads(first.stdout)
        assert (told["created"], told["added"], told["already"]) == (True, 240, 0)
        assert (told["read_back"], told["total"]) == (240, 240)
        assert "using the local backend, store .evalrunner/store.sqlite" in first.stderr
        again = run(tmp_path, "push", "a.jsonl", "--name", "numbers")
        assert again.returncode == 0
        assert "0 added, 240 already there; read back: 240 of 240, 240 in the dataset" in again.stdout
        more = run(tmp_path, "push", "b.jsonl", "--name", "numbers")
        assert "10 added, 240 already there; read back: 250 of 250, 250 in the dataset" in more.stdout
        client = make_client(endpoint)
        dataset = find_dataset(client, "numbers")
        assert dataset.description == "first"
        odd = list(client.list_examples(dataset_id=dataset.id, splits=["odd"]))
        assert sorted(one.inputs["n"] for one in odd if one.inputs) == list(range(1, 250, 2))


def test_a_csv_and_the_list(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('q,a,lang\n"two\nlines",1,de\nü,2,en\n')
    store = tmp_path / ".evalrunner" / "store.sqlite"
    with Embedded(store) as endpoint:
        pushed = run(
            tmp_path,
            "push",
            "a.csv",
            "--name",
            "cards",
            "--inputs",
            "q",
            "--outputs",
            "a",
            "--metadata",
            "lang",
        )
        assert pushed.returncode == 0, pushed.stderr
        examples = list(make_client(endpoint).list_examples(dataset_name="cards"))
        assert {(one.inputs or {})["q"] for one in examples} == {"two\nlines", "ü"}
        assert {(one.metadata or {})["lang"] for one in examples} == {"de", "en"}
        listed = run(tmp_path, "list")
        assert [line.split()[0] for line in listed.stdout.splitlines()] == ["name", "cards"]
        (row,) = json.loads(run(tmp_path, "list", "--json").stdout)
        assert (row["name"], row["examples"], row["splits"]) == ("cards", 2, ["base"])
        lines(tmp_path, 4)
        assert run(tmp_path, "push", "a.jsonl", "--name", "numbers").returncode == 0
        named = {one.split()[0]: one for one in run(tmp_path, "list").stdout.splitlines()}
        assert "even, odd" in named["numbers"]
        assert "splits" in named["name"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", '{"inputs": {}}\n{\n{"inputs": {"x": NaN}}\n', "bad rows: line 2: not JSON"),
        ("a.csv", "q,a\n1,2\n", "say which columns are inputs (--inputs COLUMN); there are: a, q"),
        ("a.jsonl", "", "a.jsonl has no rows: nothing to push"),
        ("a.csv", "q,a\n", "a.csv has no rows: nothing to push"),
        ("a.xml", "", "the kinds of files are"),
    ],
)
def test_a_bad_file_starts_nothing(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    ended = run(tmp_path, "push", name, "--name", "x")
    assert ended.returncode == 2
    assert words in ended.stderr
    assert not (tmp_path / ".evalrunner").exists()


def test_ids_of_another_dataset_are_refused(tmp_path: Path) -> None:
    row = {"inputs": {"n": 1}, "id": "0c5e2a4e-6e0b-5d6b-9b1e-6f1d3c7a9b55"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with Embedded(tmp_path / ".evalrunner" / "store.sqlite"):
        assert run(tmp_path, "push", "a.jsonl", "--name", "one").returncode == 0
        ended = run(tmp_path, "push", "a.jsonl", "--name", "two")
        assert ended.returncode == 2
        assert "some ids of this file are taken" in ended.stderr
