"""Commands that are printed: what was said on the command line is said again, as a shell takes it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from evalbackend.store.scope import Scope
from evalbackend.web.advice import Advice
from evalrunner.advice import anew, beside, go_on
from evalrunner.cli.settings.gather import gather
from evalrunner.config import RunConfig, TargetSpec
from evalrunner.supervisor.setup.experiment import flags_for


def config(folder: Path, **flags: Any) -> RunConfig:
    return gather({"target": "t.py:f", **flags}, environ={}, start=folder).run_config()


def test_every_flag_that_holds_for_the_experiment_is_said_again(tmp_path: Path) -> None:
    said = {
        "dataset": "d",
        "prefix": "p",
        "metadata": ["a=1"],
        "split": ["hard", "two words"],
        "limit": 3,
        "evaluator": ["e.py:a", "e.py:b"],
        "workers": 2,
        "item_timeout": 0.5,
        "live": True,
        "trace_evaluators": False,
        "env": ["A=it's", "MY_TOKEN=hush"],
        "store": "my store.sqlite",
        "run_dir": "runs here",
    }
    made = config(tmp_path, **said)
    command = go_on(made, "d-1", "--retry-errors")
    assert command == (
        "evalrunner --experiment d-1 --split hard --split 'two words' --limit 3 --target t.py:f --evaluator e.py:a "
        "--evaluator e.py:b --no-trace-evaluators --workers 2 --env 'A=it'\"'\"'s' "
        '--env MY_TOKEN="$MY_TOKEN" --live --item-timeout 0.5 '
        "--store 'my store.sqlite' --run-dir 'runs here' --retry-errors"
    )
    fresh = go_on(made, "d-1", made=False)
    assert fresh.startswith("evalrunner run --dataset d --prefix p --metadata a=1 --split hard")
    assert "--experiment" not in fresh
    assert "hush" not in command + fresh
    assert "--env" not in " ".join(made.said.shareable if made.said else ())
    assert beside(made, "evalrunner dataset list") == "evalrunner dataset list --store 'my store.sqlite'"
    words = shlex.split(command)
    assert words[words.index("--run-dir") + 1] == "runs here"


def test_what_a_file_or_a_variable_says_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "evalrunner.toml").write_text('target = "t.py:f"\nworkers = 2\n')
    variables = {"EVALRUNNER_LIMIT": "3"}
    made = gather({"dataset": "d"}, environ=variables, start=tmp_path).run_config()
    assert go_on(made, "d-1") == "evalrunner --experiment d-1"
    assert go_on(made, "d-1", made=False) == "evalrunner run --dataset d"


def test_nothing_is_said_twice(tmp_path: Path) -> None:
    made = config(tmp_path, experiment="e", retry_errors=True)
    assert go_on(made, "e", "--retry-errors") == "evalrunner --experiment e --retry-errors --target t.py:f"


def test_a_new_experiment_over_the_same_dataset(tmp_path: Path) -> None:
    for named in ({"dataset": "0b8c", "prefix": "p"}, {"experiment": "e"}):
        command = anew(config(tmp_path, limit=2, **named), "my data")
        prefix = " --prefix p" * ("prefix" in named)
        assert command == f"evalrunner run --dataset 'my data'{prefix} --limit 2 --target t.py:f"


def test_from_python_it_is_a_call(tmp_path: Path) -> None:
    made = RunConfig(TargetSpec(pickled=b""), dataset="d")
    assert go_on(made, "d-1") == "evalrunner.run(..., experiment='d-1')"
    named = RunConfig(TargetSpec("m:f"), run_dir=Path("a b"))
    assert go_on(named, "d 1") == "evalrunner resume 'd 1' --run-dir 'a b'"


def test_the_flags_stay_on_this_machine(tmp_path: Path) -> None:
    made = config(tmp_path, dataset="d", env=["A=1"], split=["x"])
    for url in ("http://127.0.0.1:1984", "http://localhost:1984/api"):
        assert flags_for(url, made) == "--split x --target t.py:f"
    assert flags_for("https://api.smith.langchain.com", made) is None
    assert flags_for("http://127.0.0.1:1984", RunConfig(TargetSpec("m:f"))) is None


def scope(metadata: Any) -> Scope:
    return Scope("id-1", "n", None, "", "d", None, (), None, 1, None, (), {"evalrunner": metadata})


def test_a_page_gives_one_command_whatever_an_experiment_says(tmp_path: Path) -> None:
    usual, other = Advice(tmp_path / ".evalrunner/store.sqlite"), Advice(tmp_path / "a b")
    hostile = scope({"flags": "--target 'a b.py:f'; rm -rf ~ $(id) `id` > x"})
    assert shlex.split(usual.go_on(hostile))[:5] == [
        "evalrunner",
        "--experiment",
        "id-1",
        "--target",
        "a b.py:f;",
    ]
    for sign in ("; rm", "$(id)", "`id`", " > x"):
        assert sign not in re.sub("'[^']*'", "''", usual.go_on(hostile))
    assert usual.go_on(scope({"flags": ""})) == "evalrunner --experiment id-1"
    assert usual.report(scope({"flags": "--run-dir 'a b'"})) == "evalrunner report id-1 --run-dir 'a b'"
    for unknown in ({}, None, {"flags": 3}, {"flags": "a\nb"}, {"flags": "'"}):
        assert usual.go_on(scope(unknown)) == "evalrunner --experiment id-1 --target FILE.py:FUNCTION"
        assert other.go_on(scope(unknown)).endswith(f" --store '{tmp_path}/a b'")
    assert usual.why(hostile) == "evalrunner doctor id-1"
    assert other.why(hostile) == f"evalrunner doctor id-1 --store '{tmp_path}/a b'"
    assert other.fill("it's") == f"evalrunner dataset push FILE --name 'it'\"'\"'s' --store '{tmp_path}/a b'"
    assert usual.fill("a\x1b") == "evalrunner dataset push FILE --name NAME"
