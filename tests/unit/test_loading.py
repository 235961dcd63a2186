"""Finding what the user named."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalrunner.config import TargetSpec
from evalrunner.errors import TargetError
from evalrunner.pickling.carry import pickle_objects
from evalrunner.worker.code import loading


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path, modules, finders = list(sys.path), set(sys.modules), list(sys.meta_path)
    yield tmp_path
    sys.path[:] = path
    sys.meta_path[:] = finders
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def find(name: str, folder: Path) -> Any:
    return loading.find(name, folder, folder / "modules")


def load(spec: TargetSpec) -> loading.Objects:
    return loading.load(spec, spec.folder / "modules")


CODE = """
from helper_of_mine import factor
class Kept:
    @staticmethod
    def method(inputs): return inputs
def target(inputs): return {"y": factor * inputs["x"]}
def exact(outputs): return True
def total(outputs): return 1
"""


def written(folder: Path, code: str = CODE) -> Path:
    (folder / "helper_of_mine.py").write_text("factor = 2\n")
    (folder / "code_of_mine.py").write_text(code)
    return folder


def test_modules_of_the_folder_are_found(folder: Path) -> None:
    spec = TargetSpec(
        "code_of_mine:target", ("code_of_mine:exact",), ("code_of_mine:total",), folder=written(folder)
    )
    found = load(spec)
    assert found.target({"x": 2}) == {"y": 4}
    assert [each.__name__ for each in (*found.evaluators, *found.summary_evaluators)] == ["exact", "total"]


def test_files_are_found_relative_to_the_folder_and_loaded_once(folder: Path) -> None:
    (folder / "sub").mkdir()
    written(folder / "sub")
    target = find("sub/code_of_mine.py:target", folder)
    exact = find(str(folder / "sub" / "code_of_mine.py") + ":exact", Path("/"))
    assert target({"x": 1}) == {"y": 2}
    assert target.__globals__ is exact.__globals__
    assert find("sub/code_of_mine.py:Kept.method", folder)({"x": 1}) == {"x": 1}


def test_files_of_one_name_in_two_folders_are_two_files(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "same.py").write_text(f"name = {name!r}\n")
    assert find("one/same.py:name", folder) == "one"
    assert find("two/same.py:name", folder) == "two"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("target", "write module:name or path/file.py:name"),
        ("code_of_mine:", "write module:name"),
        (":target", "write module:name"),
        ("no_such_module:target", "there is no module 'no_such_module'"),
        ("code_of_mine.sub:target", "there is no module 'code_of_mine.sub'"),
        ("none.py:target", "there is no file"),
        ("code_of_mine:tarGet", "'code_of_mine' has no 'tarGet'; did you mean target"),
        ("code_of_mine.py:exakt", "has no 'exakt'; did you mean exact"),
        ("code_of_mine:Kept.other", "has no 'other'"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(folder: Path, name: str, said: str) -> None:
    with pytest.raises(TargetError) as caught:
        load(TargetSpec(name, folder=written(folder)))
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["code_of_mine:target", "code_of_mine.py:target"])
def test_what_the_users_own_code_raises_is_not_hidden(folder: Path, name: str) -> None:
    written(folder, "import a_module_that_is_missing\n")
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        load(TargetSpec(name, folder=folder))
    written(folder, "raise RuntimeError('no GPU')\n")
    with pytest.raises(RuntimeError, match="no GPU"):
        load(TargetSpec("code_of_mine.py:target", folder=folder))
    assert "code_of_mine" not in sys.modules


def test_what_was_carried_by_value(folder: Path) -> None:
    data = pickle_objects(lambda inputs: {"y": inputs["x"] + 1}, [], [max])
    found = load(TargetSpec(pickled=data, folder=folder))
    assert found.target({"x": 1}) == {"y": 2}
    assert (found.evaluators, found.summary_evaluators) == ([], [max])


def test_a_file_is_the_module_that_its_stem_imports(folder: Path) -> None:
    """A pool's processes look a function up by its module's name."""
    target = find("code_of_mine.py:target", written(folder))
    assert target.__module__ == "code_of_mine"
    assert importlib.import_module("code_of_mine").target is target


@pytest.mark.parametrize(
    ("place", "module"),
    [
        ("src/shop_of_mine/tools/prices.py", "shop_of_mine.tools.prices"),
        ("src/shop_of_mine/__init__.py", "shop_of_mine"),
        ("src/shop_of_mine/tools/__main__.py", "shop_of_mine.tools.__main__"),
        ("scripts/01-prices-of-mine.py", "01-prices-of-mine"),
    ],
)
def test_a_file_of_a_package_is_imported_as_its_package_says(folder: Path, place: str, module: str) -> None:
    package = folder / "src" / "shop_of_mine" / "tools"
    package.mkdir(parents=True)
    (folder / "scripts").mkdir()
    for one in (package, package.parent):
        (one / "__init__.py").write_text("factor = 3\n")
    (folder / place).write_text("factor = 3\ndef target(inputs): return factor * inputs\n")
    (package / "relative.py").write_text("from . import factor\nfrom .. import factor as other\n")
    target = find(f"{place}:target", folder)
    assert target.__module__ == module
    assert importlib.import_module(module).target is target
    assert find("src/shop_of_mine/tools/relative.py:other", folder) == 3


@pytest.mark.parametrize("name", ["json", "calendar", "__main__", "a.b of mine", "evalrunner"])
def test_a_stem_that_is_something_else_gets_a_name_that_others_can_import_too(
    folder: Path, name: str
) -> None:
    path = folder / f"{name}.py"
    path.write_text("def target(inputs): return inputs\n")
    found = find(f"{name}.py:target", folder)
    assert found.__module__.startswith("evalrunner_user_")
    assert sys.modules[found.__module__].__file__ == str(path)
    assert find(f"{path}:target", Path("/")) is found
    assert getattr(sys.modules.get("json"), "loads", None), "the other one is left alone"
    code = f"import sys; sys.path[:] = {sys.path}; import {found.__module__} as m; print(m.__file__, m.target(3))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == f"{path} 3\n"


def test_a_package_beside_the_file_is_not_taken_for_it(folder: Path) -> None:
    (folder / "both_of_mine").mkdir()
    (folder / "both_of_mine" / "__init__.py").write_text("name = 'package'\n")
    (folder / "both_of_mine.py").write_text("name = 'file'\n")
    assert find("both_of_mine.py:name", folder) == "file"
    assert find("both_of_mine/__init__.py:name", folder) == "package"


def test_a_link_to_the_folder_leads_to_the_same_module(folder: Path) -> None:
    (folder / "real").mkdir()
    written(folder / "real")
    (folder / "link").symlink_to(folder / "real")
    sys.path.insert(0, str(folder / "link"))
    there = importlib.import_module("code_of_mine")
    assert find("real/code_of_mine.py:target", folder) is there.target


def test_two_files_of_one_stem_stay_two_modules(folder: Path) -> None:
    for name in ("one", "two", "three"):
        (folder / name).mkdir()
        (folder / name / "same_of_mine.py").write_text(f"name = {name!r}\ndef target(): return name\n")
    found = [find(f"{name}/same_of_mine.py:target", folder) for name in ("one", "two", "three", "two")]
    assert [one() for one in found] == ["one", "two", "three", "two"]
    assert found[3] is found[1]
    assert len({one.__module__ for one in found}) == 3


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("target_of_mine.py", "from target_of_mine import state"),
        ("pack_of_mine/target_of_mine.py", "from pack_of_mine.target_of_mine import state"),
        ("pack_of_mine/target_of_mine.py", "import target_of_mine; state = target_of_mine.state"),
        ("a/b/target_of_mine.py", "from a.b.target_of_mine import state"),
    ],
)
def test_an_evaluator_that_imports_the_targets_file_gets_the_same_module(
    folder: Path, target: str, line: str
) -> None:
    (folder / target).parent.mkdir(parents=True, exist_ok=True)
    (folder / target).write_text("state = []\ndef target(inputs): state.append(inputs)\n")
    (folder / "judge_of_mine.py").write_text(f"{line}\ndef judge(): return list(state)\n")
    call = find(f"{target}:target", folder)
    judge = find("judge_of_mine.py:judge", folder)
    call(1)
    assert judge() == [1]
    module = sys.modules[call.__module__]
    assert module.__spec__ is not None
    assert module.__spec__.name == module.__name__ == call.__module__


def test_so_does_one_that_lies_beside_a_target_named_as_a_module(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its own folder the target's file has a shorter name than the module that it is."""
    monkeypatch.syspath_prepend(folder)
    (folder / "evals_of_mine").mkdir()
    (folder / "evals_of_mine/target_of_mine.py").write_text(
        "state = []\ndef target(inputs): state.append(inputs)\n"
    )
    lines = "from target_of_mine import state\ndef judge(): return list(state)\n"
    (folder / "evals_of_mine/judge_of_mine.py").write_text(lines)
    find("evals_of_mine.target_of_mine:target", folder)(1)
    assert find("evals_of_mine/judge_of_mine.py:judge", folder)() == [1]


