"""Finding what the user named."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalrunner.config import TargetSpec
from evalrunner.errors import TargetError
from evalrunner.pickling import pickle_objects
from evalrunner.worker.loading import find, load


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


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
    assert "evalrunner_user_code_of_mine" not in sys.modules


def test_what_dill_carried(folder: Path) -> None:
    data = pickle_objects(lambda inputs: {"y": inputs["x"] + 1}, [], [max])
    found = load(TargetSpec(pickled=data, folder=folder))
    assert found.target({"x": 1}) == {"y": 2}
    assert (found.evaluators, found.summary_evaluators) == ([], [max])
