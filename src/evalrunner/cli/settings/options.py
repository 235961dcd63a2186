"""Every option of a run: the fields of the configuration that carry a knob, and what concerns the command line alone.

--max-concurrency   max-concurrency or max_concurrency   EVALRUNNER_MAX_CONCURRENCY
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import typer

from evalrunner.cli.settings.kinds import JSON_TABLE, LIST, NUMBER, SWITCH, TEXT, TEXT_TABLE, WHOLE, Kind
from evalrunner.config import RunConfig, TargetSpec, WorkerConfig
from evalrunner.knob import knobs


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: in kebab-case.
        field: of the configuration, that it sets; "" for what concerns the command line alone.
        kind: what it may hold.
        help: one or two sentences.
        panel: heading in the help.
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
    help: str
    panel: str = ""
    default: Any = None
    shown: str | None = None
    short: str | None = None
    metavar: str | None = None
    in_files: bool = True
    least: float | None = None
    choices: tuple[str, ...] = ()
    field: str = ""

    @property
    def key(self) -> str:
        """The name as a Python identifier."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"EVALRUNNER_{self.key.upper()}"


#: The help's panels, each with the fields and the command line's own options that it shows, in this order.
LAYOUT: dict[str, tuple[str | Option, ...]] = {
    "What is evaluated": (
        "experiment", "dataset", "prefix", "description", "metadata", "repetitions", "splits", "as_of", "limit",
        "retry_errors", "wait", "take_over",
    ),
    "Target and evaluators": (
        "target", "factory", "evaluators", "summary_evaluators", "trace_evaluators", "evaluator_errors",
    ),
    "Workers": ("workers", "max_concurrency", "start_method", "gpus_per_worker", "env", "live"),
    "Deadlines and attempts": (
        "max_attempts", "item_timeout", "setup_timeout", "drain_timeout", "walltime", "grace",
        "delivery_deadline", "visible_deadline",
    ),
    "Where": (
        Option("local", SWITCH, "Use the local backend even though a LangSmith is configured.",
               default=False, shown="only where none is configured"),
        Option("store", TEXT, "The local backend's file.", default=".evalrunner/store.sqlite", metavar="FILE"),
        "run_dir",
    ),
    "What is printed": (
        Option("plan", SWITCH, "Import target and evaluators, say what would run and why, and run nothing.",
               default=False, in_files=False),
        Option("quiet", SWITCH, "Print the verdict and errors only.", default=False, short="q", in_files=False),
        Option("json", SWITCH, "Print the receipt as one JSON document on stdout, all else on stderr.",
               default=False, in_files=False),
    ),
}  # fmt: skip
#: What a field of this type takes.
_KINDS: dict[Any, Kind] = {
    str: TEXT,
    Path: TEXT,
    int: WHOLE,
    float: NUMBER,
    bool: SWITCH,
    tuple[str, ...]: LIST,
    dict[str, Any]: JSON_TABLE,
    dict[str, str]: TEXT_TABLE,
}


def options_of(config: type[Any]) -> dict[str, Option]:
    """Return the options that a configuration's fields are set by, by the fields' names."""
    hints, defaults = get_type_hints(config), {one.name: one for one in fields(config)}
    found = {}
    for name, how in knobs(config).items():
        types = [one for one in get_args(hints[name]) if one is not NoneType]
        kind = _KINDS[types[0] if NoneType in get_args(hints[name]) else hints[name]]
        default = {} if defaults[name].default is MISSING else defaults[name].default
        found[name] = Option(
            how.name or name.replace("_", "-"), kind, how.help, default=default, shown=how.shown,
            short=how.short, metavar=how.metavar, least=how.least, choices=how.choices, field=name,
        )  # fmt: skip
    return found


def _laid_out() -> Iterator[Option]:
    fields_ = {
        name: one
        for config in (RunConfig, TargetSpec, WorkerConfig)
        for name, one in options_of(config).items()
    }
    for panel, shown in LAYOUT.items():
        for one in shown:
            option = fields_.pop(one) if isinstance(one, str) else one
            yield replace(option, panel=panel)
    assert not fields_, f"no panel shows {', '.join(fields_)}"


OPTIONS: tuple[Option, ...] = tuple(_laid_out())

BY_KEY: dict[str, Option] = {option.key: option for option in OPTIONS}

F = TypeVar("F", bound=Callable[..., Any])


def takes_options(function: F, *first: inspect.Parameter, without: Collection[str] = ()) -> F:
    """Give `function(**flags)` the signature with every option, which typer then reads.

    Args:
        function: takes all flags as keywords; a flag that was not given is None.
        first: further parameters, before the options.
        without: keys of options that make no sense there.
    """
    parameters = [*first, *(_parameter(option) for option in OPTIONS if option.key not in without)]
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
