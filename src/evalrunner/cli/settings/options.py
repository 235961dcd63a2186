"""Every option of a run, once: its flag, its key in a file, its environment variable, its default, its help.

--max-concurrency   max-concurrency or max_concurrency   EVALRUNNER_MAX_CONCURRENCY
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from evalrunner.cli.settings.kinds import JSON_TABLE, LIST, NUMBER, SWITCH, TEXT, TEXT_TABLE, WHOLE, Kind
from evalrunner.config import EVALUATOR_ERRORS, START_METHODS, RunConfig, TargetSpec, WorkerConfig

_RUN = RunConfig(TargetSpec())
_WORKER = WorkerConfig()

WHAT, CODE, HOW, LIMITS, WHERE, SHOW = (
    "What is evaluated",
    "Target and evaluators",
    "Workers",
    "Deadlines and attempts",
    "Where",
    "What is printed",
)


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: in kebab-case.
        kind: what it may hold.
        panel: heading in the help.
        help: one or two sentences.
        default: its value when nobody says anything.
        shown: how the help writes the default, where that is not its value.
        short: one-letter flag.
        metavar: what stands for the value in the help.
        in_files: may also stand in a file or the environment.
        least: smallest value allowed.
        choices: values allowed.
    """

    name: str
    kind: Kind
    panel: str
    help: str
    default: Any = None
    shown: str | None = None
    short: str | None = None
    metavar: str | None = None
    in_files: bool = True
    least: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name as a Python identifier."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"EVALRUNNER_{self.key.upper()}"


OPTIONS: tuple[Option, ...] = (
    Option("experiment", TEXT, WHAT, "Complete this experiment: run what has no complete run in it yet.",
           short="e", metavar="ID|NAME"),
    Option("dataset", TEXT, WHAT, "Create a new experiment over this dataset, and complete it.",
           short="d", metavar="ID|NAME"),
    Option("prefix", TEXT, WHAT, "Start of the new experiment's name (with --dataset).", metavar="TEXT",
           shown="the dataset's name"),
    Option("description", TEXT, WHAT, "Description of the new experiment (with --dataset).", metavar="TEXT"),
    Option("metadata", JSON_TABLE, WHAT,
           "Metadata of the new experiment (with --dataset); VALUE is JSON if it reads as JSON, else text. "
           "Repeatable.", default={}, metavar="KEY=VALUE"),
    Option("repetitions", WHOLE, WHAT, "Runs per example.", shown="the experiment's own number, else 1",
           metavar="N", least=1),
    Option("split", LIST, WHAT, "Only examples of this split. Repeatable.", default=(), metavar="NAME",
           shown="all"),
    Option("as-of", TEXT, WHAT, "Version of the dataset: an ISO time or a tag.", metavar="VERSION",
           shown="the experiment's version, else the latest"),
    Option("limit", WHOLE, WHAT, "Only the first N examples.", metavar="N", shown="all", least=1),
    Option("retry-errors", SWITCH, WHAT, "Also run again the items whose target raised.", default=False),
    Option("target", TEXT, CODE,
           "module:name or file.py:name of anything that LangSmith's aevaluate takes. It is executed at "
           "least once per item, "
           "at most --max-attempts times.", short="t", metavar="SPEC"),
    Option("factory", SWITCH, CODE,
           "The target is called once per worker process, without arguments, and returns the real one "
           "(one model per process).", default=False),
    Option("evaluator", LIST, CODE,
           "An evaluator, likewise; executed as often as the target. Repeatable.", default=(),
           metavar="SPEC"),
    Option("summary-evaluator", LIST, CODE,
           "Likewise; runs once, over the whole experiment. Repeatable.", default=(),
           metavar="SPEC"),
    Option("trace-evaluators", SWITCH, CODE,
           "Trace the evaluators to the project 'evaluators', as the SDK does.",
           default=_WORKER.trace_evaluators),
    Option("evaluator-errors", TEXT, CODE,
           "What an evaluator that raised does to the exit code: fail makes it 5, warn leaves it alone.",
           default=_RUN.evaluator_errors, metavar="fail|warn", choices=EVALUATOR_ERRORS),
    Option("workers", WHOLE, HOW, "Worker processes.", default=_RUN.workers, short="w", metavar="N", least=1),
    Option("max-concurrency", WHOLE, HOW, "Items at once in each worker.", metavar="N", least=1,
           shown="1 for a sync target, 8 for an async one"),
    Option("start-method", TEXT, HOW, f"How worker processes start: {' or '.join(START_METHODS)}.",
           default=_RUN.start_method, metavar="METHOD", choices=START_METHODS),
    Option("gpus-per-worker", WHOLE, HOW, "GPUs of CUDA_VISIBLE_DEVICES that each worker sees.", metavar="N",
           shown="all", least=1),
    Option("env", TEXT_TABLE, HOW,
           "Further environment of every worker. Repeatable. Workers inherit yours: no need of secrets here.",
           default={}, metavar="KEY=VALUE"),
    Option("live", SWITCH, HOW,
           "Post runs when they start instead of whole when they end: unfinished runs can be watched. A "
           "killed worker's are then ended with an error, and replaced.", default=_WORKER.live),
    Option("max-attempts", WHOLE, LIMITS, "How many workers may die with one item before it is failed.",
           default=_RUN.max_attempts, metavar="N", least=1),
    Option("item-timeout", NUMBER, LIMITS, "Seconds that one item may take before its worker is killed.",
           metavar="SECONDS", shown="no limit", least=0.001),
    Option("setup-timeout", NUMBER, LIMITS,
           "Seconds that a worker may take to load target and evaluators before it is killed.",
           default=_RUN.setup_timeout, metavar="SECONDS", least=0.001),
    Option("grace", NUMBER, LIMITS,
           "Seconds that a worker waits at its end for stragglers; less once everything is accepted.",
           default=_WORKER.grace, metavar="SECONDS", least=0),
    Option("delivery-deadline", NUMBER, LIMITS,
           "Seconds after which traces that could not be sent stay on disk, to be sent by the next run.",
           default=_WORKER.delivery_deadline, metavar="SECONDS", least=0),
    Option("visible-deadline", NUMBER, LIMITS, "Seconds to wait until accepted runs can be read back.",
           default=_RUN.visible_deadline, metavar="SECONDS", least=0),
    Option("local", SWITCH, WHERE, "Use the local backend even though a LangSmith is configured.",
           default=False, shown="only where none is configured"),
    Option("store", TEXT, WHERE, "The local backend's file.", default=".evalrunner/store.sqlite",
           metavar="FILE"),
    Option("run-dir", TEXT, WHERE, "Folder of this run: ledger, spools, logs, receipt.json.",
           metavar="FOLDER", shown=".evalrunner/runs/<experiment id>"),
    Option("plan", SWITCH, SHOW, "Import target and evaluators, say what would run and why, and run nothing.",
           default=False, in_files=False),
    Option("quiet", SWITCH, SHOW, "Print the verdict and errors only.", default=False, short="q",
           in_files=False),
    Option("json", SWITCH, SHOW, "Print the receipt as one JSON document on stdout, all else on stderr.",
           default=False, in_files=False),
)  # fmt: skip

