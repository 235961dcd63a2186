"""The arguments of `evalrunner.run`: our own names, and those that `aevaluate` has for the same things.

Raises, of all functions here:
    TypeError: there is no such argument; the message says which one is meant.
    UsageError: the argument has a value that cannot be used here; the message says what to do instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import NoneType
from typing import Any
from uuid import UUID

import orjson
from langsmith import Client
from langsmith.schemas import Dataset, TracerSession

from evalrunner.config import START_METHODS, Endpoint, RunConfig, TargetSpec, WorkerConfig
from evalrunner.delivery.capture.fitting import fit
from evalrunner.errors import UsageError
from evalrunner.knob import knobs
from evalrunner.pickling.carry import pickle_objects
from evalrunner.protocol.evaluated import object_name

#: What `aevaluate` calls it, and what we do.
_SAME = {
    "data": "dataset", "experiment_prefix": "prefix", "num_repetitions": "repetitions", "split": "splits",
}  # fmt: skip
#: Arguments of `aevaluate` that have one value here, and what there is instead of another.
_FIXED: dict[str, tuple[Any, str]] = {
    "upload_results": (
        True, "the experiment is always written; with no LangSmith configured it stays on this machine",
    ),
    "blocking": (True, "run() returns when the run has ended; call it in a thread to go on meanwhile"),
    "error_handling": ("log", "an error of the target is always a run of the experiment that carries it"),
}  # fmt: skip
#: What is said after the option on the command line tells what kind of number it is.
_SAID = {name: one.metavar for config in (RunConfig, WorkerConfig) for name, one in knobs(config).items()}
_COUNTS = {"segment", *(name for name, metavar in _SAID.items() if metavar == "N")}
_SECONDS = {name for name, metavar in _SAID.items() if metavar == "SECONDS"}
#: 0 is the SDK's word for one after the other, and no worker at all is refused in the session's own words.
_LEAST = {"max_concurrency": 0, "gpus_per_worker": 0, "workers": 0}
_WORKER = {each.name for each in fields(WorkerConfig)}
_RUN = {each.name for each in fields(RunConfig)} - {"spec", "worker"}


def config_of(
    target: Any,
    evaluators: Any,
    summary_evaluators: Any,
    *,
    factory: bool,
    worker: WorkerConfig | None,
    options: dict[str, Any],
) -> RunConfig:
    """Return the run that these arguments describe."""
    given = _in_our_words(options)
    knobs = {name: given.pop(name) for name in list(given) if name in _WORKER}
    spec = _spec(target, _listed(evaluators), _listed(summary_evaluators), factory)
    if not isinstance(worker, (WorkerConfig, NoneType)):
        raise UsageError(f"worker= takes a WorkerConfig, not {worker!r}; how many there are is workers=")
    return RunConfig(spec=spec, worker=replace(worker or WorkerConfig(), **knobs), **given)


def _listed(given: Any) -> list[Any]:
    """Return the evaluators; one alone may stand without a list around it."""
    if given is None:
        return []
    alone = isinstance(given, str) or callable(given) or not isinstance(given, Iterable)
    return [given] if alone else list(given)


def endpoint_of(client: Any) -> Endpoint:
    """Return where a client of the SDK leads."""
    if not isinstance(client, Client):
        raise UsageError(f"client= takes a langsmith.Client, not a {type(client).__name__}")
    return Endpoint(client.api_url, key=client.api_key or "", workspace=client.workspace_id)


def _spec(target: Any, evaluators: list[Any], summary_evaluators: list[Any], factory: bool) -> TargetSpec:
    folder = Path.cwd()
    if all(isinstance(each, str) for each in (target, *evaluators, *summary_evaluators)):
        return TargetSpec(target, tuple(evaluators), tuple(summary_evaluators), factory, folder=folder)
    pickled = pickle_objects(target, evaluators, summary_evaluators)
    named = tuple(_named(each) for each in evaluators), tuple(_named(each) for each in summary_evaluators)
    return TargetSpec(factory=factory, pickled=pickled, named=named, folder=folder)


def _named(each: Any) -> str:
    return each.rpartition(":")[2] if isinstance(each, str) else object_name(each)


def _in_our_words(options: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in options.items():
        ours = _SAME.get(name, name)
        if name in _FIXED:
            _check_fixed(name, value)
        elif name == "disable_evaluator_tracing":
            found["trace_evaluators"] = not value
        elif ours not in _RUN | _WORKER:
            raise TypeError(f"run() has no argument {name!r}{_near(name)}")
        elif value is not None:
            if ours in found:
                raise TypeError(f"run() takes one of {name}= and {_other(name, ours)}=: they mean the same")
            _check_number(name, ours, value)
            found[ours] = _CONVERT.get(ours, _as_it_is)(value)
    return found


def _check_number(name: str, ours: str, value: Any) -> None:
    kinds: Any = int if ours in _COUNTS else (int, float) if ours in _SECONDS else None
    if kinds is None:
        return
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise UsageError(f"{name}= takes a {'whole ' if kinds is int else ''}number, not {value!r}")
    least = _LEAST.get(ours, 0 if ours in _SECONDS else 1)
    if value < least:
        raise UsageError(f"{name}= takes {least} or more, not {value!r}")


def _other(name: str, ours: str) -> str:
    return ours if name != ours else next(theirs for theirs, mine in _SAME.items() if mine == ours)


def _near(name: str) -> str:
    known = [*_RUN, *_WORKER, *_SAME, "evaluators", "summary_evaluators", "client", "endpoint", "factory"]
    close = difflib.get_close_matches(name, known, n=1) or [one for one in known if one in name]
    return f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(sorted(_RUN | _WORKER))}"


def _check_fixed(name: str, value: Any) -> None:
    only, instead = _FIXED[name]
    if value != only:
        raise UsageError(f"{name}={value!r} is not for evalrunner: {instead}")


def _as_it_is(value: Any) -> Any:
    return value


def _dataset(value: Any) -> str:
    if isinstance(value, Dataset):
        return str(value.id)
    if isinstance(value, (str, UUID)):
        return str(value)
    raise UsageError(
        f"data= is a {type(value).__name__}, and evalrunner takes a dataset of LangSmith (its name, its id, or a "
        "Dataset): push the examples first (client.create_examples, or evalrunner dataset push), and choose among "
        "them with splits=, as_of= or limit="
    )


def _experiment(value: Any) -> str:
    if isinstance(value, TracerSession):
        return str(value.id)
    if isinstance(value, (str, UUID)):
        return str(value)
    raise UsageError(f"experiment= takes an experiment's name or id, not a {type(value).__name__}")


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{name}= takes a dictionary, not {value!r}")
    return dict(value)


def _method(value: Any) -> str:
    if value not in START_METHODS:
        raise UsageError(f"start_method= takes {' or '.join(START_METHODS)}, not {value!r}")
    return str(value)


def _splits(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _time(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _duration(value: Any) -> str:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise UsageError(f"walltime= takes seconds, a timedelta, or a text as '1:30:00', not {value!r}")
    return value if isinstance(value, str) else f"{value:f}"


def _metadata(given: Any) -> dict[str, Any]:
    """Return metadata as the SDK writes it down: times, ids, sets and the like have a form in JSON."""
    try:
        return dict(orjson.loads(fit(_mapping("metadata", given))))
    except Exception as error:  # an object's own, too
        raise UsageError(f"metadata= cannot be written as JSON: {error}") from None


_CONVERT: dict[str, Any] = {
    "metadata": _metadata,
    "dataset": _dataset,
    "experiment": _experiment,
    "splits": _splits,
    "as_of": _time,
    "start_method": _method,
    "run_dir": Path,
    "walltime": _duration,
    "env": lambda value: _mapping("env", value),
    "max_concurrency": lambda value: max(1, value),
}