def test_a_file_that_the_target_has_imported_is_not_imported_again(folder: Path) -> None:
    (folder / "pack_of_mine").mkdir()
    (folder / "pack_of_mine" / "judge_of_mine.py").write_text("def judge(): return 1\n")
    (folder / "target_of_mine.py").write_text("from pack_of_mine import judge_of_mine as judges\n")
    judges = find("target_of_mine.py:judges", folder)
    assert find("pack_of_mine/judge_of_mine.py:judge", folder) is judges.judge


@pytest.mark.parametrize(
    "line", ["from . import other", "from .other import x", "from pack_of_mine.inner.other import x"]
)
def test_a_package_that_cannot_be_seen_is_told_how_to_name_it(folder: Path, line: str) -> None:
    inner = folder / "lib" / "pack_of_mine" / "inner"
    inner.mkdir(parents=True)
    (inner / "other.py").write_text("x = 1\n")
    (inner / "target_of_mine.py").write_text(f"{line}\ndef target(inputs): return inputs\n")
    with pytest.raises(TargetError, match=r"cannot be imported by itself") as caught:
        find("lib/pack_of_mine/inner/target_of_mine.py:target", folder)
    advice = re.search(r"name it as (\S+):NAME, with PYTHONPATH=([^\s,]+)", str(caught.value))
    assert advice
    sys.path.insert(0, advice[2])
    assert find(f"{advice[1]}:target", folder)(3) == 3, "the advice works as it stands"