BY_KEY: dict[str, Option] = {option.key: option for option in OPTIONS}

F = TypeVar("F", bound=Callable[..., Any])


def takes_options(function: F, *first: inspect.Parameter) -> F:
    """Give `function(**flags)` the signature with every option, which typer then reads.

    Args:
        function: takes all flags as keywords; a flag that was not given is None.
        first: further parameters, before the options.
    """
    parameters = [*first, *(_parameter(option) for option in OPTIONS)]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function


def _parameter(option: Option) -> inspect.Parameter:
    info = typer.Option(
        *_declarations(option),
        help=_help(option),
        rich_help_panel=option.panel,
        show_default=False,
        metavar=option.metavar,
        autocompletion=(lambda incomplete: _beginning(option, incomplete)) if option.choices else None,
    )
    annotation = Annotated[option.kind.annotation, info]  # type: ignore[name-defined]
    return inspect.Parameter(option.key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _beginning(option: Option, incomplete: str) -> list[str]:
    """Return the choices that a shell may complete to."""
    return [choice for choice in option.choices if choice.startswith(incomplete)]


def _declarations(option: Option) -> list[str]:
    flag = f"--{option.name}"
    if option.kind is SWITCH and option.in_files:
        flag += f"/--no-{option.name}"
    return [flag, *([f"-{option.short}"] if option.short else [])]


def _help(option: Option) -> str:
    """Return the help with the default in words: the flag's own default is None, "not given"."""
    default = option.shown or _shown(option)
    return f"{option.help} Default: {default}." if default else option.help


def _shown(option: Option) -> str:
    if option.kind is SWITCH:
        return ("yes" if option.default else "no") if option.in_files else ""
    return f"{option.default:g}" if isinstance(option.default, float) else str(option.default or "")
