"""The quickstart: real data, labels that hold, a target that errs now and then, files that stand alone."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from langsmith import tracing_context
from langsmith.evaluation.evaluator import RunEvaluator, run_evaluator

from evalrunner.errors import RunFolderError
from evalrunner.quickstart import FILES, evaluators, target, write

FIELDS = {"order", "product", "category", "urgent"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("quickstart")
    write(folder)
    lines = (folder / "dataset.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def outputs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with tracing_context(enabled=False):
        return [target.extract(row["inputs"]) for row in rows]


def test_every_row_is_a_whole_example(rows: list[dict[str, Any]]) -> None:
    assert len(rows) >= 240
    for row in rows:
        assert set(row) == {"inputs", "outputs", "metadata", "split"}
        assert row["split"] in ("base", "hard")
        assert set(row["inputs"]) == {"message"}
        assert set(row["outputs"]) == FIELDS
        assert row["metadata"]["channel"] in ("email", "chat", "form")
        assert (row["metadata"]["trait"] == "plain") == (row["split"] == "base")


def test_labels_use_the_words_they_may(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        labels = row["outputs"]
        assert labels["category"] in evaluators.CATEGORIES
        assert labels["product"] in target.PRODUCTS
        assert isinstance(labels["urgent"], bool)
        assert labels["order"] is None or re.fullmatch(r"K-\d{6}", labels["order"])


def test_a_labelled_order_number_stands_in_its_message(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        order = row["outputs"]["order"]
        if order:
            said = re.sub(r"[^0-9]", "", row["inputs"]["message"].replace("l44455", "144455"))
            assert order[2:] in said, row


def test_categories_are_even_and_urgency_is_rare(rows: list[dict[str, Any]]) -> None:
    for split, least in (("base", 30), ("hard", 10)):
        counts = Counter(row["outputs"]["category"] for row in rows if row["split"] == split)
        assert set(counts) == set(evaluators.CATEGORIES)
        assert min(counts.values()) >= least
    urgent = sum(row["outputs"]["urgent"] for row in rows)
    assert 0.05 < urgent / len(rows) < 0.3


def test_messages_are_not_one_template_filled_in(rows: list[dict[str, Any]]) -> None:
    words = [frozenset(re.findall(r"[a-z]+", row["inputs"]["message"].lower())) for row in rows]
    assert len(set(words)) == len(rows)
    alike = [
        (one, other)
        for one, other in combinations(range(len(rows)), 2)
        if len(words[one] & words[other]) > 0.6 * len(words[one] | words[other])
    ]
    assert not alike, [(rows[one]["inputs"], rows[other]["inputs"]) for one, other in alike]


def test_the_target_is_right_often_and_not_always(
    rows: list[dict[str, Any]], outputs: list[dict[str, Any]]
) -> None:
    right = {"base": 0, "hard": 0}
    for row, output in zip(rows, outputs, strict=True):
        assert set(output) == FIELDS
        right[row["split"]] += output == row["outputs"]
    sizes = Counter(row["split"] for row in rows)
    assert 0.70 < sum(right.values()) / len(rows) < 0.85
    assert right["base"] / sizes["base"] > 0.85
    assert right["hard"] / sizes["hard"] < 0.5


def test_the_target_has_child_runs() -> None:
    for step in (target.normalise, target.find_entities, target.classify):
        assert getattr(step, "__langsmith_traceable__", False)


def test_similarity_is_what_the_library_says() -> None:
    assert (
        target.similarity("hedphones", "headphones")
        == SequenceMatcher(None, "hedphones", "headphones").ratio()
    )
    assert target.closest_product("my hedphones crackle") == "headphones"
    assert target.closest_product("hello there") is None


RIGHT = {"order": "K-1", "product": None, "category": "return", "urgent": False}


def test_exact_match_wants_every_field() -> None:
    assert evaluators.exact_match(dict(RIGHT), RIGHT)["score"] == 1
    assert evaluators.exact_match({**RIGHT, "urgent": True}, RIGHT)["score"] == 0
    assert evaluators.exact_match({}, RIGHT)["score"] == 0


def test_precision_and_recall_count_what_was_said() -> None:
    def scores(output: dict[str, Any]) -> list[float]:
        return [one["score"] for one in evaluators.fields(output, RIGHT)["results"]]

    assert scores(RIGHT) == [1.0, 1.0, 1]
    assert scores({**RIGHT, "product": "kettle"}) == [0.75, 1.0, 1]
    assert scores({**RIGHT, "order": None, "category": "change"}) == [0.5, pytest.approx(1 / 3), 0]
    assert scores({}) == [0.0, 0.0, 0]


def test_macro_f1_counts_every_category_alike() -> None:
    meant = [{"category": one} for one in evaluators.CATEGORIES]
    assert evaluators.category_macro_f1(meant, meant)["score"] == 1.0
    assert evaluators.category_macro_f1([{} for _ in meant], meant)["score"] == 0.0
    one_said = [{"category": "billing"} for _ in meant]
    assert evaluators.category_macro_f1(one_said, meant)["score"] == pytest.approx((2 / 7) / 6)


@pytest.mark.parametrize(
    ("function", "keys"),
    [
        (evaluators.exact_match, ["exact_match"]),
        (evaluators.fields, ["field_precision", "field_recall", "category_right"]),
    ],
)
def test_feedback_keys_can_be_told_before_the_run(function: Callable[..., Any], keys: list[str]) -> None:
    judge: RunEvaluator = run_evaluator(function)
    assert getattr(judge, "feedback_keys", None) == keys


def test_the_configuration_names_what_is_there(tmp_path: Path) -> None:
    write(tmp_path)
    text = (tmp_path / "evalrunner.toml").read_text(encoding="utf-8")
    named = re.findall(r'"([a-z]+\.py):([a-z0-9_]+)"', text)
    assert len(named) == 4
    for file, name in named:
        tree = ast.parse((tmp_path / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert not re.search(r"^(experiment|dataset)\b", text, re.MULTILINE)


def test_the_files_stand_alone(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("target.py", "evaluators.py"):
        tree = ast.parse((tmp_path / name).read_text(encoding="utf-8"))
        modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any(module.startswith("evalrunner") for module in modules)


def test_the_readme_says_how_many(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    write(tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    sizes = Counter(row["split"] for row in rows)
    assert f"{len(rows)} messages" in text
    assert f"`base` ({sizes['base']})" in text
    assert f"`hard` ({sizes['hard']})" in text
    for trait in {row["metadata"]["trait"] for row in rows} - {"plain", "second hand"}:
        assert trait.replace("two orders", "two order numbers").replace("misspelt", "misspelling") in text


def test_write_makes_the_folder_and_says_what_it_wrote(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    paths = write(folder)
    assert [path.name for path in paths] == list(FILES)
    assert all(path.parent == folder and path.stat().st_size for path in paths)


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in write(tmp_path)}
    assert {path: path.stat().st_mtime_ns for path in write(tmp_path)} == before


def test_somebody_elses_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "target.py").write_text("mine = 1\n")
    with pytest.raises(RunFolderError, match=r"target\.py"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["target.py"]
    assert (tmp_path / "target.py").read_text() == "mine = 1\n"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(RunFolderError, match="is a file"):
        write(tmp_path / "x")
