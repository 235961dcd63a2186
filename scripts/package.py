"""Build sdist and wheel into dist/, and try the wheel: in a fresh virtual environment, away from the repository.

    python scripts/package.py [--out FOLDER]        (`make package` does this in dist/)

The wheel is built from the sdist, so what is missing in either is missing in what is tried. Nothing is downloaded:
the dependencies are those of the environment that runs this, the tested ones, and the wheel comes before them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

import orjson

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("evalrunner", "evalbackend")
#: Where a package lies, and which version it says it is.
_WHERE = (
    "import evalbackend, evalrunner as e; print(e.__version__, e.__file__, evalbackend.__file__, sep='\\n')"
)


def main() -> int:
    """Do it; return 0 if the wheel holds everything and works."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where sdist and wheel are put")
    out = parser.parse_args().out.resolve()
    wheel = build(out)
    if lacking := sources() - held(wheel):
        sys.exit(f"package: {wheel.name} lacks {', '.join(sorted(lacking))}")
    print(f"package: {wheel.name} holds every file of src/{', src/'.join(PACKAGES)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="evalrunner-package-") as folder:
        attempt(wheel, Path(folder))
    print(f"package: installed and run; {out} holds the sdist and the wheel", flush=True)
    return 0


def build(out: Path) -> Path:
    """Build the sdist, and the wheel from it; return the wheel."""
    for old in out.glob("evalrunner-*"):
        old.unlink()
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)], ROOT)
    (wheel,) = out.glob("evalrunner-*.whl")
    return wheel


def sources() -> set[str]:
    """Return every file of the packages, as the repository knows them."""
    listed = run(["git", "ls-files", *(f"src/{name}" for name in PACKAGES)], ROOT)
    return {line.removeprefix("src/") for line in listed.splitlines() if (ROOT / line).is_file()}


def held(wheel: Path) -> set[str]:
    """Return the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def attempt(wheel: Path, folder: Path) -> None:
    """Install it in a virtual environment of its own, and evaluate the quickstart with it on the local backend."""
    home, work = folder / "venv", folder / "work"
    venv.create(home, with_pip=False, symlinks=True)
    work.mkdir()
    python = str(home / "bin" / "python")
    site = Path(run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], work).strip())
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], work)
    # A path in a .pth comes after the packages beside it, and the .pth files behind it (an editable's) do nothing.
    (site / "tested_dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    version, *files = run([python, "-c", _WHERE], work).split()
    if strays := [one for one in files if not Path(one).is_relative_to(site)]:
        sys.exit(f"package: {', '.join(strays)} is not what was installed")
    command = str(home / "bin" / "evalrunner")
    said = run([command, "--version"], work)
    if said != f"evalrunner {version}\n" or f"-{version}-" not in wheel.name:
        sys.exit(f"package: {wheel.name} says {said.strip()!r}")
    run([command, "init", "."], work)
    run([command, "dataset", "push", "dataset.jsonl", "--name", "order-desk", "--local"], work)
    receipt = orjson.loads(
        run(
            [
                command,
                "run",
                "--dataset",
                "order-desk",
                "--limit",
                "40",
                "--workers",
                "2",
                "--local",
                "--json",
            ],
            work,
        )
    )
    if receipt["complete"] is not True:
        sys.exit(f"package: the quickstart ended with: {receipt['verdict']}")


def run(command: list[str], folder: Path) -> str:
    """Run a command in a clean environment and return what it printed; its failure is ours, with what it said."""
    foreign = ("LANGSMITH_", "LANGCHAIN_", "EVALRUNNER_", "PYTHONPATH", "COVERAGE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        sys.exit(f"package: {' '.join(command)} ended with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
