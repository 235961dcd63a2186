"""A backend, and both runners over it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plain  # type: ignore[import-not-found]
from cases import Case  # type: ignore[import-not-found]
from langsmith.evaluation._runner import _is_langchain_runnable
from reading import differences, plainly, read  # type: ignore[import-not-found]

from evalrunner.api import execute
from evalrunner.config import RunConfig, TargetSpec, WorkerConfig
from evalrunner.report.receipt import Receipt
from evalrunner.supervisor.shell.progress import Silent
from tests.support.rig import Backend

METADATA = {"who": "me", "model": {"name": "m"}}
Found = list[tuple[str, Any, Any]]
CORPUS = plain.CORPUS


class Stage:
    """Runs cases, each once."""

    def __init__(self, backend: Backend, folder: Path) -> None:
        self.backend, self._folder, self._runs = backend, folder, 0

    def dataset(self, case: Case) -> str:
        """Make the examples of a case."""
        names = case.examples or ("0", "1")
        more: dict[str, Any] = {"attachments": {"note": ("text/plain", b"hello")}} if case.attached else {}
        dataset = self.backend.client.create_dataset(f"{case.id}-{self._runs}")
        self.backend.client.create_examples(
            dataset_id=dataset.id,
            examples=[
                {
                    "inputs": {"i": n % 2, "text": "t", "case": name},
                    "outputs": {"i": n % 2},
                    "metadata": {"m": n},
                    **more,
                }
                for n, name in enumerate(names)
            ],
        )
        return str(dataset.name)

    def plain(self, case: Case, dataset: str) -> dict[str, Any]:
        """Run the SDK alone."""
        module = case.target.partition(":")[0]
        target = plain.load(f"{module}.py:{case.meant or case.target.partition(':')[2]}")
        target = case.shim(target) if case.shim else target
        awaits = inspect.iscoroutinefunction(target) or _is_langchain_runnable(target)
        run = plain.by_aevaluate if awaits else plain.by_evaluate
        judges = [plain.load(name if ":" in name else f"diff_judges.py:{name}") for name in case.evaluators]
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a coroutine that nobody awaits is the corpus's own
            name = run(target, judges, dataset, self.backend.client, METADATA)
        return dict(plainly(read(self.backend.client, name)))

    def ours(
        self, case: Case, dataset: str, *, summaries: Sequence[str] = (), **knobs: Any
    ) -> tuple[Receipt, dict[str, Any]]:
        """Run ours: a supervisor here, a worker process."""
        self._runs += 1
        spec = TargetSpec(
            target=str(CORPUS / case.target.replace(":", ".py:")),
            evaluators=tuple(
                str(CORPUS / (name if ":" in name else f"diff_judges.py:{name}")) for name in case.evaluators
            ),
            summary_evaluators=tuple(str(CORPUS / name) for name in summaries),
            folder=self._folder,
        )
        config = RunConfig(
            spec=spec, worker=WorkerConfig(**knobs), workers=1, dataset=dataset, metadata=METADATA,
            run_dir=self._folder / f"run-{self._runs}",
        )  # fmt: skip
        receipt = execute(config, self.backend.endpoint, Silent())
        return receipt, dict(plainly(read(self.backend.client, receipt.experiment["name"])))

    @functools.cache  # noqa: B019 - as long as the fixture
    def compare(self, case: Case) -> Found:
        """Run a case by both; return every difference."""
        dataset = self.dataset(case)
        wanted = self.plain(case, dataset)
        _, found = self.ours(case, dataset)
        return list(differences(wanted, found))
