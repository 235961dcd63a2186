"""What pyproject.toml says of the package is what the code needs."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import evalrunner

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OURS = {"evalrunner", "evalbackend"}


def normal(name: str) -> str:
    """Return a distribution's name as pip compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> set[str]:
    """Return every package that a module under src imports, but for the standard library and our own."""
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - OURS - set(sys.stdlib_module_names)


def test_the_version_has_one_source() -> None:
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "evalrunner.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", evalrunner.__version__)


def test_what_the_code_imports_is_declared_and_nothing_else() -> None:
    homes = packages_distributions()
    needed = {normal(homes[name][0]) for name in imported()}
    extras = {
        name: wanted for name, wanted in PROJECT["project"]["optional-dependencies"].items() if name != "dev"
    }
    lists = [PROJECT["project"]["dependencies"], *extras.values()]
    assert needed == {normal(re.split(r"[\s<>=;\[]", one)[0]) for wanted in lists for one in wanted}
