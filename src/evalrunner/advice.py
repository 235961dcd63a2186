"""The commands that we tell people to type. Each works as it stands, in the folder in which it was printed.

So they repeat what was said on the command line: target, evaluators, folders, splits. What a configuration file or
a variable says is still there, and is not repeated.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from evalrunner.config import RunConfig

_SECRET = re.compile(r"key|token|secret|passw|credential|url|dsn", re.IGNORECASE)


def flag(name: str, value: Any) -> Iterator[str]:
    """Yield a flag as the shell takes it, once for each of its values.

    A value of a worker's environment whose name sounds secret is left to the shell that it came from: a command is
    printed, and stands in files.
    """
    if isinstance(value, bool):
        yield f"--{'' if value else 'no-'}{name}"
    elif isinstance(value, dict):
        for key, one in value.items():
            shown = f'{key}="${key}"' if name == "env" and _SECRET.search(key) else _quoted(f"{key}={one}")
            yield f"--{name} {shown}"
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from flag(name, one)
    else:
        yield f"--{name} {_quoted(f'{value:g}' if isinstance(value, float) else str(value))}"


def go_on(config: RunConfig, experiment: str, *more: str, made: bool = True) -> str:
    """Return what goes on with an experiment.

    Args:
        experiment: its name.
        more: further flags.
        made: it exists; otherwise its creation is part of what is to be said again.
    """
    if config.spec.pickled is not None:
        return f"evalrunner.run(..., experiment={experiment!r})" if made else "evalrunner.run(...), as it was"
    if config.said is None:
        where = flag("run-dir", str(config.run_dir)) if config.run_dir else ()
        return _command("evalrunner resume", [_quoted(experiment)], where, more)
    if not made:
        return _command("evalrunner run", config.said.creation, config.said.flags, more)
    return _command("evalrunner", flag("experiment", experiment), config.said.flags, more)


def anew(config: RunConfig, dataset: str) -> str:
    """Return what evaluates the dataset into a new experiment, as this run would have."""
    if config.said is None:
        return f"evalrunner.run(..., dataset={dataset!r})"
    facts = [word for word in config.said.creation if not word.startswith(("--dataset ", "--experiment "))]
    return _command("evalrunner run", flag("dataset", dataset), facts, config.said.flags)


def beside(config: RunConfig, command: str) -> str:
    """Return another command of ours that is to work on the same LangSmith as this run."""
    return _command(command, config.said.place if config.said else ())


def _command(first: str, *parts: Iterable[str]) -> str:
    words = dict.fromkeys(word for part in parts for word in part)
    return " ".join([first, *words])


def _quoted(text: str) -> str:
    return shlex.quote(text)
