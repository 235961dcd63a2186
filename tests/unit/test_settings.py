"""Where settings come from, and the sentence for each way to get them wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evalrunner.cli.settings.gather import Settings, gather
from evalrunner.cli.settings.kinds import NUMBER, WHOLE
from evalrunner.cli.settings.options import OPTIONS, options_of
from evalrunner.cli.settings.sources import home_of
from evalrunner.config import RunConfig, Said, TargetSpec, WorkerConfig
from evalrunner.errors import ConfigError
from evalrunner.transfer.push.summary import PushOptions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, text: str, name: str = "evalrunner.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def settings(folder: Path, flags: Mapping[str, Any] | None = None, **environ: str) -> Settings:
    return gather(flags or {}, environ=environ, start=folder)


def sentence(folder: Path, flags: dict[str, Any] | None = None, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(folder, flags, **environ).run_config()
    return str(caught.value)


def test_defaults_are_those_of_the_configuration(folder: Path) -> None:
    config = settings(folder, {"target": "m:f", "dataset": "d"}).run_config()
    said = Said(flags=("--target m:f",), creation=("--dataset d",))
    assert config == RunConfig(spec=config.spec, dataset="d", home=folder, said=said)
    assert config.spec.folder == folder


@pytest.mark.parametrize("config", [RunConfig, WorkerConfig])
def test_what_is_said_reaches_the_field_whose_knob_says_how(folder: Path, config: type[Any]) -> None:
    numbers = {field: one for field, one in options_of(config).items() if one.kind in (WHOLE, NUMBER)}
    assert numbers
    for field, option in numbers.items():
        made = settings(folder, {"target": "m:f", "dataset": "d", option.key: 3}).run_config()
        assert getattr(made if config is RunConfig else made.worker, field) == 3, field


def test_a_push_has_the_deadlines_of_a_run() -> None:
    push = PushOptions("e")
    assert push.delivery_deadline == WorkerConfig().delivery_deadline
    assert push.visible_deadline == RunConfig(TargetSpec()).visible_deadline


def test_flags_beat_environment_beats_file_beats_defaults(folder: Path) -> None:
    path = write(folder, "workers = 5\nrepetitions = 2\ngrace = 1\n")
    both = settings(folder, {"workers": 7}, EVALRUNNER_WORKERS="6", EVALRUNNER_REPETITIONS="3")
    told = {key: (both[key], both.values[key].source) for key in ("workers", "repetitions", "grace", "limit")}
    assert told == {
        "workers": (7, "flag --workers"),
        "repetitions": (3, "env EVALRUNNER_REPETITIONS"),
        "grace": (1.0, f"{path}:3"),
        "limit": (None, "default"),
    }


@pytest.mark.parametrize("key", ["max-concurrency", "max_concurrency"])
def test_a_key_may_have_hyphens_or_underscores(folder: Path, key: str) -> None:
    write(folder, f"{key} = 3")
    assert settings(folder)["max_concurrency"] == 3


@pytest.mark.parametrize("key", ["evaluator", "evaluators"])
def test_a_list_may_be_called_in_the_plural(folder: Path, key: str) -> None:
    write(folder, f'{key} = ["m:a", "m:b"]')
    assert settings(folder)["evaluator"] == ("m:a", "m:b")


def test_every_option_has_one_name_everywhere() -> None:
    for option in OPTIONS:
        assert option.key == option.name.replace("-", "_")
        assert option.variable == f"EVALRUNNER_{option.key.upper()}"
    assert len({option.key for option in OPTIONS}) == len(OPTIONS)


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("EVALRUNNER_EVALUATOR", "m:a, m:b", "evaluator", ("m:a", "m:b")),
        ("EVALRUNNER_METADATA", "team=blue,n=3", "metadata", {"team": "blue", "n": 3}),
        ("EVALRUNNER_METADATA", '{"a": {"b": 1}}', "metadata", {"a": {"b": 1}}),
        ("EVALRUNNER_ENV", "A=1", "env", {"A": "1"}),
        ("EVALRUNNER_FACTORY", "yes", "factory", True),
        ("EVALRUNNER_TRACE_EVALUATORS", "0", "trace_evaluators", False),
        ("EVALRUNNER_ITEM_TIMEOUT", "1.5", "item_timeout", 1.5),
        ("EVALRUNNER_WORKERS", "  ", "workers", 4),
    ],
)
def test_values_from_the_environment(folder: Path, variable: str, text: str, key: str, value: Any) -> None:
    assert settings(folder, None, **{variable: text})[key] == value


def test_pairs_from_flags(folder: Path) -> None:
    told = settings(folder, {"metadata": ["a=1", "b=text", 'c={"d": []}'], "env": ["A=1=2", "B="]})
    assert told["metadata"] == {"a": 1, "b": "text", "c": {"d": []}}
    assert told["env"] == {"A": "1=2", "B": ""}


def test_tables_from_a_file(folder: Path) -> None:
    write(folder, '[metadata]\nteam = "blue"\nn = 3\n[env]\nA = "1"\n')
    told = settings(folder)
    assert told["metadata"] == {"team": "blue", "n": 3}
    assert told["env"] == {"A": "1"}
    assert told.values["env"].source.endswith("evalrunner.toml:4")


def test_pyproject_counts_only_with_its_section(folder: Path) -> None:
    write(folder, '[project]\nname = "evalrunner-user"\n[tool.evalrunner]\nworkers = 3\n', "pyproject.toml")
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    write(folder / "a", '[project]\nname = "x"\n', "pyproject.toml")
    told = settings(below)
    assert told["workers"] == 3
    assert told.values["workers"].source == f"{folder / 'pyproject.toml'}:4"


def test_the_nearest_folder_is_the_only_one(folder: Path) -> None:
    below = folder / "a"
    below.mkdir()
    write(folder, "workers = 9\ngrace = 1\n")
    write(below, "workers = 2\n")
    told = settings(below)
    assert (told["workers"], told["grace"]) == (2, 2.0)


def test_two_files_in_one_folder_are_an_error(folder: Path) -> None:
    write(folder, "workers = 2")
    write(folder, "[tool.evalrunner]\nworkers = 3", "pyproject.toml")
    assert "keep one of them" in sentence(folder)


def test_a_flag_overrules_what_a_file_names(folder: Path) -> None:
    write(folder, 'dataset = "d"\ntarget = "m:f"\nprefix = "p"\n')
    config = settings(folder, {"experiment": "e"}).run_config()
    assert (config.experiment, config.dataset) == ("e", None)
    config = settings(folder, {}, EVALRUNNER_EXPERIMENT="e").run_config()
    assert (config.experiment, config.dataset) == ("e", None)


def test_paths_belong_to_the_folder_of_their_source(folder: Path) -> None:
    below = folder / "work"
    below.mkdir()
    write(folder, 'target = "src/t.py:f"\nevaluators = ["pkg.ev:e"]\nstore = "s.sqlite"\ndataset = "d"\n')
    told = settings(below)
    assert told.path("store") == folder / "s.sqlite"
    spec = told.run_config().spec
    assert (spec.folder, spec.target) == (folder, "src/t.py:f")
    spec = settings(below, {"target": "here.py:g"}).run_config().spec
    assert (spec.folder, spec.target) == (folder, f"{below / 'here.py'}:g")
    spec = settings(below, {"target": "here.py:g", "evaluator": ["m:e"]}).run_config().spec
    assert (spec.folder, spec.target, spec.evaluators) == (below, "here.py:g", ("m:e",))


@pytest.mark.parametrize("text", ["# nothing yet\n", "workers = 2\n"])
def test_the_folder_of_the_file_is_the_home_of_store_and_runs(folder: Path, text: str) -> None:
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    assert settings(below).path("store") == below / ".evalrunner/store.sqlite"
    path = write(folder, text)
    told = settings(below)
    assert (told.home, told.path("store")) == (folder, folder / ".evalrunner/store.sqlite")
    assert told.values["store"].source == "default, beside evalrunner.toml"
    assert not told.given("store")
    assert (settings(folder).home, settings(folder).values["store"].source) == (folder, "default")
    assert home_of(below) == folder
    # What is said here is relative to here.
    assert settings(below, {"store": "s.sqlite"}).path("store") == below / "s.sqlite"
    assert settings(below, None, EVALRUNNER_STORE="s.sqlite").path("store") == below / "s.sqlite"
    path.write_text('store = "s.sqlite"\nrun-dir = "r"\n')
    told = settings(below)
    assert (told.path("store"), told.path("run_dir")) == (folder / "s.sqlite", folder / "r")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("workers = \n", "evalrunner.toml, line 1: "),
        ("a = 1\nworkers = 2\nworkers = 3\n", "evalrunner.toml, line 3: "),
        ("\n\nworkrs = 2\n", "evalrunner.toml:3: unknown key 'workrs'; did you mean 'workers'?"),
        ("zzz = 2\n", "unknown key 'zzz'; `evalrunner run --help` lists"),
        ("[tool.evalrunner]\nworkers = 2\n", "without [tool.evalrunner]"),
        ('workers = "8"\n', "evalrunner.toml:1: workers takes a whole number, not '8'"),
        ("workers = true\n", "workers takes a whole number, not 'True'"),
        ("workers = 0\n", "workers must be at least 1, not 0"),
        ("grace = -1\n", "grace must be 0 or more"),
        ("grace = nan\n", "grace takes a number"),
        ("item-timeout = 0\n", "item-timeout must be more than 0"),
        ("factory = 1\n", "factory takes true or false"),
        ("evaluators = [1]\n", "evaluators takes text or a list of texts"),
        ("evaluator = 'm:a'\nevaluators = ['m:b']\n", "evaluator is given twice"),
        ("start-method = 'fork'\n", "start-method takes forkserver or spawn, not 'fork'"),
        ("metadata = { when = 2024-01-01 }\n", "metadata takes KEY=VALUE pairs"),
        ("env = { A = 1 }\n", "env takes KEY=VALUE pairs of texts"),
        ("plan = true\n", "unknown key 'plan'"),
        ("target = ''\n", "target takes text"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_file_line_and_key(folder: Path, text: str, words: str) -> None:
    write(folder, text)
    assert words in sentence(folder)


def test_a_file_that_is_no_text(folder: Path) -> None:
    (folder / "evalrunner.toml").write_bytes(b"workers = 2\n# caf\xe9\n")
    assert "evalrunner.toml, line 2: not UTF-8" in sentence(folder)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "say --experiment ID to complete an experiment, or --dataset NAME"),
        (
            {"experiment": "e", "dataset": "d", "target": "m:f", "prefix": "p"},
            "--prefix begins a name that is made up, and --experiment gives the name",
        ),
        ({"experiment": "e"}, "no target: say --target module:name"),
        ({"experiment": "e", "target": "m:f", "prefix": "p"}, "--prefix is for a new experiment"),
        ({"experiment": "e", "target": "module"}, "target 'module' (flag --target) takes module:name"),
        ({"experiment": "e", "target": "m:1x"}, "takes module:name or path/file.py:name"),
        ({"experiment": "e", "target": "m:f", "evaluator": ["x"]}, "evaluator 'x' (flag --evaluator)"),
        ({"dataset": "d", "target": "m:f", "max_attempts": 99}, "--max-attempts must be at most 16"),
        ({"workers": 0}, "--workers must be at least 1, not 0"),
        ({"repetitions": 0}, "--repetitions must be at least 1"),
        ({"limit": 0}, "--limit must be at least 1"),
        ({"start_method": "fork"}, "--start-method takes forkserver or spawn, not 'fork'"),
        ({"metadata": ["novalue"]}, "--metadata takes KEY=VALUE pairs"),
        ({"metadata": ["a=NaN"]}, "--metadata takes KEY=VALUE pairs"),
    ],
)
def test_flags_that_cannot_be_meant(folder: Path, flags: dict[str, Any], words: str) -> None:
    assert words in sentence(folder, flags)


def test_a_variable_that_cannot_be_meant(folder: Path) -> None:
    words = sentence(folder, EVALRUNNER_WORKERS="many")
    assert words == "environment variable EVALRUNNER_WORKERS takes a whole number, not 'many'"


def test_a_dotted_name_is_a_name(folder: Path) -> None:
    config = settings(folder, {"dataset": "d", "target": "m:Class.method"}).run_config()
    assert config.spec.target == "m:Class.method"
