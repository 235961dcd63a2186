"""Importing a file under the name that everybody else would import it by: one file, one module, one name.

A process pool inside a target finds its functions by their module's name, and an evaluator file that imports the
target's file must get the module that is there already. So a file is imported as its package says, or as its stem;
where that name is another module's, under a name of its own, for which there is a file on the import path too.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from evalrunner.errors import TargetError

#: What a file of its own name holds: the module is the file's, wherever it is imported, also in a pool's processes.
_SHIM = """\
import importlib.util, sys
spec = importlib.util.spec_from_file_location(__name__, {path!r})
module = sys.modules[__name__] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""

_MAINS = ("__main__", "__mp_main__")
#: What lies in the folder of a project.
_SIGNS = (".git", "pyproject.toml", "setup.py", "evalrunner.toml")


def import_file(path: Path, shims: Path) -> ModuleType:
    """Import a Python file, once per process.

    Args:
        path: absolute.
        shims: folder for files that give a name to what has none; made when it is needed.

    Raises:
        TargetError: it is not there, or its package cannot be told.
        Exception: whatever the file raised.
    """
    path = path.resolve()
    if not path.is_file():
        raise TargetError(f"there is no file {path}")
    known = _imported(path)
    if known is not None:
        return known
    _put_first(path.parent)
    root, name = package_of(path)
    if not _is_ours(name, root, path):
        name = _own_name(path, shims)
    _OneModule.know(path, name)
    with _said_where_to_look(path, root), _said_where_it_lies(path):
        return importlib.import_module(name)


def remember(module: ModuleType) -> None:
    """Have whoever imports this module's file under a further name get the module that is there."""
    file = getattr(module, "__file__", None)
    if file:
        _OneModule.know(Path(file).resolve(), module.__name__)


def package_of(path: Path) -> tuple[Path, str]:
    """Return the folder above a file's packages, and the file's name as a module of them."""
    root, parts = path.parent, [] if path.stem == "__init__" else [path.stem]
    while (root / "__init__.py").is_file() and root != root.parent:
        parts.insert(0, root.name)
        root = root.parent
    return root, ".".join(parts) if all("." not in part for part in parts) else ""


def _imported(path: Path) -> ModuleType | None:
    for name, module in list(sys.modules.items()):
        file = str(getattr(module, "__file__", None))
        if file.endswith(path.name) and Path(file).resolve() == path and name not in _MAINS:
            return module
    return None


def _put_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _is_ours(name: str, root: Path, path: Path) -> bool:
    """Whether importing `name` would look for it in `root`; puts `root` on the import path."""
    top = name.partition(".")[0]
    if not name or top in sys.stdlib_module_names:
        return False
    if top in sys.modules:
        return any(Path(place).resolve() == root / top for place in getattr(sys.modules[top], "__path__", ()))
    first = path if top == name else root / top / "__init__.py"
    importlib.invalidate_caches()
    if str(root) not in sys.path:
        # At the end first: what lies beside a package (other projects) should not hide what is installed.
        sys.path.append(str(root))
        if not _finds(top, first):
            sys.path.remove(str(root))
            sys.path.insert(0, str(root))
    return _finds(top, first)


def _finds(top: str, first: Path) -> bool:
    spec = importlib.util.find_spec(top)
    return spec is not None and bool(spec.origin) and Path(str(spec.origin)).resolve() == first


def _own_name(path: Path, shims: Path) -> str:
    """Give the file a name that no other module has, and that processes which it starts can import."""
    digest = hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()[:8]
    name = f"evalrunner_user_{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}_{digest}"
    shims.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Whole or not at all: the workers beside this one write it too, and import it.
    fresh = shims / f"{name}.{os.getpid()}.new"
    fresh.write_text(_SHIM.format(path=str(path)), encoding="utf-8")
    fresh.replace(shims / f"{name}.py")
    if str(shims) not in sys.path:
        sys.path.append(str(shims))
    importlib.invalidate_caches()
    return name


@contextlib.contextmanager
def _said_where_to_look(path: Path, root: Path) -> Iterator[None]:
    """Say what to write where the file's package is not to be seen from the file.

    Raises:
        TargetError: it imports from a package around it that has no `__init__.py`.
    """
    try:
        yield
    except ImportError as error:
        above = _root_that_would_do(path, root, error)
        if above is None:
            raise
        dotted = ".".join(path.relative_to(above).with_suffix("").parts)
        raise TargetError(
            f"{path} cannot be imported by itself ({error}): name it as {dotted}:NAME, with PYTHONPATH={above}, "
            f"or put an __init__.py into each folder below {above}"
        ) from error


@contextlib.contextmanager
def _said_where_it_lies(path: Path) -> Iterator[None]:
    """Say what to write where the file imports what lies elsewhere in its project, in `src` for one.

    Raises:
        TargetError: a module is missing, and is there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        top = (error.name or "").partition(".")[0]
        place = (
            next((one for one in _project(path) if _holds(one, top)), None)
            if top not in sys.modules
            else None
        )
        if place is None:
            raise
        raise TargetError(
            f"{path} cannot be imported: {error}; it lies in {place}: set PYTHONPATH={place}"
        ) from error


def _project(path: Path) -> Iterator[Path]:
    """Yield the folders above a file, and `src` in each, up to the project's own."""
    for folder in path.parents:
        yield folder
        yield folder / "src"
        if any((folder / sign).exists() for sign in _SIGNS) or folder == Path.home():
            return


def _holds(folder: Path, name: str) -> bool:
    return bool(name) and ((folder / f"{name}.py").is_file() or any((folder / name).glob("*.py")))


def _root_that_would_do(path: Path, root: Path, error: ImportError) -> Path | None:
    if error.name is None and "relative import" in str(error):
        return root.parent
    missing = (error.name or "").partition(".")[0]
    return next((folder.parent for folder in path.parents if missing and folder.name == missing), None)


class _OneModule(MetaPathFinder, Loader):
    """Gives the module that is there to whoever imports its file under a further name."""

    _known: dict[str, str] = {}  # noqa: RUF012 - of the process, as sys.modules is

    def __init__(self, module: ModuleType | None = None) -> None:
        self._module = module
        self._spec = getattr(module, "__spec__", None)

    @classmethod
    def know(cls, path: Path, name: str) -> None:
        """Remember which module a file is."""
        cls._known[str(path)] = name
        if not any(isinstance(finder, cls) for finder in sys.meta_path):
            sys.meta_path.insert(0, cls())

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a file that is a module already."""
        last = fullname.rpartition(".")[2]
        if not any(Path(file).stem == last for file in self._known):
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                module = sys.modules.get(self._known.get(str(Path(spec.origin or "").resolve()), ""))
                return spec if module is None else ModuleSpec(fullname, _OneModule(module))
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make nothing: it is there."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Execute nothing; it keeps its own spec."""
        module.__spec__ = self._spec
