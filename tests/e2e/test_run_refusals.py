"""What cannot be done is refused in one sentence, with its exit code, and nothing is executed."""

from __future__ import annotations

import re
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from evalrunner.exit_codes import ExitCode
from tests.support.rig import Backend, Command, ExecutionLog, Finished, wait_until

Cli = Callable[..., Finished]
TARGETS = Path(__file__).resolve().parent / "targets"
TARGET = ("--target", f"{TARGETS}/kinds.py:sync")


def refused(done: Finished, log: ExecutionLog, *words: str) -> str:
    """Assert that a command was refused properly; return its sentence."""
    assert done.code == ExitCode.USAGE, done.err
    assert done.out == ""
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.err
    assert "Traceback" not in done.err
    assert 'File "' not in done.err
    for word in words:
        assert word in errors[0]
    assert log.lines() == [], "something was executed"
    return errors[0]


def experiments(backend: Backend, dataset: str) -> list[str]:
    return [str(one.name) for one in backend.client.list_projects(reference_dataset_name=dataset)]


def test_an_unknown_experiment_and_dataset(backend: Backend, inside: Cli, log: ExecutionLog) -> None:
    dataset = backend.dataset(1)
    name = backend.experiment(dataset)
    refused(inside("--experiment", name[:-1], *TARGET), log, "no experiment", f"did you mean '{name}'")
    refused(inside("--dataset", f"{dataset.name}x", *TARGET), log, "no dataset", str(dataset.name))


def test_a_project_that_is_no_experiment(backend: Backend, inside: Cli, log: ExecutionLog) -> None:
    backend.client.create_project("just traces")
    refused(inside("--experiment", "just traces", *TARGET), log, "no reference dataset", "--dataset")


def test_an_empty_dataset(backend: Backend, inside: Cli, log: ExecutionLog) -> None:
    dataset = backend.dataset(0)
    refused(inside("--dataset", dataset.name, *TARGET), log, "no examples", "dataset push")
    full = backend.dataset(2)
    refused(inside("--dataset", full.name, "--split", "nowhere", *TARGET), log, "split nowhere")
    assert experiments(backend, str(dataset.name)) == experiments(backend, str(full.name)) == []


@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_a_time_of_the_job_that_is_none(
    backend: Backend, inside: Cli, log: ExecutionLog, plan: tuple[str, ...]
) -> None:
    name = backend.experiment(backend.dataset(1))
    words = ("--experiment", name, *TARGET, *plan, "--walltime", "10:00")
    refused(inside(*words), log, "--walltime '10:00' is no time (minutes or hours?)", "1:30:00")


def test_a_job_that_is_over_at_once_executes_nothing_and_a_long_one_everything(
    backend: Backend, command: Cli, log: ExecutionLog
) -> None:
    name = backend.experiment(backend.dataset(3))
    words = ("--experiment", name, *TARGET, "--workers", "1")
    done = command(*words, "--walltime", "0.5")
    assert (done.code, log.lines()) == (ExitCode.INTERRUPTED, []), done.err
    assert "stopping (the job ends at" in done.err
    done = command(*words, "--walltime", "2h")
    assert (done.code, len(log.counts())) == (ExitCode.COMPLETE, 3), done.err
    assert "--walltime: the run is to be over before" in done.err


def test_nobody_listens(inside: Cli, log: ExecutionLog) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    done = inside("--dataset", "x", *TARGET, LANGSMITH_ENDPOINT=url)
    refused(done, log, "cannot be reached", "connection refused")


def test_a_refused_key(backend: Backend, inside: Cli, log: ExecutionLog) -> None:
    done = inside("--dataset", "x", *TARGET, LANGSMITH_API_KEY="not-the-key")
    assert "not-the-key" not in refused(done, log, "refuses the API key", "LANGSMITH_API_KEY")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("no_such_module:target", ["no module 'no_such_module'"]),
        ("nowhere/file.py:target", ["no file", "nowhere/file.py"]),
        (f"{TARGETS}/kinds.py:snyc", ["has no 'snyc'", "did you mean sync"]),
        (f"{TARGETS}/broken.py:NUMBER", ["cannot be called"]),
    ],
)
def test_a_target_that_is_not_there(
    backend: Backend, inside: Cli, log: ExecutionLog, spec: str, words: list[str]
) -> None:
    dataset = backend.dataset(2)
    refused(inside("--dataset", dataset.name, "--workers", "2", "--target", spec), log, *words)
    assert experiments(backend, str(dataset.name)) == []


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("--evaluator", "Judge", ["evaluator 'Judge' cannot be used"]),
        ("--evaluator", "rihgt", ["has no 'rihgt'", "did you mean right"]),
        ("--summary-evaluator", "totla", ["has no 'totla'", "did you mean total"]),
    ],
)
def test_an_evaluator_that_cannot_be_used(
    backend: Backend, inside: Cli, log: ExecutionLog, option: str, name: str, words: list[str]
) -> None:
    dataset = backend.dataset(2)
    done = inside("--dataset", dataset.name, "--workers", "1", *TARGET, option, f"{TARGETS}/judges.py:{name}")
    refused(done, log, *words)
    assert experiments(backend, str(dataset.name)) == []


