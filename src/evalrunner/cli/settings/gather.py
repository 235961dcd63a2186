"""The settings of a command: defaults, then the file, then the environment, then flags; the last one wins.

Of an experiment to complete and a dataset to make one over the stronger source decides, so that a flag is never
refused, or given another meaning, because of a file. Both from one source mean: this experiment, made if there is
none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalrunner.advice import flag
from evalrunner.cli.settings.options import BY_KEY, OPTIONS, Option, options_of
from evalrunner.cli.settings.sources import Layer, Setting, from_environment, from_file, from_flags
from evalrunner.config import RunConfig, Said, TargetSpec, WorkerConfig
from evalrunner.errors import ConfigError
from evalrunner.protocol.ids import KNOWN_ATTEMPTS

_CODE = ("target", "evaluator", "summary_evaluator")
#: Source of a value that nobody gave.
DEFAULT = "default"
#: Facts of a new experiment: meaningless for one that exists.
_OF_NEW = ("prefix", "description", "metadata")


@dataclass(frozen=True)
class Settings:
    """Every option with its value and where it came from.

    Attributes:
        folder: the current one.
        file: the configuration file that is used, or None.
    """

    values: Layer
    folder: Path
    file: Path | None = None

    def __getitem__(self, key: str) -> Any:
        return self.values[key].value

    def given(self, key: str) -> bool:
        """Tell whether anybody said anything about it."""
        return not self.values[key].source.startswith(DEFAULT)

    @property
    def home(self) -> Path:
        """The project's folder, of the store and the runs: the configuration file's, else the current one."""
        return self.file.parent if self.file else self.folder

    def path(self, key: str) -> Path | None:
        """Return a path, relative to whoever named it."""
        setting = self.values[key]
        return setting.folder / Path(setting.value).expanduser() if setting.value else None

    def run_config(self) -> RunConfig:
        """Return what the supervisor takes.

        Raises:
            ConfigError: something is missing or does not fit together.
        """
        self._check()
        return RunConfig(
            spec=self._spec(),
            worker=WorkerConfig(**self._fields(WorkerConfig)),
            home=self.home,
            said=self._said(),
            **{**self._fields(RunConfig), "run_dir": self.path("run_dir")},
        )

    def _fields(self, config: type[Any]) -> dict[str, Any]:
        return {field: self[option.key] for field, option in options_of(config).items()}

    def _said(self) -> Said:
        def words(options: Iterable[Option]) -> tuple[str, ...]:
            given = (one for one in options if self.values[one.key].source.startswith("flag"))
            return tuple(word for one in given for word in flag(one.name, self[one.key]))

        new = [one for one in OPTIONS if one.key in ("experiment", "dataset", *_OF_NEW)]
        once = ("take_over",)
        return Said(
            flags=words(one for one in OPTIONS if one.in_files and one not in new and one.key not in once),
            creation=words(new),
            place=words(one for one in OPTIONS if one.key in ("local", "store")),
        )

    def _spec(self) -> TargetSpec:
        folders = {self.values[key].folder for key in _CODE if self[key]}
        # The file's folder is the project; a flag given in a folder below it names the project's modules too.
        folder = next((one for one in sorted(folders) if one != self.folder), self.folder)
        return TargetSpec(
            target=self._located("target", self["target"], folder),
            evaluators=tuple(self._located("evaluator", one, folder) for one in self["evaluator"]),
            summary_evaluators=tuple(
                self._located("summary_evaluator", one, folder) for one in self["summary_evaluator"]
            ),
            factory=self["factory"],
            folder=folder,
        )

    def _located(self, key: str, spec: str, folder: Path) -> str:
        """Make a path absolute whose source stands in another folder than the one that workers start from."""
        own = self.values[key].folder
        path, colon, name = spec.rpartition(":")
        if own == folder or not path.endswith(".py"):
            return spec
        return f"{own / Path(path).expanduser()}{colon}{name}"

    def _check(self) -> None:
        if not self["experiment"] and not self["dataset"]:
            raise ConfigError(
                "nothing to evaluate: say --experiment ID to complete an experiment, "
                "or --dataset NAME to create one"
            )
        if not self["target"]:
            raise ConfigError(
                'no target: say --target module:name or --target file.py:name, or put target = "..." into an '
                "evalrunner.toml or the [tool.evalrunner] of a pyproject.toml"
            )
        for key in _CODE:
            for spec in [self[key]] if key == "target" else self[key]:
                _check_spec(key, spec, self.values[key].source)
        self._check_new()
        if self["max_attempts"] > KNOWN_ATTEMPTS:
            raise ConfigError(f"--max-attempts must be at most {KNOWN_ATTEMPTS}, not {self['max_attempts']}")

    def _check_new(self) -> None:
        for key in _OF_NEW:
            if not self["experiment"] or not self.values[key].source.startswith("flag"):
                continue
            if not self["dataset"]:
                raise ConfigError(
                    f"--{key} is for a new experiment (--dataset), and --experiment names an old one"
                )
            if key == "prefix":
                raise ConfigError("--prefix begins a name that is made up, and --experiment gives the name")


def gather(
    flags: Mapping[str, Any], *, environ: Mapping[str, str] | None = None, start: Path | None = None
) -> Settings:
    """Return the settings of a command.

    Args:
        flags: by key, None where a flag was not given.
        environ: instead of the process's own environment.
        start: instead of the current folder.

    Raises:
        ConfigError: a file, a variable or a flag cannot be used.
    """
    folder = start or Path.cwd()
    in_file, file = from_file(folder)
    values = untouched(folder).values
    if file is not None and file.parent != folder:
        values["store"] = Setting(BY_KEY["store"].default, f"{DEFAULT}, beside {file.name}", file.parent)
    for layer in (
        in_file,
        from_environment(os.environ if environ is None else environ, folder),
        from_flags(flags, folder),
    ):
        _exclude(layer, values, folder)
        values.update(layer)
    return Settings(values, folder, file)


def untouched(folder: Path) -> Settings:
    """Return every option as it is when nobody says anything."""
    return Settings({option.key: Setting(option.default, DEFAULT, folder) for option in OPTIONS}, folder)


def store_of(named: Path | None) -> Path:
    """Return the local backend's file: the one that was named, else what `run` takes here.

    Raises:
        ConfigError: nothing was named, and a configuration file or variable cannot be used.
    """
    found = named.expanduser() if named else gather({}).path("store")
    assert found is not None, "it has a default"
    return found.absolute()


def _exclude(layer: Layer, values: Layer, folder: Path) -> None:
    """Forget the experiment, or the dataset, of a weaker source: beside this one's it would mean something else."""
    if "experiment" in layer or "dataset" in layer:
        for key in ("experiment", "dataset"):
            values[key] = Setting(None, DEFAULT, folder)


def _check_spec(key: str, spec: str, source: str) -> None:
    path, colon, name = spec.rpartition(":")
    # The name may be dotted (`Class.method`); what cannot be a name is said here, before anything starts.
    if not colon or not path or not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name):
        raise ConfigError(
            f"{key.replace('_', '-')} {spec!r} ({source}) takes module:name or path/file.py:name"
        )
