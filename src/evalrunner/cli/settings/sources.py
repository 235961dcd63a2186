"""Where values come from: a file, the environment, flags. Each gives the same thing, a layer of settings.

The nearest folder, from the current one upward, that has an `evalrunner.toml` or a `pyproject.toml` with
`[tool.evalrunner]` is taken, and no other. If one folder has both, that is an error: whichever won, somebody
would edit the other and wonder.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from evalrunner.cli.settings.options import BY_KEY, OPTIONS, Option
from evalrunner.errors import ConfigError

SECTION = "tool.evalrunner"


@dataclass(frozen=True)
class Setting:
    """One value, where it came from, and the folder that its paths are relative to."""

    value: Any
    source: str
    folder: Path


Layer = dict[str, Setting]


def from_file(start: Path) -> tuple[Layer, Path | None]:
    """Return the settings of the nearest configuration file, and that file; none and None if there is none."""
    found = _nearest_section(start)
    if found is None:
        return {}, None
    return _layer(found, is_own=found.path.parent == start), found.path


def home_of(start: Path) -> Path:
    """Return the project's home: where the nearest configuration file is, else `start`.

    The store and the runs are there, wherever in the project a command is given. A file of another user's, whose
    settings are refused, makes no home.

    Raises:
        ConfigError: the file cannot be read.
    """
    found = _nearest_section(start)
    if found is None or not (found.path.parent == start or _trusted(found.path)):
        return start
    return found.path.parent


def _nearest_section(start: Path) -> _Section | None:
    for folder in (start, *start.parents):
        found = _sections(folder)
        if len(found) > 1:
            raise ConfigError(
                f"{folder} has an evalrunner.toml and a [{SECTION}] in its pyproject.toml; keep one of them"
            )
        if found:
            return found[0]
    return None


def from_environment(environ: Mapping[str, str], folder: Path) -> Layer:
    """Return the settings of `EVALRUNNER_...` variables; an empty variable is one that is not set."""
    layer = {}
    for option in OPTIONS:
        text = environ.get(option.variable, "")
        if option.in_files and text.strip():
            value = _checked(option, option.kind.from_text, text, f"environment variable {option.variable}")
            layer[option.key] = Setting(value, f"env {option.variable}", folder)
    return layer


def from_flags(flags: Mapping[str, Any], folder: Path) -> Layer:
    """Return the settings of the flags that were given."""
    layer = {}
    for key, given in flags.items():
        if given is None or given == []:
            continue
        option = BY_KEY[key]
        value = _checked(option, option.kind.from_flag, given, f"--{option.name}")
        layer[key] = Setting(value, f"flag --{option.name}", folder)
    return layer


@dataclass(frozen=True)
class _Section:
    path: Path
    text: str
    values: Any


def _sections(folder: Path) -> list[_Section]:
    found = []
    for name, section in (("evalrunner.toml", ""), ("pyproject.toml", SECTION)):
        path = folder / name
        if (text := _read(path)) is None or (section and "evalrunner" not in text):
            continue
        values = _parse(path, text)
        if section:
            values = _inside(path, values)
        # An evalrunner.toml without values still marks the folder; a pyproject.toml marks it by its section.
        if values is not None and (values or not section):
            found.append(_Section(path, text, values))
    return [one for one in found if one.values] if len(found) > 1 else found


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8") from None
    except PermissionError:
        # A folder above ours that we may not look into has nothing to say; our own would be noticed at once.
        if os.access(path.parent, os.X_OK) and os.path.exists(path):
            raise ConfigError(f"{path} cannot be read: permission denied") from None
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        values: dict[str, Any] = toml.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", None) or _line_in(str(error))
        what = re.sub(r" \(at .*\)$", "", str(error).splitlines()[0])
        raise ConfigError(f"{path}{f', line {line}' if line else ''}: {what}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None
    return values


def _line_in(message: str) -> str | None:
    found = re.search(r"at line (\d+)", message)
    return found.group(1) if found else None


def _inside(path: Path, values: dict[str, Any]) -> Any:
    tool = values.get("tool")
    section = tool.get("evalrunner") if isinstance(tool, dict) else None
    if section is not None and not isinstance(section, dict):
        raise ConfigError(f"{path}: tool.evalrunner takes a table, [{SECTION}]")
    return section


def _layer(section: _Section, *, is_own: bool) -> Layer:
    if not is_own and not _trusted(section.path):
        raise ConfigError(
            f"{section.path} belongs to another user and names code to run; work in its folder to trust it"
        )
    layer: Layer = {}
    for key, value in section.values.items():
        where = _where(section, key)
        option = _option(key, where)
        if option.key in layer:
            raise ConfigError(f"{where}: {option.name} is given twice")
        checked = _checked(option, option.kind.from_toml, value, f"{where}: {key}")
        layer[option.key] = Setting(checked, where, section.path.parent)
    return layer


def _trusted(path: Path) -> bool:
    return path.stat().st_uid in (0, os.geteuid())


def _option(key: str, where: str) -> Option:
    wanted = key.replace("-", "_")
    for name in (wanted, wanted.removesuffix("s")):
        option = BY_KEY.get(name)
        # In a file a list reads better in the plural: `evaluators = [...]`.
        if option and option.in_files and (name == wanted or option.kind.repeat):
            return option
    raise ConfigError(f"{where}: unknown key {key!r}{_nearest(key)}")


def _nearest(key: str) -> str:
    if key == "tool":
        return "; in an evalrunner.toml the keys stand at the top, without [tool.evalrunner]"
    names = [option.name for option in OPTIONS if option.in_files]
    near = get_close_matches(key.replace("_", "-"), names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else "; `evalrunner run --help` lists the known ones"


def _where(section: _Section, key: str) -> str:
    """Name file and line of a key, as well as the text shows it: the parser keeps no lines."""
    quoted = re.escape(key)
    pattern = re.compile(rf"\s*(\[(tool\.evalrunner\.)?)?[\"']?{quoted}[\"']?\s*[=\].]")
    inside = section.path.name == "evalrunner.toml"
    for number, line in enumerate(section.text.splitlines(), start=1):
        if re.match(r"\s*\[", line) and section.path.name == "pyproject.toml":
            inside = line.strip().startswith(f"[{SECTION}")
        if inside and pattern.match(line):
            return f"{section.path}:{number}"
    return str(section.path)


def _checked(option: Option, convert: Any, raw: Any, where: str) -> Any:
    try:
        value = convert(raw)
    except (ValueError, TypeError, RecursionError):
        shown = raw if isinstance(raw, str) else repr(raw)
        raise ConfigError(f"{where} takes {option.kind.takes}, not {shown[:80]!r}") from None
    if option.choices and value not in option.choices:
        raise ConfigError(f"{where} takes {' or '.join(option.choices)}, not {value!r}")
    if option.least is not None and value < option.least:
        raise ConfigError(f"{where} must be {_bound(option.least)}, not {value}")
    return value


def _bound(least: float) -> str:
    if least == 0:
        return "0 or more"
    return f"at least {least:g}" if least >= 1 else "more than 0"