@pytest.mark.parametrize("name", ["import_raises", "import_exits", "setup_raises"])
def test_what_goes_wrong_while_loading_has_its_traceback_in_a_log(
    backend: Backend, command: Cli, log: ExecutionLog, tmp_path: Path, name: str
) -> None:
    dataset = backend.dataset(2)
    spec = f"{TARGETS}/broken.py:Model" if name == "setup_raises" else f"{TARGETS}/broken_{name}.py:target"
    done = command("--dataset", dataset.name, "--workers", "2", "--target", spec)
    words = {"import_raises": "ZeroDivisionError", "import_exits": "SystemExit", "setup_raises": "no weights"}
    sentence = refused(done, log, words[name])
    found = re.search(r"traceback is in ([^\s)]+)", sentence)
    assert found, sentence
    written = (tmp_path / found[1]).read_text()
    assert "Traceback" in written
    assert words[name] in written
    assert experiments(backend, str(dataset.name)) == []


@pytest.mark.parametrize("role", ["--target", "--evaluator", "--summary-evaluator"])
def test_a_script_that_evaluates_when_it_is_imported(
    backend: Backend, inside: Cli, log: ExecutionLog, role: str
) -> None:
    dataset = backend.dataset(2)
    script = TARGETS / "quickstart_script.py"
    line = script.read_text().splitlines().index('Client().evaluate(target, data=os.environ["DATASET"])') + 1
    target = () if role == "--target" else TARGET
    done = inside(
        "--dataset",
        dataset.name,
        "--workers",
        "3",
        *target,
        role,
        f"{script}:target",
        DATASET=str(dataset.name),
    )
    refused(done, log, f"{script}, line {line}: evaluate() is called when", 'if __name__ == "__main__":')
    assert experiments(backend, str(dataset.name)) == []


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_set_up_that_evaluates(
    backend: Backend, command: Cli, log: ExecutionLog, tmp_path: Path, method: str
) -> None:
    lines = [
        "from langsmith import evaluate",
        "class Model:",
        "    def setup(self):",
        "        evaluate(self, data='d')",
        "    def __call__(self, inputs):",
        "        return inputs",
    ]
    (tmp_path / "eager.py").write_text("\n".join(lines))
    named = f"{tmp_path}/eager.py:Model"
    asked = ("--dataset", backend.dataset(2).name, "--start-method", method, "--target", named)
    refused(command(*asked), log, f"{tmp_path}/eager.py, line 4: evaluate() is called while a worker sets up")


def test_a_tmpdir_as_long_as_batch_systems_make_them_is_no_reason_to_refuse(
    backend: Backend, command: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / ("scratch" * 15)
    folder.mkdir()
    done = command("--dataset", backend.dataset(2).name, "--workers", "1", *TARGET, TMPDIR=str(folder))
    assert done.code == 0, done.err


def test_two_runs_over_one_run_folder(backend: Backend, tmp_path: Path, log: ExecutionLog) -> None:
    dataset = backend.dataset(4)
    name = backend.experiment(dataset)
    env = backend.environment(EXECUTIONS=str(log.path), GATE=str(tmp_path / "gate"))
    arguments = ["--experiment", name, "--workers", "1", "--target", f"{TARGETS}/gated.py:target"]
    first = Command(arguments, cwd=tmp_path, env=env)
    log.reach(1, command=first)
    second = Command(arguments, cwd=tmp_path, env=env).finish()
    (tmp_path / "gate").touch()
    assert first.finish().code == 0
    assert second.code == ExitCode.BUSY, second.err
    assert f"another evalrunner is running the experiment {name!r} (pid {first.pid} on" in second.err
    assert "Traceback" not in second.err
    assert log.counts() == {str(number): 1 for number in range(4)}


def test_a_folder_that_cannot_be_written(
    backend: Backend, inside: Cli, log: ExecutionLog, tmp_path: Path
) -> None:
    dataset = backend.dataset(1)
    (tmp_path / "file").touch()
    done = inside("--dataset", dataset.name, "--run-dir", "file/run", *TARGET)
    refused(done, log, "file/run", "cannot be written")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    refused(inside("--dataset", dataset.name, "--run-dir", "link", *TARGET), log, "link")
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) != 0o700, "it was left alone"
    refused(inside("--dataset", dataset.name, "--run-dir", "/proc/nothing", *TARGET), log, "/proc/nothing")


def test_nonsense(inside: Cli, log: ExecutionLog) -> None:
    assert inside("--dataset", "x", "--workers", "0", *TARGET).code == ExitCode.USAGE
    assert inside("--dataset", "x", "--experiment", "y", *TARGET).code == ExitCode.USAGE
    assert inside("--dataset", "x").code == ExitCode.USAGE
    assert inside("--dataset", "x", "--target", "nameless").code == ExitCode.USAGE
    assert log.lines() == []


def test_interrupted_while_it_looks_for_the_service(tmp_path: Path, backend: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        command = Command(
            ["--dataset", "x", *TARGET],
            cwd=tmp_path,
            env={**backend.environment(), "LANGSMITH_ENDPOINT": url},
        )
        mute.settimeout(20)
        with mute.accept()[0]:  # it is connected, and waits for an answer
            command.signal(signal.SIGINT)
            done = command.finish()
    assert done.code == ExitCode.INTERRUPTED
    assert "Traceback" not in done.err


def test_wait_until_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"the moon did not happen within 0\.01 s"):
        wait_until(lambda: False, 0.01, "the moon")