@pytest.mark.parametrize("place", ["", "src"])
def test_a_module_that_lies_elsewhere_in_the_project_is_found_for_the_user(folder: Path, place: str) -> None:
    (folder / "pyproject.toml").touch()
    (folder / place / "shop_elsewhere").mkdir(parents=True)
    (folder / place / "shop_elsewhere" / "core.py").write_text("one = 1\n")
    (folder / "evals").mkdir()
    (folder / "evals" / "subject_of_mine.py").write_text("from shop_elsewhere.core import one\n")
    with pytest.raises(TargetError, match=f"it lies in {folder / place}: set PYTHONPATH={folder / place}$"):
        find("evals/subject_of_mine.py:one", folder)
    (folder / "evals" / "other_of_mine.py").write_text("import nowhere_at_all\n")
    with pytest.raises(ModuleNotFoundError):
        find("evals/other_of_mine.py:one", folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("deep/code_here:f", "a file is named with its ending: deep/code_here.py:NAME"),
        ("notes.ipynb:f", "notes.ipynb is no Python file"),
        ("nothing/here:f", "there is no module 'nothing/here' "),
    ],
)
def test_a_file_that_is_named_like_a_module(folder: Path, name: str, said: str) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "code_here.py").touch()
    (folder / "notes.ipynb").touch()
    with pytest.raises(TargetError, match=re.escape(said)):
        find(name, folder)
