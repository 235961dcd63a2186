"""The commands that the pages tell people to type, in the folder that the experiment was run in.

An experiment of evalrunner's says in its metadata which flags it takes to go on with it. Of another tool's nobody
knows the target: what is to be filled in is written in capitals.
"""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path

from evalbackend.store.scope import Scope

#: The file that commands use where none is named.
_USUAL = (".evalrunner", "store.sqlite")


class Advice:
    """Commands for what is in one store."""

    def __init__(self, store: Path) -> None:
        path = store.absolute()
        usual = path.parts[-2:] == _USUAL
        self._store = "" if usual else f" --store {shlex.quote(str(path))}"

    def go_on(self, scope: Scope) -> str:
        """Return what makes an experiment complete."""
        flags = said(scope)
        if flags is None:
            return f"evalrunner --experiment {scope.id} --target FILE.py:FUNCTION{self._store}"
        return " ".join([f"evalrunner --experiment {scope.id}", *map(shlex.quote, flags)])

    def why(self, scope: Scope) -> str:
        """Return what says why something of an experiment is missing."""
        return f"evalrunner doctor {scope.id}{self._store}"

    def report(self, scope: Scope) -> str:
        """Return what prints the receipt of the last run over an experiment."""
        flags = said(scope) or []
        where = [f"--run-dir {shlex.quote(value)}" for name, value in _pairs(flags) if name == "--run-dir"]
        return " ".join([f"evalrunner report {scope.id}", *where])

    def run(self, dataset: str) -> str:
        """Return what evaluates a dataset."""
        return f"evalrunner run --dataset {dataset} --target FILE.py:FUNCTION{self._store}"

    def fill(self, name: str) -> str:
        """Return what adds examples to a dataset, by its name."""
        named = shlex.quote(name) if name.isprintable() else "NAME"
        return f"evalrunner dataset push FILE --name {named}{self._store}"


def said(scope: Scope) -> list[str] | None:
    """Return the flags that an experiment's metadata tells; None if it tells none that a shell could take.

    They came with the experiment, maybe from somebody else: they are taken apart here and quoted anew, so that
    nothing but one command comes of them.
    """
    facts = scope.metadata.get("evalrunner")
    flags = facts.get("flags") if isinstance(facts, dict) else None
    if not isinstance(flags, str) or not flags.isprintable():
        return None
    try:
        return shlex.split(flags)
    except ValueError:
        return None


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    return list(itertools.pairwise(words))
