"""What `evalrunner init` writes: a small evaluation that means something, to run at once and to change.

The files lie beside this one as they are written; target and evaluators are checked and tested like the
rest of the package, and import nothing but langsmith.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from evalrunner.errors import RunFolderError

#: What is written, and from which file of this package.
FILES = {
    "dataset.jsonl": "dataset.jsonl",
    "target.py": "target.py",
    "evaluators.py": "evaluators.py",
    "evalrunner.toml": "evalrunner.toml",
    "README.md": "readme.txt",
}


def write(folder: Path) -> list[Path]:
    """Write the quickstart into `folder`, which is made if it does not exist.

    Files that are there already and say the same are left alone, so that writing twice is no error.

    Returns:
        The paths that make up the quickstart, in the order of `FILES`.

    Raises:
        RunFolderError: a file of one of these names is there and says something else; nothing was written.
    """
    contents = {folder / name: (files(__name__) / source).read_bytes() for name, source in FILES.items()}
    changed = [path for path, content in contents.items() if path.exists() and not _holds(path, content)]
    if changed:
        names = ", ".join(path.name for path in changed)
        raise RunFolderError(
            f"{folder} already has another {names}; take an empty folder, or move it away first"
        )
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; take a folder")
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        if not path.exists():
            path.write_bytes(content)
    return list(contents)


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
