"""Run the quickstart with four workers, kill one of them in mid-run, and see what the receipt says.

    python scripts/demo.py [FOLDER]        (`make demo` does this in demo/)

What is shown is the real commands, on the local backend, whatever LangSmith is configured.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import psutil

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
DATASET = "order-desk"
#: The run is given this long to produce something; it needs a second or two.
PATIENCE = 60.0
#: Bytes in a worker's spool: it has begun; it has produced some dozens of items.
SOME, MANY = 10_000, 1_000_000
#: Seconds after the beginning at which a worker is killed in any case.
LONG = 1.5


def main() -> int:
    """Do it; return 0 if nothing was lost although a worker was killed."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "demo").resolve()
    prepare(folder)
    command("dataset", "push", "dataset.jsonl", "--name", DATASET, "--local", folder=folder)
    say("four workers, three runs per example; one of the workers will be killed")
    code = run_and_kill(
        folder, "run", "--dataset", DATASET, "--workers", "4", "--repetitions", "3", "--local"
    )
    if code:
        return code
    say("the same experiment again: is anything missing?")
    name = receipt(folder)["experiment"]["name"]
    code = command("--workers", "4", "--experiment", name, "--local", folder=folder, check=False)
    where(folder)
    return code


def prepare(folder: Path) -> None:
    """Make `folder` anew and write the quickstart into it."""
    if folder.exists():
        if not (folder / "evalrunner.toml").is_file() and any(folder.iterdir()):
            sys.exit(f"demo: {folder} holds something else; name another folder")
        shutil.rmtree(folder)
    say(f"a small evaluation, in {folder}")
    command("init", str(folder), folder=ROOT)


def run_and_kill(folder: Path, *arguments: str) -> int:
    """Run the command, kill a worker once it has produced something, and return the command's exit code."""
    show(*arguments)
    with subprocess.Popen([evalrunner(), *arguments], cwd=folder) as run:
        victim = find_victim(run)
        if victim:
            os.kill(victim, signal.SIGKILL)
            # On a terminal the run's live view owns the screen, and shows the death itself.
            if not sys.stdout.isatty():
                say(f"worker with pid {victim} was killed just now (SIGKILL)")
    if run.returncode == 0 and not victim:
        sys.exit("demo: the run was over before a worker could be killed; nothing was shown, try again")
    say(f"that was the run in which the worker with pid {victim} was killed on purpose")
    return run.returncode


def find_victim(run: subprocess.Popen[bytes]) -> int | None:
    """Return the busiest worker, as soon as its spool holds a good number of traces."""
    supervisor = psutil.Process(run.pid)
    began = None
    deadline = time.monotonic() + PATIENCE
    while run.poll() is None and time.monotonic() < deadline:
        written, busiest = max(((spooled(one), one.pid) for one in children(supervisor)), default=(0, 0))
        if written > SOME and began is None:
            began = time.monotonic()
        if written > MANY or (began is not None and time.monotonic() > began + LONG):
            return busiest
        time.sleep(0.02)
    return None


def children(process: psutil.Process) -> list[psutil.Process]:
    """Return its descendants, none if it has just ended."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def spooled(process: psutil.Process) -> int:
    """Return how many bytes lie in the spool that this process has open, 0 if it is no worker."""
    try:
        paths = [Path(file.path) for file in process.open_files()]
    except psutil.Error:
        return 0
    return sum(path.stat().st_size for path in paths if "spool" in path.parts and path.exists())


def command(*arguments: str, folder: Path, check: bool = True) -> int:
    """Show and run one evalrunner command; with `check`, its failure is the demo's."""
    show(*arguments)
    code = subprocess.run([evalrunner(), *arguments], cwd=folder, check=False).returncode
    if check and code:
        sys.exit(code)
    return code


def receipt(folder: Path) -> dict[str, dict[str, str]]:
    """Return the receipt of the newest run."""
    paths = sorted(
        (folder / ".evalrunner" / "runs").glob("*/receipt.json"), key=lambda path: path.stat().st_mtime
    )
    found: dict[str, dict[str, str]] = orjson.loads(paths[-1].read_bytes())
    return found


def where(folder: Path) -> None:
    """Say where to look now."""
    say("where to look")
    here = Path.cwd()
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    for path, what in (
        ("README.md", "what was evaluated; change target.py and run it again"),
        (".evalrunner/runs/*/receipt.json", "every item by id, the three books, every worker"),
        (".evalrunner/runs/*/", "the ledger, and a log per worker"),
    ):
        print(f"  {shown}/{path}\n      {what}")
    for command, what in (
        ("report", "the receipt again"),
        ("serve", "prints a link: the experiment, its traces and plots in a browser"),
    ):
        print(f"  cd {shown} && {shown_command(folder)} {command}\n      {what}", flush=True)


def shown_command(folder: Path) -> str:
    """Return how the command is called from a shell in `folder`."""
    return "evalrunner" if shutil.which("evalrunner") else shlex.quote(os.path.relpath(evalrunner(), folder))


def evalrunner() -> str:
    """Return the command that stands beside this Python."""
    return str(BIN / "evalrunner")


def show(*arguments: str) -> None:
    """Show a command as it would be typed."""
    print(f"$ evalrunner {shlex.join(arguments)}", flush=True)


def say(text: str) -> None:
    """Say what happens here."""
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
